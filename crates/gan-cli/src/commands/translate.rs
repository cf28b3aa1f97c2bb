//! `gan-cli translate`.

mod files;
mod model;
mod reader;
mod sizes;

use crate::commands::weights::WeightArgs;
use crate::exit::{BAD_DATA, Coded, Done};
use crate::place::{PlaceArgs, PrecisionArgs};
use crate::progress::bar;
use anyhow::{Context, bail};
use candle_core::Tensor;
use clap::ValueEnum;
use gan_data::{Batch, Picture, Quantize, picture_from_tensor, write_picture};
use gan_train::{Place, TranslateOptions, Translator, to_place, translate_fitted};
use model::{LabelArgs, Model};
use reader::{Input, Reader};
use sizes::SizeArgs;
use std::path::PathBuf;

/// Translate pictures with a trained model
///
/// The model is a run, a checkpoint or a bare weight file, PyTorch's included: what the file holds is read off its
/// tensors. Pictures come back in their own size unless --preprocess asks for the references' sizes.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Run folder, checkpoint folder, or weight file (.pth, .safetensors)
    #[arg(long)]
    model: PathBuf,
    /// Pictures (for pix2pixHD: label maps) or folders of them
    #[arg(long, required = true, num_args = 1..)]
    input: Vec<PathBuf>,
    /// Where to write: a folder, or a file if the input is one file
    #[arg(long)]
    output: PathBuf,
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
            ..TranslateOptions::default()
        }
    }
}

pub(crate) fn run(args: Args) -> anyhow::Result<Done> {
    let place = args.place.open()?;
    args.precision.apply(&place)?;
    let model = Model::open(&args, &place)?;
    model.notes.iter().for_each(|note| eprintln!("{note}"));
    let transform = args.sizes.transform(&model.data)?;
    let reader = Reader {
        data: &model.data,
        transform: transform.as_ref(),
        inst: args.inst.as_deref(),
        encode: args.encode.as_deref(),
    };
    let jobs = files::jobs(&args.input, &args.output)?;
    let bar = bar(jobs.len(), "translating");
    for job in &jobs {
        let input = reader.read(job)?;
        let picture = translate(&*model.translator, transform.is_some(), input, &place, args.truncate)
            .with_context(|| format!("cannot translate {}", job.input.display()))?;
        write_picture(&job.output, &picture)?;
        bar.inc(1);
    }
    bar.finish_and_clear();
    eprintln!("{} {} in {}", jobs.len(), if jobs.len() == 1 { "picture" } else { "pictures" }, args.output.display());
    Ok(Done::Complete)
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
