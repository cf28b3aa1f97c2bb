//! `gan-cli translate`.

mod files;
mod model;
mod names;
mod report;
mod sizes;

use crate::commands::checkpoint::CheckpointArgs;
use crate::commands::weights::WeightArgs;
use crate::exit::Done;
use crate::place::{PlaceArgs, PrecisionArgs};
use crate::progress::bar;
use crate::wording::worded;
use anyhow::Context;
use clap::ValueEnum;
use files::{Plan, Request, Translation};
use gan_data::{DecodeOptions, Quantize, write_image};
use gan_translate::{Alpha, DeviceConfig, Files, Model, Options};
use model::LabelArgs;
use report::Report;
use sizes::SizeArgs;
use std::path::{Path, PathBuf};

/// Translate images with a trained model
///
/// The model is a run, a checkpoint or a bare weight file, PyTorch's included: what the file holds is read off its
/// tensors. Images come back in their own size unless --preprocess asks for the references' sizes.
///
/// Results in a folder are called like their inputs, `STEM.png`; inputs that share a stem keep their extension
/// (`STEM.jpg.png`). Results of an earlier call are replaced, inputs never. A file that fails does not end the call: the
/// failures are listed at the end, and the exit code is that of the worst.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Run folder, checkpoint folder, or weight file (.pth, .safetensors)
    #[arg(long)]
    model: PathBuf,
    #[command(flatten)]
    checkpoint: CheckpointArgs,
    /// Images (for pix2pixHD: label maps) or folders of them
    #[arg(long, required = true, num_args = 1..)]
    input: Vec<PathBuf>,
    /// Where to write: a folder, or a file (png, jpg, webp, tiff, bmp, ppm) if the input is one file. Below an input
    /// folder, it is left out of the input
    #[arg(long)]
    output: PathBuf,
    /// Write into a folder that holds other images than those of this call; they stay. Without it, results of several
    /// files go into a folder of their own
    #[arg(long)]
    merge: bool,
    /// Do not compute results that exist and can be read, whatever made them
    #[arg(long)]
    skip_existing: bool,
    /// Stop at the first file that fails
    #[arg(long)]
    fail_fast: bool,
    /// What becomes of alpha if the model does not take it. Without this it is left out, with a note
    #[arg(long, value_enum)]
    alpha: Option<AlphaArg>,
    /// Which way, for models that know both
    #[arg(long, value_enum, default_value_t = Direction::A2b)]
    direction: Direction,
    /// Instance maps for pix2pixHD: a file, or a folder with the label maps' names
    #[arg(long)]
    inst: Option<PathBuf>,
    /// Draw style N, for models with an instance feature encoder: one of the clusters of `encode-features` for each instance; the
    /// default is 0
    #[arg(long, value_name = "N", conflicts_with = "encode")]
    style: Option<u64>,
    /// An image that lends its style, for models with an instance feature encoder
    #[arg(long)]
    encode: Option<PathBuf>,
    /// Use running statistics in batch norms (PyTorch's eval()); the default is the image's own, as in the references'
    /// test script
    #[arg(long)]
    eval: bool,
    /// Keep dropout on, as the references' test script does for pix2pix; off unless asked for. The masks depend on SEED
    /// alone, so that the result can be repeated
    #[arg(long, value_name = "SEED", num_args = 0..=1, default_missing_value = "0", conflicts_with = "eval")]
    dropout: Option<u64>,
    /// Truncate levels as the references do, instead of rounding
    #[arg(long)]
    truncate: bool,
    #[command(flatten)]
    sizes: SizeArgs,
    #[command(flatten)]
    labels: LabelArgs,
    #[command(flatten)]
    weights: WeightArgs,
    #[command(flatten)]
    place: PlaceArgs,
    #[command(flatten)]
    precision: PrecisionArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Direction {
    #[value(alias = "AtoB")]
    A2b,
    #[value(alias = "BtoA")]
    B2a,
}

/// What becomes of the alpha of inputs, for models that do not take it as a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum AlphaArg {
    /// Write it back onto the result
    Keep,
    /// Leave it out, and say nothing about it
    Drop,
}

impl Args {
    fn options(&self, device: DeviceConfig) -> Options {
        Options {
            device,
            eval: self.eval,
            dropout: self.dropout,
            style: self.style,
            precision: self.precision.activations(),
            math: self.precision.math(),
            alpha: if self.alpha == Some(AlphaArg::Keep) { Alpha::Restore } else { Alpha::Drop },
            quantize: if self.truncate { Quantize::Truncate } else { Quantize::Round },
            sizes: self.sizes.options(),
            ..Options::default()
        }
    }
}

pub(crate) fn run(args: Args) -> anyhow::Result<Done> {
    let plan = Plan::new(&Request {
        inputs: &args.input,
        output: &args.output,
        model: &args.model,
        inst: args.inst.as_deref(),
        encode: args.encode.as_deref(),
        merge: args.merge,
        skip_existing: args.skip_existing,
        alpha: args.alpha == Some(AlphaArg::Keep),
    })?;
    let device = args.place.open()?;
    args.precision.check(&device)?;
    let model = model::open(&args, device)?;
    let notes = model::check(&args, &model, plan.jobs.len())?;
    plan.notes.iter().map(String::as_str).chain(notes).for_each(|note| eprintln!("note: {note}"));
    let mut report = Report::default();
    let bar = bar(plan.jobs.len(), "translating");
    for job in &plan.jobs {
        if args.skip_existing && is_whole(&job.output) {
            report.skipped();
        } else {
            match translate_file(&args, &model, job) {
                Ok(lost_alpha) => report.wrote(lost_alpha),
                Err(error) => report.failed(job, error, args.fail_fast || plan.jobs.len() == 1)?,
            }
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    report.end(&plan, &args.output)?;
    Ok(Done::Complete)
}

/// Whether there is an image that can be read to its end.
fn is_whole(path: &Path) -> bool {
    path.is_file() && gan_data::decode(path, &DecodeOptions::default()).is_ok()
}

/// Translates one file; returns whether its alpha was lost.
fn translate_file(args: &Args, model: &Model, job: &Translation) -> anyhow::Result<bool> {
    let files =
        Files { input: &job.input, name: &job.stem, instances: args.inst.as_deref(), style: args.encode.as_deref() };
    let input = model.read(&files).map_err(worded)?;
    let lost = model.loses_alpha(&input) && args.alpha.is_none();
    let image = model.translate_input(input).map_err(worded);
    write_image(&job.output, &image.with_context(|| format!("cannot translate {}", job.input.display()))?)?;
    Ok(lost)
}
