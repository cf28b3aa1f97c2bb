//! `gan-cli translate`.

mod alpha;
mod files;
mod model;
mod names;
mod reader;
mod report;
mod sizes;

use crate::commands::weights::WeightArgs;
use crate::exit::{BAD_DATA, Coded, Done};
use crate::place::{PlaceArgs, PrecisionArgs};
use crate::progress::bar;
use alpha::AlphaArg;
use anyhow::{Context, bail};
use candle_core::Tensor;
use clap::ValueEnum;
use files::{Plan, Request, Translation};
use gan_data::{Batch, DecodeOptions, Picture, Quantize, picture_from_tensor, write_picture};
use gan_train::{Place, TranslateOptions, Translator, to_place, translate_fitted};
use model::{LabelArgs, Model};
use reader::{Input, Reader};
use report::Report;
use sizes::SizeArgs;
use std::path::{Path, PathBuf};

/// Translate pictures with a trained model
///
/// The model is a run, a checkpoint or a bare weight file, PyTorch's included: what the file holds is read off its
/// tensors. Pictures come back in their own size unless --preprocess asks for the references' sizes.
///
/// Results in a folder are called like their inputs, `STEM.png`; inputs that share a stem keep their extension
/// (`STEM.jpg.png`). Results of an earlier call are replaced, inputs never. A file that fails does not end the call: the
/// failures are listed at the end, and the exit code is that of the worst.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Run folder, checkpoint folder, or weight file (.pth, .safetensors)
    #[arg(long)]
    model: PathBuf,
    /// Pictures (for pix2pixHD: label maps) or folders of them
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
    /// A picture that lends its style, for models with an instance feature encoder
    #[arg(long)]
    encode: Option<PathBuf>,
    /// Use running statistics in batch norms (PyTorch's eval()); the default is the picture's own, as in the references'
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

impl Args {
    fn options(&self) -> TranslateOptions {
        let direction = match self.direction {
            Direction::A2b => gan_train::Direction::AToB,
            Direction::B2a => gan_train::Direction::BToA,
        };
        let precision = self.precision.activations();
        TranslateOptions {
            direction,
            eval: self.eval,
            dropout: self.dropout,
            style: self.style,
            precision,
            math: self.precision.math(),
            ..TranslateOptions::default()
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
    let place = args.place.open()?;
    args.precision.check(&place)?;
    let model = Model::open(&args, &place)?;
    model.notes.iter().for_each(|note| eprintln!("{note}"));
    let transform = args.sizes.transform(&model.data)?;
    let reader = Reader {
        data: &model.data,
        transform: transform.as_ref(),
        inst: args.inst.as_deref(),
        encode: args.encode.as_deref(),
        alpha: args.alpha,
    };
    let notes = reader.check(plan.jobs.len())?;
    plan.notes.iter().map(String::as_str).chain(notes).for_each(|note| eprintln!("note: {note}"));
    let mut report = Report::default();
    let bar = bar(plan.jobs.len(), "translating");
    for job in &plan.jobs {
        if args.skip_existing && is_whole(&job.output) {
            report.skipped();
        } else {
            match translate_file(&args, &model, &reader, job, &place) {
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
fn translate_file(
    args: &Args,
    model: &Model,
    reader: &Reader<'_>,
    job: &Translation,
    place: &Place,
) -> anyhow::Result<bool> {
    let mut input = reader.read(job)?;
    let alpha = input.alpha.take();
    let exact = reader.transform.is_some();
    let mut picture = translate(&*model.translator, exact, input, place, args.truncate)
        .with_context(|| format!("cannot translate {}", job.input.display()))?;
    let keep = args.alpha == Some(AlphaArg::Keep);
    let lost = alpha.is_some() && args.alpha.is_none();
    if let Some(alpha) = alpha.filter(|_| keep) {
        picture = alpha::join(picture, alpha);
    }
    write_picture(&job.output, &picture)?;
    Ok(lost)
}

fn translate(
    translator: &dyn Translator,
    exact_size: bool,
    input: Input,
    place: &Place,
    truncate: bool,
) -> anyhow::Result<Picture> {
    let batch = to_place(input.batch, place)?;
    let y = if exact_size { translate_exact(translator, &batch)? } else { translate_fitted(translator, &batch)? };
    if let Some(lightness) = input.lightness {
        return Ok(gan_data::picture_from_lab(&lightness, &y.squeeze(0)?)?);
    }
    let quantize = if truncate { Quantize::Truncate } else { Quantize::Round };
    Ok(picture_from_tensor(&y, input.depth, quantize)?)
}

/// Translates a batch whose size is the user's choice.
fn translate_exact(translator: &dyn Translator, batch: &Batch) -> anyhow::Result<Tensor> {
    let (_, _, h, w) = batch.a.dims4()?;
    let multiple = translator.size_multiple();
    let smallest = translator.smallest_side();
    let rounded = |side: usize| side.div_ceil(multiple) * multiple;
    if rounded(h).min(rounded(w)) < smallest {
        bail!(Coded(
            BAD_DATA,
            format!(
                "it is {w}x{h} after --preprocess, but this model takes {smallest}x{smallest} and larger; raise --load-size and --crop-size, or leave --preprocess out: then every size goes"
            )
        ));
    }
    // Up to four, generators round up by themselves.
    if multiple > 4 && (h % multiple, w % multiple) != (0, 0) {
        bail!(Coded(
            BAD_DATA,
            format!(
                "it is {w}x{h} after --preprocess, but this model takes multiples of {multiple}; choose --load-size and --crop-size to suit, or leave --preprocess out: then every size goes"
            )
        ));
    }
    Ok(translator.translate(batch)?)
}
