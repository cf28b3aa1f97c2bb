//! `gan-cli train`.

mod dry_run;
mod fine_tuning;
mod finish;
pub(crate) mod resume;
mod settings;

pub(crate) use finish::Launch;
pub(crate) use settings::{sized, tell};

use crate::commands::data_folders::FolderArgs;
use crate::device::DeviceArgs;
use crate::exit::{BAD_MODEL, Coded, Done, USAGE};
use crate::progress::{Progress, Said};
use crate::start::Start;
use crate::{interrupt, presets, process, ranks};
use anyhow::bail;
use clap::builder::{PossibleValue, PossibleValuesParser};
use fine_tuning::FineTuningArgs;
use gan_data::DataConfig;
use gan_train::config::Origins;
use gan_train::events::Finish;
use gan_train::{Communicator, Error, Job, METHODS, Single, Traced};
use settings::Shortcuts;
use std::path::{Path, PathBuf};
use std::sync::Arc;

#[derive(clap::Args)]
#[command(after_long_help = presets::help())]
pub(crate) struct Args {
    /// The method; with --resume it may be left out
    #[arg(required_unless_present = "resume",
        value_parser = PossibleValuesParser::new(METHODS.iter().map(|m| PossibleValue::new(m.name).help(m.about))))]
    method: Option<String>,
    /// Folder of the dataset, or the name of a fetched one
    #[arg(long)]
    data: Option<PathBuf>,
    #[command(flatten)]
    folders: FolderArgs,
    /// Run folder to write
    #[arg(long)]
    out: PathBuf,
    /// Start from a preset's settings; --help lists the presets
    #[arg(long)]
    preset: Option<String>,
    /// Settings from a TOML file, over the preset
    #[arg(long)]
    config: Option<PathBuf>,
    #[command(flatten)]
    shortcuts: Shortcuts,
    #[command(flatten)]
    fine_tuning: FineTuningArgs,
    /// One setting, over everything else: `train.lr=1e-4`, or `lr=1e-4` where the name is unique. With
    /// `validation.every=5`, held-out images (`validation.split`) are translated and measured every five epochs
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Resume the run in --out. Its configuration is in the run folder; the command line of the start is accepted as well,
    /// as long as it gives the same configuration
    #[arg(long)]
    resume: bool,
    /// Train nothing: print the configuration with where each value is from, what was found and built, and from two steps whose
    /// weights are thrown away how long the run would take, in how much memory. Nothing is written
    #[arg(long, conflicts_with = "resume")]
    dry_run: bool,
    /// Print JSON: what --dry-run finds, or when the run ends, how, at which step, and its checkpoints
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    said: Said,
    #[command(flatten)]
    device_config: DeviceArgs,
}

pub(crate) fn run(args: Args) -> anyhow::Result<Done> {
    let method = resume::method(&args)?;
    let (config, origins) = match args.resume {
        true => (resume::config(&args, method)?, Origins::new()),
        false => {
            let Traced { config, origins, .. } = settings::at_start(&args, method)?;
            (config, origins)
        }
    };
    let data = config.data();
    if !data.names_files() && !data.mode.is_procedural() {
        bail!(Coded(
            USAGE,
            "name the dataset with --data, or its folders with --a and --b or --labels and --images".into()
        ));
    }
    args.said.check()?;
    let ranks: Arc<dyn Communicator> =
        if args.dry_run { Arc::new(Single) } else { ranks::join(&args.device_config.device)? };
    let device_config = args.device_config.open()?;
    let start = Start::of(&*config, args.preset.as_deref(), &args.out)?.on_ranks(ranks.size());
    refuse_overlap(&args.out, &data, &start.folders)?;
    let launch = Launch {
        command: resume::command(&format!("train {}", method.name), &args.out, &args.device_config.device),
        out: args.out.clone(),
        train: config.train().clone(),
        quiet: args.said.quiet,
        json: args.json,
    };
    let mut job = Job {
        method,
        config,
        dataset: None,
        run: args.out.clone(),
        resume: args.resume,
        device_config,
        argv: process::command_line(),
        version: env!("CARGO_PKG_VERSION").into(),
        revision: option_env!("GAN_REVISION").map(Into::into),
        stop: interrupt::flag(),
        observers: Vec::new(),
        ranks,
    };
    if args.dry_run {
        return dry_run::run(job, &start, &origins, args.json).map_err(|error| match error.downcast() {
            Ok(error @ Error::InitialWeights { .. }) => fine_tuning::worded(error),
            Ok(error) => error.into(),
            Err(error) => error,
        });
    }
    if job.ranks.rank() == 0 {
        job.observers.push(Box::new(Progress::new(start, args.said, job.stop.clone())));
    }
    let first = job.ranks.rank() == 0;
    match gan_train::train(job) {
        Err(error @ Error::RunFolder { .. }) if !args.resume => Err(taken(error, &args)),
        Err(error @ Error::InitialWeights { .. }) => Err(fine_tuning::worded(error)),
        // The first rank says it.
        Ok(outcome) if !first && outcome.finish == Finish::Interrupted => Ok(Done::Interrupted),
        Ok(_) if !first => Ok(Done::Complete),
        ended => launch.report(ended),
    }
}

/// A folder that is taken, with the way to resume if a run has it.
fn taken(error: Error, args: &Args) -> anyhow::Error {
    let Some(of_run) = resume::of_run(&args.out) else { return error.into() };
    let command = resume::command(&format!("train {}", of_run.name), &args.out, &args.device_config.device);
    Coded(BAD_MODEL, format!("{error}\nresume it with: {command}")).into()
}

/// Refuses a run folder among the images that the run reads: its previews would become training data.
fn refuse_overlap(run: &Path, data: &DataConfig, folders: &[PathBuf]) -> anyhow::Result<()> {
    let places = if data.mode.is_procedural() { Vec::new() } else { data.named_places() };
    let refuse = |what: String| {
        let message = format!("{} {what}; choose another folder with --out", run.display());
        bail!(Coded(USAGE, message))
    };
    if let Some(place) = places.iter().find(|place| gan_fs::is_within(place, run)) {
        return refuse(match gan_fs::is_within(run, place) {
            true => "is the dataset itself".into(),
            false => format!("holds the dataset {}", place.display()),
        });
    }
    match folders.iter().find(|folder| gan_fs::is_within(run, folder)) {
        Some(folder) => refuse(format!("lies among the images of {}", folder.display())),
        None => Ok(()),
    }
}
