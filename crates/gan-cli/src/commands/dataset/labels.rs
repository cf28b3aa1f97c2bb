//! `gan-cli dataset labels`.

use super::make::{advance, finish};
use crate::exit::Done;
use crate::progress::bar;
use gan_data::{DecodeOptions, Palette, label_maps};
use std::path::PathBuf;

/// Make label maps of maps in colour
///
/// A palette is text with lines `id,r,g,b` or `id,r,g,b,name`, JSON `[{"id": 0, "color": [0, 0, 0], "name": "road"}, …]`, a PNG with a palette
/// (the index of a colour is its id), or an image (its colours in reading order get the ids 0, 1, …).
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Folder of maps in colour
    maps: PathBuf,
    /// Which id a colour stands for
    #[arg(long, value_name = "FILE")]
    palette: PathBuf,
    /// Folder to write; it must not hold other files
    #[arg(long)]
    out: PathBuf,
    /// Give colours that are not in the palette the id of the nearest one; else they are an error
    #[arg(long)]
    nearest: bool,
}

pub(crate) fn run(args: Args) -> anyhow::Result<Done> {
    let palette = Palette::read(&args.palette)?;
    let bar = bar(0, "making label maps");
    let progress = |done, all| advance(&bar, done, all);
    let made = label_maps(&args.maps, &args.out, &palette, args.nearest, &DecodeOptions::default(), progress);
    finish(&bar, made, "label map", &args.out)?;
    let most = palette.labels().iter().map(|label| label.id).max().unwrap_or(0);
    note!("ids go up to {most}: label_nc={} takes them", most + 1);
    Ok(Done::Complete)
}
