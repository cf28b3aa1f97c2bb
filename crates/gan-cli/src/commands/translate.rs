//! `gan-cli translate`.

mod files;
mod limit;
mod model;
mod names;
mod paths;
mod report;
mod sizes;

use crate::commands::checkpoint::CheckpointArgs;
use crate::commands::weights::WeightArgs;
use crate::device::{DeviceArgs, PrecisionArgs};
use crate::exit::Done;
use crate::progress::bar;
use crate::wording::worded;
use clap::ValueEnum;
use files::{Plan, Request, Translation};
use gan_data::{DecodeOptions, Quantize, WriteFormat, WriteOptions};
use gan_translate::{
    Alpha, DeviceConfig, EachFile, FileError, FileJob, FileOutcome, Files, Options, Stage, Translated,
};
use limit::LimitArgs;
use model::LabelArgs;
use paths::PathArgs;
use report::Report;
use sizes::SizeArgs;
use std::ffi::OsString;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

/// Translate images with a trained model
///
/// The model is a run, a checkpoint or a bare weight file, PyTorch's included: what the file holds is read off its
/// tensors. Images come back in their own size unless --preprocess asks for the references' sizes.
///
/// Results in a folder are called like their inputs, `STEM.png` (or the extension of --format); inputs that share a stem keep
/// their extension (`STEM.jpg.png`). Results of an earlier call are replaced, inputs never. A file that fails does not end the call: the
/// failures are listed at the end, and the exit code is that of the worst.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    paths: PathArgs,
    #[command(flatten)]
    checkpoint: CheckpointArgs,
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
    /// Format of results in a folder: that of each input (keep), or one for all; PNG unless set
    #[arg(long, value_enum)]
    format: Option<FormatArg>,
    /// Quality of JPEG files; 95 unless set
    #[arg(long, value_name = "1..100", value_parser = clap::value_parser!(u8).range(1..=100))]
    quality: Option<u8>,
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
    /// Print what was done as JSON: counts, and each failure with its file, reason and exit code
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    sizes: SizeArgs,
    #[command(flatten)]
    limit: LimitArgs,
    #[command(flatten)]
    labels: LabelArgs,
    #[command(flatten)]
    weights: WeightArgs,
    #[command(flatten)]
    place: DeviceArgs,
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

/// The format of results in a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum FormatArg {
    /// That of the input; PNG for formats that are not written
    Keep,
    Png,
    Jpg,
    Webp,
    Tiff,
}

impl FormatArg {
    /// The extension of the result of an input.
    fn extension(self, input: &Path) -> OsString {
        let fixed = match self {
            FormatArg::Keep => {
                let writable = matches!(WriteFormat::of(input), WriteFormat::Writable { .. }) && !input.is_dir();
                return input.extension().filter(|_| writable).map_or_else(|| "png".into(), OsString::from);
            }
            FormatArg::Png => "png",
            FormatArg::Jpg => "jpg",
            FormatArg::Webp => "webp",
            FormatArg::Tiff => "tiff",
        };
        fixed.into()
    }
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

    fn file_job<'a>(&'a self, job: &'a Translation) -> FileJob<'a> {
        let files = Files {
            input: &job.input,
            name: &job.stem,
            instances: self.inst.as_deref(),
            style: self.encode.as_deref(),
        };
        FileJob { files, output: &job.output }
    }

    fn write_options(&self) -> WriteOptions {
        self.quality.map_or_else(WriteOptions::default, |quality| WriteOptions { quality })
    }
}

pub(crate) fn run(args: Args) -> anyhow::Result<Done> {
    let paths = args.paths.resolve()?;
    let plan = Plan::new(&Request {
        inputs: &paths.inputs,
        output: &paths.output,
        model: &paths.model,
        inst: args.inst.as_deref(),
        encode: args.encode.as_deref(),
        merge: args.merge,
        skip_existing: args.skip_existing,
        alpha: args.alpha == Some(AlphaArg::Keep),
        format: args.format,
    })?;
    let device = args.place.open()?;
    args.precision.check(&device)?;
    let model = model::open(&args, &paths, device)?;
    let notes = model::check(&args, &model, plan.jobs.len())?;
    plan.notes.iter().map(String::as_str).chain(notes).for_each(|note| note!("note: {note}"));
    let jobs: Vec<FileJob<'_>> = plan.jobs.iter().map(|job| args.file_job(job)).collect();
    if args.limit.plan {
        limit::plan(&model, &jobs)?;
        return Ok(Done::Complete);
    }
    let mut report = Report::default();
    let bar = bar(plan.jobs.len(), "translating");
    let fail_fast = args.fail_fast || jobs.len() == 1;
    let mut ended = Ok(());
    let mut done = |i: usize, outcome: Result<FileOutcome, FileError>| {
        bar.inc(1);
        match outcome {
            Ok(FileOutcome::Skipped) => report.skipped(),
            Ok(FileOutcome::Written(Translated { alpha_lost })) => {
                report.wrote(alpha_lost && args.alpha.is_none());
            }
            Err(error) => ended = report.failed(&plan.jobs[i], said(error, &plan.jobs[i]), fail_fast),
        }
        if ended.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    };
    let skip = |job: &FileJob<'_>| args.skip_existing && is_whole(job.output);
    model.translate_each(&jobs, &args.write_options(), EachFile { skip: &skip, done: &mut done });
    bar.finish_and_clear();
    ended?;
    report.end(&plan, &paths.output, args.json)?;
    Ok(Done::Complete)
}

/// Whether there is an image that can be read to its end.
fn is_whole(path: &Path) -> bool {
    path.is_file() && gan_data::decode(path, &DecodeOptions::default()).is_ok()
}

/// The failure of one file in this program's words.
fn said(FileError { stage, error }: FileError, job: &Translation) -> anyhow::Error {
    let error = worded(*error);
    match stage {
        Stage::Translate => error.context(format!("cannot translate {}", job.input.display())),
        Stage::Read | Stage::Write => error,
    }
}
