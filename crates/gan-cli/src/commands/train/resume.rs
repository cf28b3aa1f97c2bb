//! `--resume`: which method, with which configuration, and by which command line.

use super::Args;
use super::settings::{files, over, root};
use crate::commands::data_folders::places;
use crate::exit::{BAD_MODEL, Coded, USAGE};
use crate::shell::quoted;
use anyhow::bail;
use gan_train::config::{ConfigSource, differences};
use gan_train::run::read_config;
use gan_train::storage::Disk;
use gan_train::{Error, METHODS, MethodConfig, MethodSpec, find, resume_config};
use std::path::Path;

/// The command that resumes what `call` (`train pix2pix`, `demo`) began, to be copied into a shell.
pub(crate) fn command(call: &str, out: &Path, device: &str) -> String {
    let device = if device == "cpu" { String::new() } else { format!(" --device {device}") };
    format!("gan-cli {call} --out {} --resume{device}", quoted(out))
}

/// The method that is named, or with --resume that of the run.
pub(super) fn method(args: &Args) -> anyhow::Result<&'static MethodSpec> {
    let named = args.method.as_deref().map(|name| find(METHODS, name)).transpose()?;
    let of_run = if args.resume { of_run(&args.out) } else { None };
    match (named, of_run) {
        (Some(named), Some(of_run)) if named.name != of_run.name => {
            let command = command(&format!("train {}", of_run.name), &args.out, &args.device_config.device);
            let (out, is, not) = (args.out.display(), of_run.name, named.name);
            bail!(Coded(BAD_MODEL, format!("{out}: this run is {is}, not {not}; resume it with: {command}")))
        }
        (_, Some(of_run)) => Ok(of_run),
        (Some(named), None) => Ok(named),
        (None, None) => {
            read_config(&Disk, &args.out)?;
            let message =
                format!("{}: neither a checkpoint nor run.json names the method; name it", args.out.display());
            bail!(Coded(USAGE, message))
        }
    }
}

/// The method of a run: its checkpoints know it, and before the first one `run.json` does.
pub(crate) fn of_run(run: &Path) -> Option<&'static MethodSpec> {
    gan_train::run_method(METHODS, run).ok().flatten()
}

/// The configuration with which the run goes on. With a preset or a file, the command line says the whole configuration
/// as at the start; without, it says what changes. Changes that a run cannot make are refused, the others are noted.
pub(super) fn config(args: &Args, method: &MethodSpec) -> anyhow::Result<Box<dyn MethodConfig>> {
    let of_start = files(args, method)?;
    let whole = !of_start.is_empty();
    let root = root(args)?;
    let mut before = toml::Table::new();
    let resumed = resume_config(&args.out, method, |saved| {
        let mut base = match whole {
            true => of_start.into_iter().chain(places(&saved.data())).collect(),
            false => vec![ConfigSource::saved(saved)?],
        };
        base.extend(root);
        before = saved.to_table()?;
        Ok(over(base, args, method)?.config)
    });
    let config = resumed.map_err(|error| match error {
        Error::RefusedChanges { file: None, .. } if whole => {
            let hint = "leave --preset and --config out to resume with the run's own configuration";
            anyhow::Error::from(Coded(BAD_MODEL, format!("{error}\n{hint}")))
        }
        other => other.into(),
    })?;
    for change in differences(&before, &config.to_table()?)? {
        note!("note: this run changes {change}");
    }
    Ok(config)
}
