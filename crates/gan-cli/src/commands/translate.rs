//! `gan-cli translate`.

mod files;
mod limit;
mod model;
mod names;
mod page;
mod paths;
mod pattern;
mod report;
mod sizes;
mod statistics;
mod write;

use crate::commands::checkpoint::CheckpointArgs;
use crate::commands::weights::WeightArgs;
use crate::device::{DeviceArgs, PrecisionArgs};
use crate::exit::{BAD_DATA, Coded, Done, USAGE};
use crate::interrupt;
use crate::progress::bar;
use crate::shard::Shard;
use crate::wording::worded;
use clap::ValueEnum;
use files::{Plan, Request, Translation};
use gan_data::{DecodeLimits, DecodeOptions, Quantize, RowReader, WriteFormat, WriteOptions};
use gan_translate::{
    Alpha, Content, DeviceConfig, EachFile, Error, FileError, FileJob, FileOutcome, Files, Model, Options, Stage,
    Translated,
};
use limit::LimitArgs;
use model::LabelArgs;
use page::Page;
use paths::{PathArgs, Paths};
use pattern::{ModelFacts, Pattern};
use report::Report;
use sizes::SizeArgs;
use std::ffi::OsString;
use std::io::IsTerminal;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use write::{Targets, Writer};

/// Translate images with a trained model
///
/// The model is a run, a checkpoint or a bare weight file, PyTorch's included: what the file holds is read off its
/// tensors. Images come back in their own size unless --preprocess asks for the references' sizes.
///
/// Results in a folder are called like their inputs, `STEM.png` (or the extension of --format); inputs that share a stem keep
/// their extension (`STEM.jpg.png`); --name calls them otherwise. Results of an earlier call are replaced, inputs never. A file that fails
/// does not end the call: the failures are listed at the end, and the exit code is that of the worst.
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
    /// Translate part I of N of the inputs, from 1: N calls with the same inputs and output, at once or one after the other, translate each once.
    /// Processes that mpirun, srun or torchrun started together share the inputs by themselves
    #[arg(long, value_name = "I/N", conflicts_with_all = ["html", "plan"])]
    shard: Option<Shard>,
    /// Translate the first N inputs alone
    #[arg(long = "limit", value_name = "N", value_parser = at_least_one)]
    first: Option<usize>,
    /// Stop at the first file that fails
    #[arg(long)]
    fail_fast: bool,
    /// Format of results in a folder: that of each input (keep), or one for all; PNG unless set
    #[arg(long, value_enum)]
    format: Option<FormatArg>,
    /// Name of results in a folder, with fields: {stem} and {name} of the input without and with its extension, {ext} of the result,
    /// {model}, {step} of the checkpoint, {index} from 1, {folder} of the input below the one that was named. Clashes get a number
    #[arg(long, value_name = "PATTERN")]
    name: Option<Pattern>,
    /// Write input and result side by side, and the target if there is one
    #[arg(long)]
    side_by_side: bool,
    /// What the results should look like, for --side-by-side and --html: an image, or a folder with the names of the inputs
    #[arg(long, value_name = "PATH")]
    target: Option<PathBuf>,
    /// Write a page, index.html, that shows inputs and results, and the targets if there are any
    #[arg(long)]
    html: bool,
    /// Most images of one size that are translated at once. On the CPU the results are the same
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = batch_size)]
    batch: usize,
    /// Which page of TIFF files: a number from 1, or all. The first unless set
    #[arg(long, value_name = "N|all", default_value = "first", hide_default_value = true)]
    page: PagesArg,
    /// Quality of JPEG files; 95 unless set
    #[arg(long, value_name = "1..100", value_parser = clap::value_parser!(u8).range(1..=100))]
    quality: Option<u8>,
    /// What becomes of alpha if the model does not take it. Without this it is left out, with a note
    #[arg(long, value_enum)]
    alpha: Option<AlphaArg>,
    /// Direction of models that translate both ways (CycleGAN)
    #[arg(long, value_enum, default_value_t = Direction::A2b)]
    direction: Direction,
    /// Instance maps for pix2pixHD: a file, or a folder with the label maps' names
    #[arg(long)]
    inst: Option<PathBuf>,
    /// Seed of the styles, for models with an instance feature encoder: it draws one of the clusters of `encode-features` for each
    /// instance; the default is 0
    #[arg(long, value_name = "N", conflicts_with = "encode")]
    style: Option<u64>,
    /// Style image, for models with an instance feature encoder: its instance features are encoded and reused
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
    /// One look for all images: statistics of norms are read from this file if it is there, and otherwise gathered over a sample of the inputs and
    /// written to it. For a series of images, slides or tiles, and for models that normalize each image by itself
    #[arg(long, value_name = "FILE")]
    statistics: Option<PathBuf>,
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
    device_config: DeviceArgs,
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

/// Which pages of TIFF files are translated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PagesArg {
    /// The first, with a note where there are others.
    First,
    /// One, counted from 1.
    One(usize),
    /// Each, to a result of its own.
    All,
}

impl FromStr for PagesArg {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "first" => Ok(PagesArg::First),
            "all" => Ok(PagesArg::All),
            number => match number.parse() {
                Ok(page @ 1..) => Ok(PagesArg::One(page)),
                _ => Err("give the number of a page, from 1, or all"),
            },
        }
    }
}

fn batch_size(text: &str) -> Result<usize, &'static str> {
    match text.parse() {
        Ok(batch @ 1..=4096) => Ok(batch),
        _ => Err("give a number from 1 to 4096"),
    }
}

fn at_least_one(text: &str) -> Result<usize, &'static str> {
    text.parse().ok().filter(|&n| n > 0).ok_or("give a number from 1")
}

/// The format of results in a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum FormatArg {
    /// That of the input; PNG for formats that are not written, ppm for pgm and pbm
    Keep,
    Png,
    Jpg,
    Webp,
    /// Above four channels, a grey page each
    Tiff,
    /// An array for NumPy, of any number of channels
    Npy,
    /// A folder of grey images, one a channel
    Planes,
}

impl FormatArg {
    /// The extension of the result of an input.
    fn extension(self, input: &Path) -> OsString {
        let fixed = match self {
            FormatArg::Keep => {
                let Some(extension) = input.extension() else { return "png".into() };
                return match extension.to_ascii_lowercase().to_str() {
                    // What they hold is grey, and the result may be in colour.
                    Some("pgm" | "pbm" | "pnm") => "ppm".into(),
                    _ if matches!(WriteFormat::of(input), WriteFormat::Writable { .. }) => extension.to_owned(),
                    _ => "png".into(),
                };
            }
            FormatArg::Png => "png",
            FormatArg::Jpg => "jpg",
            FormatArg::Webp => "webp",
            FormatArg::Tiff => "tiff",
            FormatArg::Npy => "npy",
            FormatArg::Planes => "planes",
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
            labels_as: self.labels.labels_as(),
            quantize: if self.truncate { Quantize::Truncate } else { Quantize::Round },
            sizes: self.sizes.options(),
            ..Options::default()
        }
    }

    fn file_job<'a>(&'a self, job: &'a Translation, content: Option<&'a [u8]>) -> FileJob<'a> {
        let files = Files {
            input: &job.input,
            name: &job.stem,
            instances: self.inst.as_deref(),
            style: self.encode.as_deref(),
            content: content.map(Content::File),
            instance_content: None,
            style_content: None,
            page: job.page,
        };
        FileJob { files, output: &job.output }
    }

    fn write_options(&self) -> WriteOptions {
        self.quality.map_or_else(WriteOptions::default, |quality| WriteOptions { quality })
    }

    /// Refuses options that have no use together.
    fn check(&self, paths: &Paths) -> anyhow::Result<()> {
        let refuse = |message: &str| Err(Coded(USAGE, message.into()).into());
        let to_standard_output = paths.output == Path::new("-");
        if to_standard_output && self.json {
            return refuse(
                "--json prints to standard output, where the image goes: name a file as the output, or leave it out",
            );
        }
        if to_standard_output && std::io::stdout().is_terminal() {
            return refuse("standard output (-) is a terminal, which shows no images: send it to a file or a program");
        }
        if paths.inputs.iter().any(|input| input == Path::new("-")) {
            if self.paths.reads_list_from_standard_input() {
                return refuse("--list - and the input - both read standard input: name one of them");
            }
            if self.page == PagesArg::All {
                return refuse("--page all needs files: of standard input name one page");
            }
        }
        if self.target.is_some() && !self.side_by_side && !self.html {
            return refuse("--target is shown by --side-by-side and --html: add one of them");
        }
        Ok(())
    }
}

/// Opens the device and the model; with the step of the checkpoint.
fn open(args: &Args, paths: &Paths) -> anyhow::Result<(Model, Option<u64>)> {
    let device = args.device_config.open()?;
    args.precision.check(&device)?;
    model::open(args, paths, device)
}

pub(crate) fn run(args: Args) -> anyhow::Result<Done> {
    let paths = args.paths.resolve()?;
    args.check(&paths)?;
    let shard = Shard::of_call(args.shard);
    if args.html && !shard.is_whole() {
        let message = "--html writes one page of all images: leave it out where several processes share them";
        return Err(Coded(USAGE, message.into()).into());
    }
    // The step is in the names of the results, and known only of a model that can be used.
    let opened = args.name.as_ref().is_some_and(Pattern::uses_step).then(|| open(&args, &paths)).transpose()?;
    let facts = ModelFacts { name: paths.model_name(), step: opened.as_ref().and_then(|(_, step)| *step) };
    let mut plan = Plan::new(&Request {
        inputs: &paths.inputs,
        output: &paths.output,
        model: &paths.model,
        inst: args.inst.as_deref(),
        encode: args.encode.as_deref(),
        target: args.target.as_deref(),
        merge: args.merge,
        skip_existing: args.skip_existing,
        alpha: args.alpha == Some(AlphaArg::Keep),
        format: args.format,
        name: args.name.as_ref().map(|pattern| (pattern, &facts)),
        pages: args.page,
        html: args.html,
    })?;
    plan.jobs.truncate(args.first.unwrap_or(usize::MAX));
    let page = if args.html { Some(Page::beside(&paths.output)?) } else { None };
    let content = if plan.piped { Some(paths::read_standard_input()?) } else { None };
    let mut model = match opened {
        Some((model, _)) => model,
        None => open(&args, &paths)?.0,
    };
    let notes = model::check(&args, &model, &plan)?;
    plan.notes.iter().map(String::as_str).chain(notes).for_each(|note| note!("note: {note}"));
    if args.batch > 1 && model.batches() {
        plan.sort_by_size();
    }
    let jobs: Vec<FileJob<'_>> = plan.jobs.iter().map(|job| args.file_job(job, content.as_deref())).collect();
    // Nobody else wants to see the results.
    let as_they_are = !args.side_by_side && !args.html;
    if args.limit.plan {
        limit::plan(&model, &jobs, as_they_are, args.json)?;
        return Ok(Done::Complete);
    }
    if let Some(path) = &args.statistics {
        statistics::apply(&mut model, path, &jobs)?;
    }
    let targets = args.target.as_deref().map(|path| Targets::of(path, plan.jobs.len())).transpose()?;
    plan.jobs = shard.of(plan.jobs);
    let jobs: Vec<FileJob<'_>> = plan.jobs.iter().map(|job| args.file_job(job, content.as_deref())).collect();
    let writer = Writer {
        options: args.write_options(),
        format: args.format.unwrap_or(FormatArg::Png).extension(Path::new("")),
        side_by_side: args.side_by_side,
        targets: targets.as_ref(),
        page: page.as_ref(),
    };
    let mut report = Report::default();
    let bar = bar(plan.jobs.len(), "translating");
    let fail_fast = args.fail_fast || jobs.len() == 1;
    let mut ended = Ok(());
    let mut done = |i: usize, outcome: Result<FileOutcome, FileError>| {
        bar.inc(1);
        match outcome {
            Ok(FileOutcome::Skipped) => {
                page.iter().for_each(|page| page.keep_earlier(i, &plan.jobs[i]));
                report.skipped();
            }
            Ok(FileOutcome::Written(Translated { alpha_lost })) => {
                report.wrote(alpha_lost && args.alpha.is_none());
            }
            Err(error) => ended = report.failed(&plan.jobs[i], said(error, &plan.jobs[i]), fail_fast),
        }
        if ended.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    };
    let each = EachFile {
        batch: args.batch,
        show: args.side_by_side || args.html,
        skip: &|job| args.skip_existing && job.output != Path::new("-") && is_whole(job.output),
        write: &|made| writer.write(made),
        done: &mut done,
    };
    interrupt::leave_nothing_behind();
    match as_they_are {
        true => model.translate_each_in_rows(&jobs, each, &args.write_options()),
        false => model.translate_each(&jobs, each),
    }
    bar.finish_and_clear();
    if let Some(page) = page {
        page.write(&facts, &plan.jobs, &report)?;
    }
    if let Some(note) = targets.as_ref().and_then(Targets::note) {
        note!("note: {note}");
    }
    ended?;
    report.end(&plan, &paths.output, args.json)?;
    Ok(Done::Complete)
}

/// Whether there is a result that can be read to its end.
fn is_whole(path: &Path) -> bool {
    // What NumPy reads is not read here, and such a file appears whole or not at all.
    let is_array = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("npy"));
    if is_array {
        return path.is_file();
    }
    let limits = DecodeLimits { max_pixels: u64::MAX, max_bytes: u64::MAX, max_side: i32::MAX as u32 };
    let Ok(rows) = RowReader::open(path, &DecodeOptions { limits, ..DecodeOptions::default() }) else { return false };
    match rows {
        Some(mut reader) => {
            let height = reader.header().height as usize;
            (0..height).step_by(ROWS).all(|first| reader.read(&(first..height.min(first + ROWS))).is_ok())
        }
        None => path.exists() && gan_data::decode(path, &DecodeOptions::default()).is_ok(),
    }
}

/// Rows of a result that are looked at at a time.
const ROWS: usize = 64;

/// The failure of one file in this program's words.
fn said(FileError { stage, error }: FileError, job: &Translation) -> anyhow::Error {
    let error = match *error {
        // Here, the limits on images follow that on memory.
        Error::Data(gan_data::Error::TooLarge { path, width, height, limit }) => {
            let remedy =
                "give --max-memory, for example 1GiB, or more of it: then images of any size are read that fit into it";
            let message = format!("{} is {width}x{height}: {limit}; {remedy}, or scale it down", path.display());
            Coded(BAD_DATA, message).into()
        }
        other => worded(other),
    };
    match stage {
        Stage::Translate => error.context(format!("cannot translate {}", job.input.display())),
        Stage::Read | Stage::Write => error,
    }
}
