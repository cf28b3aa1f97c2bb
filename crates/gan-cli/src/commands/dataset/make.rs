//! `gan-cli dataset pairs | combine | split`.

use crate::exit::{Coded, Done};
use crate::progress::bar;
use anyhow::bail;
use gan_data::{Canny, DecodeOptions, PairInput, SplitRatio, Written};
use indicatif::ProgressBar;
use std::path::{Path, PathBuf};

#[derive(clap::Args)]
pub(crate) struct Pairs {
    /// Folder of photos
    photos: PathBuf,
    /// How the input is made from the photo
    #[arg(long, value_enum, default_value_t = Kind::Edges)]
    kind: Kind,
    /// Blur: sigma in pixels. Mosaic: side of a block in pixels. Downscale: factor
    #[arg(long, default_value_t = 8.0)]
    amount: f32,
    /// Folder to write; training reads its `train` folder, so end it with /train. It must not hold other files
    #[arg(long)]
    out: PathBuf,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Kind {
    /// Grey levels
    Grey,
    /// A line drawing (Canny)
    Edges,
    /// Gaussian blur
    Blur,
    /// Pixelated
    Mosaic,
    /// Downscaled and enlarged again
    Downscale,
}

#[derive(clap::Args)]
pub(crate) struct Combine {
    /// Folder of the left halves (A)
    a: PathBuf,
    /// Folder of the right halves (B), same names
    b: PathBuf,
    /// Folder to write; it must not hold other files
    #[arg(long)]
    out: PathBuf,
}

#[derive(clap::Args)]
pub(crate) struct Split {
    /// Folder to split; its files are copied
    source: PathBuf,
    /// Folder to write: gets train, val and test, which must not hold other files
    #[arg(long)]
    out: PathBuf,
    /// Fraction for validation
    #[arg(long, default_value_t = 0.0)]
    val: f64,
    /// Fraction for testing
    #[arg(long, default_value_t = 0.1)]
    test: f64,
    /// Seed of the choice; folders with the same names are split alike with the same seed
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

pub(crate) fn pairs(args: Pairs) -> anyhow::Result<Done> {
    let input = match args.kind {
        Kind::Grey => PairInput::Grey,
        Kind::Edges => PairInput::Edges(Canny::default()),
        Kind::Blur => PairInput::Blur(args.amount),
        Kind::Mosaic => PairInput::Mosaic(whole(args.amount)?),
        Kind::Downscale => PairInput::Downscale(whole(args.amount)?),
    };
    let bar = bar(0, "making pairs");
    let progress = |done, all| advance(&bar, done, all);
    let made = gan_data::make_pairs(&args.photos, &args.out, input, &DecodeOptions::default(), progress);
    finish(&bar, made, "pairs", &args.out)
}

pub(crate) fn combine(args: Combine) -> anyhow::Result<Done> {
    let bar = bar(0, "joining");
    let progress = |done, all| advance(&bar, done, all);
    let made = gan_data::combine(&args.a, &args.b, &args.out, &DecodeOptions::default(), progress);
    finish(&bar, made, "pairs", &args.out)
}

pub(crate) fn split(args: Split) -> anyhow::Result<Done> {
    let bar = bar(0, "copying");
    let ratio = SplitRatio { val: args.val, test: args.test };
    let divided = gan_data::split(&args.source, &args.out, ratio, args.seed, |done, all| advance(&bar, done, all));
    bar.finish_and_clear();
    let ([train, val, test], notes) = divided.map_err(usage)?;
    notes.iter().for_each(|note| note!("note: {note}"));
    note!("{train} train, {val} val, {test} test in {}", args.out.display());
    Ok(Done::Complete)
}

/// A size in whole pixels.
fn whole(amount: f32) -> anyhow::Result<usize> {
    if amount.fract() == 0.0 && (1.0..=PairInput::MOST as f32).contains(&amount) {
        return Ok(amount as usize);
    }
    let most = PairInput::MOST;
    bail!(Coded(2, format!("--amount {amount} is no size in pixels here; give a whole number from 1 to {most}")))
}

/// What contradicts itself here was given as flags.
fn usage(error: gan_data::Error) -> anyhow::Error {
    match error {
        gan_data::Error::Config { .. } => Coded(2, error.to_string()).into(),
        other => other.into(),
    }
}

pub(super) fn advance(bar: &ProgressBar, done: usize, all: usize) {
    bar.set_length(all as u64);
    bar.set_position(done as u64);
}

pub(super) fn finish(
    bar: &ProgressBar,
    made: gan_data::Result<Written>,
    what: &str,
    out: &Path,
) -> anyhow::Result<Done> {
    bar.finish_and_clear();
    let made = made.map_err(usage)?;
    made.notes.iter().for_each(|note| note!("note: {note}"));
    note!("{} {what} in {}", made.files.len(), out.display());
    Ok(Done::Complete)
}
