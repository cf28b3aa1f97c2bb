//! `cargo xtask fetch-data`: `gan-cli fetch` for a checkout in which nothing is built yet.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use gan_fetch::{Catalog, Error, Fetcher, Options, Patience, list};

use crate::UsageError;
use crate::args::{Arg, Args};
use crate::progress::Terminal;

const USAGE: &str = "\
Usage: cargo xtask fetch-data [NAME…] [OPTIONS]

Fetches datasets and weights of the catalogue (crates/gan-fetch/catalog.toml). What is there and intact is skipped; what
broke off is continued. Without a NAME it shows the list.

Options:
  --list             what there is and what is here, with sizes and licences
  --dir DIR          data directory (default: $GAN_DATA_DIR, else $XDG_DATA_HOME/gan-cli, else ~/.local/share/gan-cli)
  --offline          check what is here, fetch nothing
  --accept-licence   fetch entries whose terms restrict use
  --base-url URL     fetch every path from this scheme and host instead
  --catalog FILE     read another catalogue";

#[derive(Debug, Default)]
struct Request {
    names: Vec<String>,
    list: bool,
    dir: Option<PathBuf>,
    catalog: Option<PathBuf>,
    options: Options,
}

/// Runs the command; `words` are its arguments.
pub(crate) fn command(words: Vec<String>) -> Result<()> {
    let Some(request) = parse(words).map_err(|error| UsageError(format!("{error}\n\n{USAGE}")))? else {
        println!("{USAGE}");
        return Ok(());
    };
    let dir = gan_fs::data_dir(request.dir.as_deref())
        .context("no home directory is known; give --dir or set GAN_DATA_DIR")?;
    let catalog = match &request.catalog {
        None => Catalog::embedded()?,
        Some(path) => Catalog::read(path)?,
    };
    if request.list || request.names.is_empty() {
        print!("{}", list(&catalog, &dir)?);
        return Ok(());
    }
    let mut entries = Vec::new();
    for name in &request.names {
        entries.extend(catalog.find(name).map_err(|error| UsageError(error.to_string()))?);
    }
    let mut fetcher = match Fetcher::open(&dir, request.options) {
        Err(error @ Error::Address(_)) => return Err(UsageError(format!("--base-url: {error}")).into()),
        opened => opened?,
    };
    let mut failed = 0;
    for entry in &entries {
        match fetcher.fetch(entry, &mut Terminal::default()) {
            Ok(outcome) => println!("{}: {outcome}", entry.name()),
            Err(error) => {
                failed += 1;
                let (remedy, by_hand) = (remedy(&error), error.is_of_the_source());
                eprintln!("error: {}: {:#}{remedy}", entry.name(), anyhow::Error::new(error));
                if by_hand {
                    eprintln!("by hand:");
                    entry.by_hand(&dir).iter().enumerate().for_each(|(i, step)| eprintln!("  {}. {step}", i + 1));
                }
            }
        }
    }
    if failed > 0 {
        bail!("{failed} of {} not fetched", entries.len());
    }
    Ok(())
}

/// What helps against an error, in words of this command line.
fn remedy(error: &Error) -> &'static str {
    match error {
        Error::Restricted { .. } => "\nrun again with --accept-licence if you accept them",
        Error::Absent { .. } => "; run again without --offline",
        _ if error.is_disk_full() => "; make room or give another --dir, then run the same command again",
        _ => "",
    }
}

/// `None` when help was asked for.
fn parse(words: Vec<String>) -> Result<Option<Request>> {
    let options = Options { patience: Patience::from_env(), ..Options::default() };
    let mut request = Request { options, ..Request::default() };
    let mut args = Args::new(words);
    while let Some(arg) = args.next()? {
        match arg {
            Arg::Word(name) => request.names.push(name),
            Arg::Flag(flag) => match flag.as_str() {
                "help" => return Ok(None),
                "list" => request.list = true,
                "offline" => request.options.offline = true,
                "accept-licence" | "accept-license" => request.options.accept_licence = true,
                "dir" => request.dir = Some(args.value(&flag)?.into()),
                "catalog" => request.catalog = Some(args.value(&flag)?.into()),
                "base-url" => request.options.base_url = Some(args.value(&flag)?),
                _ => bail!("no option --{flag}"),
            },
        }
    }
    Ok(Some(request))
}
