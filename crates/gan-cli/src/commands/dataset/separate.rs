//! `gan-cli dataset separate`.

use super::make::{advance, finish};
use crate::exit::Done;
use crate::progress::bar;
use gan_data::DecodeOptions;
use std::path::PathBuf;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Folder of pairs side by side
    pairs: PathBuf,
    /// Folder to write: gets A with the left halves and B with the right ones, which must not hold other files
    #[arg(long)]
    out: PathBuf,
}

pub(crate) fn run(args: Args) -> anyhow::Result<Done> {
    let bar = bar(0, "separating");
    let (left, right) = (args.out.join("A"), args.out.join("B"));
    let progress = |done, all| advance(&bar, done, all);
    let made = gan_data::separate(&args.pairs, &left, &right, &DecodeOptions::default(), progress);
    finish(&bar, made, "pair", &args.out)
}
