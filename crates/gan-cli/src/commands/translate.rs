//! `gan-cli translate`.

use crate::exit::{BAD_DATA, BAD_MODEL, Coded, Done};
use crate::place::PlaceArgs;
use crate::progress::bar;
use anyhow::{Context, bail};
use candle_core::Tensor;
use clap::ValueEnum;
use gan_data::{Batch, DataConfig, DataMode, Depth, Picture, Quantize, decode, decode_ids, list_pictures, picture_from_tensor, write_picture};
use gan_train::{TranslateOptions, Trained, Translator, data_config, to_place, translate_fitted};
use std::path::{Path, PathBuf};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Run folder or checkpoint folder
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
    /// Use running statistics in batch norms (PyTorch's eval()); the default is the picture's own, as in the references' test script.
    /// Dropout is off in both cases
    #[arg(long)]
    eval: bool,
    /// Truncate levels as the references do, instead of rounding
    #[arg(long)]
    truncate: bool,
    #[command(flatten)]
    place: PlaceArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Direction {
    A2b,
    B2a,
}

pub(crate) fn run(args: Args) -> anyhow::Result<Done> {
    let trained = Trained::open(&args.model)?;
    let data = data_config(trained.method(), trained.config())?;
    let direction = match args.direction {
        Direction::A2b => gan_train::Direction::AToB,
        Direction::B2a => gan_train::Direction::BToA,
    };
    let place = args.place.open()?;
    let translator = trained.translator(&TranslateOptions { direction, eval: args.eval, style: args.style }, &place)?;
    let reader = Reader { data: &data, inst: args.inst.as_deref(), encode: args.encode.as_deref(), reversed: args.direction == Direction::B2a };
    let jobs = jobs(&args.input, &args.output)?;
    let bar = bar(jobs.len(), "translating");
    for job in &jobs {
        let input = reader.read(job)?;
        let picture = translate(&*translator, &reader, input, &place, args.truncate).with_context(|| format!("cannot translate {}", job.input.display()))?;
        write_picture(&job.output, &picture)?;
        bar.inc(1);
    }
    bar.finish_and_clear();
    eprintln!("{} {} in {}", jobs.len(), if jobs.len() == 1 { "picture" } else { "pictures" }, args.output.display());
    Ok(Done::Complete)
}

fn translate(translator: &dyn Translator, reader: &Reader<'_>, input: Input, place: &gan_train::Place, truncate: bool) -> anyhow::Result<Picture> {
    let y = translate_fitted(translator, &to_place(input.batch, place)?)?;
    if let Some(lightness) = input.lightness {
        return Ok(gan_data::picture_from_lab(&lightness, &y.squeeze(0)?)?);
    }
    debug_assert!(reader.data.mode != DataMode::Colorization);
    let quantize = if truncate { Quantize::Truncate } else { Quantize::Round };
    Ok(picture_from_tensor(&y, input.depth, quantize)?)
}

/// A file to translate.
struct Translation {
    input: PathBuf,
    /// Its path within the folder that was given, without extension.
    stem: String,
    output: PathBuf,
}

/// Lists the files; a folder's structure is kept.
fn jobs(inputs: &[PathBuf], output: &Path) -> anyhow::Result<Vec<Translation>> {
    let mut jobs: Vec<Translation> = Vec::new();
    for input in inputs {
        if input.is_dir() {
            let files = list_pictures(input)?;
            if files.is_empty() {
                bail!(Coded(BAD_DATA, format!("there are no pictures in {}", input.display())));
            }
            for file in files {
                let output = output.join(format!("{}.png", file.stem));
                jobs.push(Translation { input: file.path, stem: file.stem, output });
            }
        } else {
            let stem = input.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
            let to_file = inputs.len() == 1 && output.extension().is_some() && !output.is_dir();
            let output = if to_file { output.to_path_buf() } else { output.join(format!("{stem}.png")) };
            jobs.push(Translation { input: input.clone(), stem, output });
        }
    }
    let mut seen = std::collections::HashMap::new();
    for job in &jobs {
        if let Some(other) = seen.insert(&job.output, &job.input) {
            bail!(Coded(2, format!("{} and {} would both be written to {}; translate them in two calls", other.display(), job.input.display(), job.output.display())));
        }
    }
    Ok(jobs)
}

/// Reads inputs as the model's training did, at their own size.
struct Reader<'a> {
    data: &'a DataConfig,
    inst: Option<&'a Path>,
    encode: Option<&'a Path>,
    reversed: bool,
}

struct Input {
    batch: Batch,
    depth: Depth,
    /// Colorization: the lightness that the predicted colours belong to.
    lightness: Option<Tensor>,
}

impl Reader<'_> {
    fn read(&self, job: &Translation) -> anyhow::Result<Input> {
        let options = self.data.decode_options();
        let names = vec![job.stem.clone()];
        let channels = if self.reversed { self.data.output_nc } else { self.data.input_nc };
        let labelled = matches!(self.data.mode, DataMode::Labelled | DataMode::Streets);
        if labelled && self.data.label_nc > 0 {
            return self.labels(job, names);
        }
        let picture = decode(&job.input, &options)?;
        let depth = if picture.depth() == 16 { Depth::Sixteen } else { Depth::Eight };
        if self.data.mode == DataMode::Colorization {
            let (lightness, _) = gan_data::lab_tensors(&picture)?;
            let batch = Batch { a: lightness.unsqueeze(0)?, b: None, inst: None, names };
            return Ok(Input { batch, depth, lightness: Some(lightness) });
        }
        let have = picture.channels();
        let Some(picture) = picture.with_channels(channels) else {
            bail!(Coded(BAD_DATA, format!("{} has {have} channels, the model takes {channels}", job.input.display())));
        };
        let inst = self.instances(job)?;
        let batch = Batch { a: picture.to_tensor()?.unsqueeze(0)?, b: self.style()?, inst, names };
        Ok(Input { batch, depth, lightness: None })
    }

    fn labels(&self, job: &Translation, names: Vec<String>) -> anyhow::Result<Input> {
        let mut labels = decode_ids(&job.input, &self.data.decode_options())?;
        let classes = self.data.label_nc as u32;
        if let Some(id) = self.data.dont_care {
            labels.replace(id, classes);
        }
        if let Some((x, y, id)) = labels.first_not_below(classes + u32::from(self.data.dont_care.is_some())) {
            bail!(Coded(BAD_DATA, format!("{}: label {id} at pixel ({x}, {y}) is not below label_nc = {classes}", job.input.display())));
        }
        let a = labels.to_tensor()?.unsqueeze(0)?;
        let batch = Batch { a, b: self.style()?, inst: self.instances(job)?, names };
        Ok(Input { batch, depth: Depth::Eight, lightness: None })
    }

    fn instances(&self, job: &Translation) -> anyhow::Result<Option<Tensor>> {
        let labelled = matches!(self.data.mode, DataMode::Labelled | DataMode::Streets);
        if !labelled || !self.data.instances {
            return Ok(None);
        }
        let Some(path) = self.inst else {
            bail!(Coded(BAD_MODEL, "this model was trained with instance maps: name them with --inst".into()));
        };
        let file = if path.is_dir() { gan_data::partner(path, &job.stem)? } else { path.to_path_buf() };
        Ok(Some(decode_ids(&file, &self.data.decode_options())?.to_tensor_u32()?.unsqueeze(0)?))
    }

    fn style(&self) -> anyhow::Result<Option<Tensor>> {
        let Some(path) = self.encode else { return Ok(None) };
        let picture = decode(path, &self.data.decode_options())?;
        let Some(picture) = picture.with_channels(self.data.output_nc) else {
            bail!(Coded(BAD_DATA, format!("{} has the wrong number of channels", path.display())));
        };
        Ok(Some(picture.to_tensor()?.unsqueeze(0)?))
    }
}
