//! `gan-cli fetch`.

mod bar;

use crate::exit::{Coded, Done, USAGE};
use crate::output::answer;
use crate::{interrupt, process, remedies, shell};
use anyhow::Context;
use bar::Bar;
use gan_fetch::{Catalog, Entry, Error, Fetcher, Options, Outcome, Patience, Section};
use std::path::{Path, PathBuf};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Names of the list; without one, the list
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// List what there is and what is here: state, size, licence, the methods that it fits, a command to try
    #[arg(long)]
    list: bool,
    /// Data directory [default: $GAN_DATA_DIR, else $XDG_DATA_HOME/gan-cli, else ~/.local/share/gan-cli]
    #[arg(long, value_name = "DIR", alias = "dir")]
    out: Option<PathBuf>,
    /// Check what is here, fetch nothing
    #[arg(long)]
    offline: bool,
    /// Fetch what has terms that restrict use
    #[arg(long, alias = "accept-license")]
    accept_licence: bool,
    /// Fetch every path from this scheme and host instead
    #[arg(long, value_name = "URL")]
    base_url: Option<String>,
    /// Read another catalogue
    #[arg(long, value_name = "FILE")]
    catalog: Option<PathBuf>,
}

pub(crate) fn run(args: Args) -> anyhow::Result<Done> {
    let dir =
        gan_fs::data_dir(args.out.as_deref()).context("no home directory is known; give --out or set GAN_DATA_DIR")?;
    let catalog = match &args.catalog {
        None => Catalog::embedded()?,
        Some(path) => Catalog::read(path)?,
    };
    if args.list || args.names.is_empty() {
        answer(gan_fetch::list(&catalog, &dir)?.as_bytes());
        return Ok(Done::Complete);
    }
    let mut entries = Vec::new();
    for name in &args.names {
        entries.extend(catalog.find(name).map_err(|error| Coded(USAGE, error.to_string()))?);
    }
    let options = Options {
        offline: args.offline,
        accept_licence: args.accept_licence,
        base_url: args.base_url,
        patience: Patience::from_env(),
    };
    let mut fetcher = match Fetcher::open(&dir, options) {
        Err(error @ Error::Address(_)) => return Err(Coded(USAGE, format!("--base-url: {error}")).into()),
        opened => opened?,
    };
    // Whatever was being done, the next call goes on with it: nothing has to be brought to an end first.
    interrupt::leave_with(format!("interrupted; what came is kept. Run again to go on: {}", again()));
    let mut failures = Vec::new();
    for entry in &entries {
        match fetcher.fetch(entry, &mut Bar::new()) {
            Ok(outcome) => report(entry, &outcome, &dir),
            Err(error) => failures.push(failure(entry, &error, &dir)),
        }
    }
    match (&failures[..], entries.len()) {
        ([], _) => Ok(Done::Complete),
        ([only], 1) => Err(Coded(1, only.clone()).into()),
        (all, of) => {
            all.iter().for_each(|failure| note!("error: {failure}"));
            Err(Coded(1, format!("{} of {of} not fetched", all.len())).into())
        }
    }
}

/// This call, to be copied into a shell.
fn again() -> String {
    let words = process::command_line();
    let rest = words.iter().skip(1).map(|word| match word.strip_prefix("--") {
        Some(option) => format!("--{}", shell::quoted(Path::new(option))),
        None => shell::quoted(Path::new(word)),
    });
    std::iter::once("gan-cli".to_owned()).chain(rest).collect::<Vec<_>>().join(" ")
}

fn report(entry: &Entry, outcome: &Outcome, dir: &Path) {
    out!("{}: {outcome}", entry.name());
    if let Some(example) = entry.example(dir) {
        out!("  try: {example}");
    }
    let elsewhere = gan_fs::data_dir(None).is_none_or(|default| default != dir);
    if elsewhere && entry.section() == Some(Section::Networks) {
        out!("  other commands look there with GAN_DATA_DIR={}", shell::quoted(dir));
    }
}

/// What went wrong, and what helps.
fn failure(entry: &Entry, error: &Error, dir: &Path) -> String {
    let mut text = format!("{}: {error}", entry.name());
    if let Some(cause) = std::error::Error::source(error) {
        text += &format!(": {cause}");
    }
    if let Some(remedy) = remedies::of(error) {
        text += &format!("\n{remedy}");
    }
    if error.is_of_the_source() {
        text += "\nby hand:";
        for (i, step) in entry.by_hand(dir).iter().enumerate() {
            text += &format!("\n  {}. {step}", i + 1);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::args::Cli;
    use crate::presets;
    use clap::CommandFactory;
    use gan_train::METHODS;

    /// What the list tells to try can be tried.
    #[test]
    fn the_commands_of_the_catalogue_exist() {
        let catalog = Catalog::embedded().unwrap();
        let mut seen = 0;
        for entry in catalog.entries() {
            for method in entry.methods() {
                assert!(METHODS.iter().any(|known| known.name == method), "{}: {method}", entry.name());
            }
            let Some(example) = entry.example(Path::new("/data")) else { continue };
            let words: Vec<&str> = example.split(' ').collect();
            Cli::command().try_get_matches_from(&words).unwrap_or_else(|error| panic!("{example}: {error}"));
            let after = |option: &str| words.iter().position(|word| *word == option).map(|at| words[at + 1]);
            if let Some(preset) = after("--preset") {
                presets::find(words[2], preset).unwrap();
                assert_eq!(entry.methods()[0], words[2], "{example}");
            }
            seen += 1;
        }
        assert!(seen > 40, "{seen}");
    }
}
