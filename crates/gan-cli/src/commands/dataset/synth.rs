//! `gan-cli dataset synth`.

use crate::exit::Done;
use crate::progress::bar;
use gan_data::{SynthFiles, SynthKind, write_synth};
use std::path::PathBuf;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// What to draw
    #[arg(value_enum)]
    kind: Kind,
    /// Folder to write; it must not hold other files
    #[arg(long)]
    out: PathBuf,
    /// Side of the images in pixels
    #[arg(long, default_value_t = 256)]
    size: usize,
    /// Scenes for training
    #[arg(long, default_value_t = 400)]
    count: usize,
    /// Scenes for testing
    #[arg(long, default_value_t = 50)]
    test: usize,
    /// Seed of the scenes
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Kind {
    /// Label maps of facades beside their renderings (pix2pix)
    Facades,
    /// Label maps, instance maps and renderings of streets (pix2pixHD)
    Streets,
    /// Facades by day and by night, not paired (CycleGAN)
    Unpaired,
}

pub(crate) fn run(args: Args) -> anyhow::Result<Done> {
    let kind = match args.kind {
        Kind::Facades => SynthKind::Facades,
        Kind::Streets => SynthKind::Streets,
        Kind::Unpaired => SynthKind::Unpaired,
    };
    let bar = bar(args.count.saturating_add(args.test), "drawing");
    let what = SynthFiles { kind, seed: args.seed, size: args.size, train: args.count, test: args.test };
    let files = write_synth(&args.out, &what, |done, _| bar.set_position(done as u64));
    bar.finish_and_clear();
    let files = files?;
    let plural = if files.len() == 1 { "" } else { "s" };
    note!("{} file{plural} in {}", files.len(), args.out.display());
    Ok(Done::Complete)
}
