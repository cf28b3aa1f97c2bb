//! `gan-cli dataset pairs | combine | split`.

use crate::exit::Done;
use crate::progress::bar;
use gan_data::{Canny, DecodeOptions, PairInput, SplitRatio};
use indicatif::ProgressBar;
use std::path::PathBuf;

#[derive(clap::Args)]
pub(crate) struct Pairs {
    /// Folder of photos
    photos: PathBuf,
    /// What the input is made of the photo
    #[arg(long, value_enum, default_value_t = Kind::Edges)]
    kind: Kind,
    /// Blur: deviation in pixels. Mosaic: side of a square. Downscale: factor
    #[arg(long, default_value_t = 8.0)]
    amount: f32,
    /// Folder to write; training reads its `train` folder, so end it with /train
    #[arg(long)]
    out: PathBuf,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Kind {
    /// Without colour
    Grey,
    /// A line drawing (Canny)
    Edges,
    /// Out of focus
    Blur,
    /// Flat squares
    Mosaic,
    /// Shrunk and enlarged again
    Downscale,
}

#[derive(clap::Args)]
pub(crate) struct Combine {
    /// Folder of the left halves (A)
    a: PathBuf,
    /// Folder of the right halves (B), same names
    b: PathBuf,
    /// Folder to write
    #[arg(long)]
    out: PathBuf,
}

#[derive(clap::Args)]
pub(crate) struct Split {
    /// Folder to divide; its files are copied
    source: PathBuf,
    /// Folder to write: gets train, val and test
    #[arg(long)]
    out: PathBuf,
    /// Share for validation
    #[arg(long, default_value_t = 0.0)]
    val: f64,
    /// Share for testing
    #[arg(long, default_value_t = 0.1)]
    test: f64,
    /// Seed of the choice; folders with the same names divide alike with the same seed
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

pub(crate) fn pairs(args: Pairs) -> anyhow::Result<Done> {
    let input = match args.kind {
        Kind::Grey => PairInput::Grey,
        Kind::Edges => PairInput::Edges(Canny::default()),
        Kind::Blur => PairInput::Blur(args.amount),
        Kind::Mosaic => PairInput::Mosaic(args.amount as usize),
        Kind::Downscale => PairInput::Downscale(args.amount as usize),
    };
    let bar = bar(0, "making pairs");
    let files = gan_data::make_pairs(&args.photos, &args.out, input, &DecodeOptions::default(), |done, all| {
        advance(&bar, done, all)
    })?;
    finish(&bar, files.len(), "pairs", &args.out)
}

pub(crate) fn combine(args: Combine) -> anyhow::Result<Done> {
    let bar = bar(0, "joining");
    let files = gan_data::combine(&args.a, &args.b, &args.out, &DecodeOptions::default(), |done, all| {
        advance(&bar, done, all)
    })?;
    finish(&bar, files.len(), "pairs", &args.out)
}

pub(crate) fn split(args: Split) -> anyhow::Result<Done> {
    let bar = bar(0, "copying");
    let ratio = SplitRatio { val: args.val, test: args.test };
    let [train, val, test] =
        gan_data::split(&args.source, &args.out, ratio, args.seed, |done, all| advance(&bar, done, all))?;
    bar.finish_and_clear();
    eprintln!("{train} train, {val} val, {test} test in {}", args.out.display());
    Ok(Done::Complete)
}

fn advance(bar: &ProgressBar, done: usize, all: usize) {
    bar.set_length(all as u64);
    bar.set_position(done as u64);
}

fn finish(bar: &ProgressBar, n: usize, what: &str, out: &std::path::Path) -> anyhow::Result<Done> {
    bar.finish_and_clear();
    eprintln!("{n} {what} in {}", out.display());
    Ok(Done::Complete)
}
