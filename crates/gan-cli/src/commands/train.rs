//! `gan-cli train`.

use crate::exit::{Coded, Done};
use crate::place::PlaceArgs;
use crate::progress::Progress;
use crate::{interrupt, presets};
use anyhow::bail;
use clap::builder::PossibleValuesParser;
use gan_train::config::Layer;
use gan_train::events::Finish;
use gan_train::{Job, METHODS, MethodSpec, methods, require_method, resume_config};
use std::path::{Path, PathBuf};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The method
    #[arg(value_parser = PossibleValuesParser::new(METHODS.iter().map(|m| clap::builder::PossibleValue::new(m.name).help(m.about))))]
    method: String,
    /// Folder of the dataset, or the name of a fetched one
    #[arg(long)]
    data: Option<PathBuf>,
    /// Run folder to write
    #[arg(long)]
    out: PathBuf,
    /// Start from a preset's settings
    #[arg(long)]
    preset: Option<String>,
    /// Settings from a TOML file, over the preset
    #[arg(long)]
    config: Option<PathBuf>,
    /// One setting, over everything else: `train.lr=1e-4`, or `lr=1e-4` where the name is unique
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Go on with the run in --out
    #[arg(long)]
    resume: bool,
    #[command(flatten)]
    place: PlaceArgs,
}

pub(crate) fn run(args: Args) -> anyhow::Result<Done> {
    let method = methods::find(&args.method)?;
    let config = resolved(&args, method)?;
    let place = args.place.open()?;
    let job = Job {
        method,
        config,
        run: args.out.clone(),
        resume: args.resume,
        place,
        argv: std::env::args().collect(),
        version: env!("CARGO_PKG_VERSION").into(),
        stop: interrupt::flag(),
        observers: vec![Box::new(Progress::new())],
    };
    let outcome = gan_train::train(job)?;
    if outcome.finish == Finish::NothingLeft {
        eprintln!("nothing left to do: all steps are done ({}); raise n_epochs or max_steps to train on", outcome.step);
        return Ok(Done::Complete);
    }
    let gallery = args.out.join("gallery/index.html");
    if outcome.finish == Finish::Interrupted {
        eprintln!("interrupted at step {}; go on with the same command and --resume", outcome.step);
        return Ok(Done::Interrupted);
    }
    eprintln!(
        "done. Look at {}, translate with `gan-cli translate --model {} …`",
        gallery.display(),
        args.out.display()
    );
    Ok(Done::Complete)
}

fn resolved(args: &Args, method: &MethodSpec) -> anyhow::Result<toml::Table> {
    let settings = || args.set.iter().cloned().map(Layer::Setting);
    let root = args.data.as_deref().map(dataset_root);
    let root =
        root.map(|path| Layer::Setting(format!("data.root={}", toml::Value::String(path.display().to_string()))));
    if args.resume {
        if args.preset.is_some() || args.config.is_some() {
            bail!(Coded(2, "--resume takes the run's own configuration: leave --preset and --config out".into()));
        }
        require_method(&args.out, method)?;
        return Ok(resume_config(&args.out, |saved| {
            let saved = Layer::Text { name: "config.toml".into(), toml: saved.to_string() };
            (method.resolve)(&std::iter::once(saved).chain(root).chain(settings()).collect::<Vec<_>>())
        })?);
    }
    let mut layers = Vec::new();
    if let Some(name) = &args.preset {
        layers.push(presets::layer(method.name, name)?);
    }
    if let Some(path) = &args.config {
        layers.push(Layer::file(path)?);
    }
    layers.extend(root);
    layers.extend(settings());
    Ok((method.resolve)(&layers)?)
}

/// A path as it is, or else the name of a fetched dataset.
pub(crate) fn dataset_root(path: &Path) -> PathBuf {
    let fetched = gan_data::data_dir().join("datasets").join(path);
    if !path.exists() && path.components().count() == 1 && fetched.is_dir() { fetched } else { path.to_path_buf() }
}
