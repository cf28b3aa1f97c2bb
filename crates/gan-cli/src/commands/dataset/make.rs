//! `gan-cli dataset pairs | combine | split`.

use crate::exit::{Coded, Done, USAGE};
use crate::progress::bar;
use anyhow::bail;
use gan_data::{Canny, DecodeOptions, PairInput, PairRecipe, SplitCounts, SplitRatio, SplitSizes, Written};
use indicatif::ProgressBar;
use std::path::{Path, PathBuf};

#[derive(clap::Args)]
pub(crate) struct Pairs {
    /// Folder of photos
    photos: PathBuf,
    /// How the input is made from the photo [default: edges]
    #[arg(long, value_enum)]
    kind: Option<Side>,
    /// What stands left (A): by default what --kind says, or the photo if --right names something else
    #[arg(long, value_enum, value_name = "KIND")]
    left: Option<Side>,
    /// What stands right (B): by default the photo, or what --kind says if --left is the photo
    #[arg(long, value_enum, value_name = "KIND")]
    right: Option<Side>,
    /// Size of each side: photos are scaled until they cover it, and cut around their middle. Without, they keep their size
    #[arg(long, value_name = "PIXELS|WxH", value_parser = size)]
    size: Option<(usize, usize)>,
    /// Blur: sigma in pixels. Mosaic: side of a block in pixels. Downscale: factor
    #[arg(long, default_value_t = 8.0)]
    amount: f32,
    /// Folder to write; training reads its `train` folder, so end it with /train. It must not hold other files
    #[arg(long)]
    out: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Side {
    /// The photo itself
    Photo,
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

/// `256` or `512x256`.
fn size(text: &str) -> Result<(usize, usize), String> {
    let side = |text: &str| {
        let side = text.trim().parse().ok().filter(|side| (1..=PairRecipe::MOST).contains(side));
        side.ok_or_else(|| format!("expected a side or WIDTHxHEIGHT, from 1 to {} pixels", PairRecipe::MOST))
    };
    match text.split_once(['x', 'X']) {
        Some((width, height)) => Ok((side(width)?, side(height)?)),
        None => side(text).map(|side| (side, side)),
    }
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
    /// Fraction for validation, or with --count the number of images [default: 0]
    #[arg(long)]
    val: Option<f64>,
    /// Fraction for testing, or with --count the number of images [default: 0.1, with --count 0]
    #[arg(long)]
    test: Option<f64>,
    /// --val and --test are numbers of images, not fractions
    #[arg(long)]
    count: bool,
    /// Seed of the choice; folders with the same names are split alike with the same seed
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

pub(crate) fn pairs(args: Pairs) -> anyhow::Result<Done> {
    let (left, right) = sides(args.kind, args.left, args.right)?;
    let input = |side| {
        Ok::<_, anyhow::Error>(match side {
            Side::Photo => PairInput::Photo,
            Side::Grey => PairInput::Grey,
            Side::Edges => PairInput::Edges(Canny::default()),
            Side::Blur => PairInput::Blur(args.amount),
            Side::Mosaic => PairInput::Mosaic(whole(args.amount)?),
            Side::Downscale => PairInput::Downscale(whole(args.amount)?),
        })
    };
    let recipe = PairRecipe { left: input(left)?, right: input(right)?, size: args.size };
    let bar = bar(0, "making pairs");
    let progress = |done, all| advance(&bar, done, all);
    let made = gan_data::make_pairs(&args.photos, &args.out, recipe, &DecodeOptions::default(), progress);
    finish(&bar, made, "pair", &args.out)
}

/// What stands left and right: as it is named, and where it is not, the photo beside what is made of it.
fn sides(kind: Option<Side>, left: Option<Side>, right: Option<Side>) -> anyhow::Result<(Side, Side)> {
    let made = kind.unwrap_or(Side::Edges);
    let beside = |named: Side| if named == Side::Photo { made } else { Side::Photo };
    let (left, right) = match (left, right) {
        (None, None) => (made, Side::Photo),
        (Some(left), None) => (left, beside(left)),
        (None, Some(right)) => (beside(right), right),
        (Some(_), Some(_)) if kind.is_some() => {
            bail!(Coded(USAGE, "--left and --right say what both sides are: leave --kind out".into()))
        }
        (Some(left), Some(right)) => (left, right),
    };
    if left == right {
        bail!(Coded(
            USAGE,
            "both sides would be the same: there is nothing to learn; choose another --left or --right".into()
        ));
    }
    Ok((left, right))
}

pub(crate) fn combine(args: Combine) -> anyhow::Result<Done> {
    let bar = bar(0, "joining");
    let progress = |done, all| advance(&bar, done, all);
    let made = gan_data::combine(&args.a, &args.b, &args.out, &DecodeOptions::default(), progress);
    finish(&bar, made, "pair", &args.out)
}

pub(crate) fn split(args: Split) -> anyhow::Result<Done> {
    let bar = bar(0, "copying");
    let sizes = split_sizes(&args)?;
    let divided = gan_data::split(&args.source, &args.out, sizes, args.seed, |done, all| advance(&bar, done, all));
    bar.finish_and_clear();
    let ([train, val, test], notes) = divided.map_err(usage)?;
    notes.iter().for_each(|note| note!("note: {note}"));
    note!("{train} train, {val} val, {test} test in {}", args.out.display());
    Ok(Done::Complete)
}

/// The sizes of the parts.
fn split_sizes(args: &Split) -> anyhow::Result<SplitSizes> {
    let Split { val, test, count, .. } = args;
    if !count {
        let number = [("--val", val), ("--test", test)].into_iter().find(|(_, value)| value.is_some_and(|v| v >= 1.0));
        if let Some((flag, Some(value))) = number {
            let message = format!(
                "{flag} {value} is no fraction below 1: give 0.1 for a tenth, or add --count for a number of images"
            );
            bail!(Coded(USAGE, message));
        }
        return Ok(SplitRatio { val: val.unwrap_or(0.0), test: test.unwrap_or(0.1) }.into());
    }
    if val.is_none() && test.is_none() {
        bail!(Coded(USAGE, "--count: name the numbers of images with --val and --test".into()));
    }
    let whole = |flag: &str, value: f64| {
        let possible = value.fract() == 0.0 && (0.0..=1e15).contains(&value);
        let refused = || {
            Coded(
                USAGE,
                format!("{flag} {value} is no number of images, as --count asks for; leave --count out for fractions"),
            )
        };
        possible.then_some(value as usize).ok_or_else(refused)
    };
    Ok(SplitCounts { val: whole("--val", val.unwrap_or(0.0))?, test: whole("--test", test.unwrap_or(0.0))? }.into())
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
    one: &str,
    out: &Path,
) -> anyhow::Result<Done> {
    bar.finish_and_clear();
    let made = made.map_err(usage)?;
    made.notes.iter().for_each(|note| note!("note: {note}"));
    let plural = if made.files.len() == 1 { "" } else { "s" };
    note!("{} {one}{plural} in {}", made.files.len(), out.display());
    Ok(Done::Complete)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_is_not_named_is_the_photo_or_what_is_made_of_it() {
        use Side::{Blur, Edges, Grey, Photo};
        let of = |kind, left, right| sides(kind, left, right).unwrap();
        assert_eq!(of(None, None, None), (Edges, Photo));
        assert_eq!(of(Some(Grey), None, None), (Grey, Photo));
        assert_eq!(of(Some(Grey), Some(Photo), None), (Photo, Grey));
        assert_eq!(of(None, None, Some(Blur)), (Photo, Blur));
        assert_eq!(of(Some(Grey), None, Some(Photo)), (Grey, Photo));
        assert_eq!(of(None, Some(Blur), Some(Edges)), (Blur, Edges));
        assert!(sides(Some(Photo), None, None).is_err() && sides(Some(Grey), Some(Blur), Some(Photo)).is_err());
    }

    #[test]
    fn sizes_are_sides_or_width_and_height() {
        assert_eq!((size("256"), size("512x256")), (Ok((256, 256)), Ok((512, 256))));
        assert!(["0", "x", "12x", "-3", "1e3", "99999999"].iter().all(|text| size(text).is_err()));
    }
}
