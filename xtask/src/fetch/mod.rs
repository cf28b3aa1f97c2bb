//! `cargo xtask fetch-data`: brings datasets and weights of the catalogue into the data directory.
//!
//! The promise: either the file with the catalogue's (or the lock file's) hash is in its place, or nothing is.

mod catalog;
mod download;
mod headers;
mod http;
mod list;
mod lock_file;
mod part;
mod progress;
mod sniff;
mod store;
mod subset;
mod tries;
mod unpack;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use gan_fs::read_regular;

use crate::UsageError;
use crate::args::{Arg, Args};
use crate::data_dir::{Platform, data_dir};
use crate::file_lock;
use crate::human;
use catalog::{Catalog, Entry};
use download::{Wanted, download};
use http::{Client, Patience};
use progress::Progress;
use store::{Look, State, Store};

/// The most bytes that a catalogue may have.
const MAX_CATALOG: u64 = 1 << 24;

const USAGE: &str = "\
Usage: cargo xtask fetch-data [NAME…] [OPTIONS]

Fetches datasets and weights of the catalogue (assets/catalog.toml). What is there and intact is skipped; what broke off
is continued. Without a NAME it shows the list.

Options:
  --list             what there is and what is here, with sizes and licences
  --dir DIR          data directory (default: $GAN_DATA_DIR, else $XDG_DATA_HOME/gan-cli, else ~/.local/share/gan-cli)
  --offline          check what is here, fetch nothing
  --accept-licence   fetch entries whose terms restrict use
  --base-url URL     fetch every path from this scheme and host instead
  --catalog FILE     read another catalogue";

#[derive(Debug, Default)]
struct Options {
    names: Vec<String>,
    list: bool,
    dir: Option<PathBuf>,
    offline: bool,
    accept_licence: bool,
    base_url: Option<String>,
    catalog: Option<PathBuf>,
}

/// Runs the command; `words` are its arguments.
pub(crate) fn command(words: Vec<String>) -> Result<()> {
    let Some(options) = parse(words).map_err(|error| UsageError(format!("{error}\n\n{USAGE}")))? else {
        println!("{USAGE}");
        return Ok(());
    };
    let dir = data_dir(options.dir.as_deref(), Platform::current(), |name| std::env::var_os(name))
        .context("no home directory is known; give --dir or set GAN_DATA_DIR")?;
    let catalog = match &options.catalog {
        None => Catalog::embedded()?,
        Some(path) => {
            let bytes = read_regular(path, MAX_CATALOG).with_context(|| format!("cannot read {}", path.display()))?;
            let text = String::from_utf8(bytes).with_context(|| format!("{} is no text", path.display()))?;
            Catalog::parse(&text).with_context(|| path.display().to_string())?
        }
    };
    if options.list || options.names.is_empty() {
        print!("{}", list::render(&catalog, &Store::open(&dir)?, &dir)?);
        return Ok(());
    }
    let mut entries = Vec::new();
    for name in &options.names {
        entries.extend(catalog.find(name).map_err(|error| UsageError(error.to_string()))?);
    }
    let _lock = match options.offline {
        true => None,
        false => Some(file_lock::acquire(&Store::workshop(&dir)?, "fetch-data", "this data directory")?),
    };
    let mut store = Store::open(&dir)?;
    let client = Client::new(Patience::from_env());
    let mut failed = 0;
    for entry in &entries {
        if let Err(error) = fetch(entry, &mut store, &client, &options) {
            failed += 1;
            eprintln!("error: {}: {error:#}{}", entry.name, manual(entry, &store.path(entry)));
        }
    }
    if failed > 0 {
        bail!("{failed} of {} not fetched", entries.len());
    }
    Ok(())
}

/// `None` when help was asked for.
fn parse(words: Vec<String>) -> Result<Option<Options>> {
    let mut options = Options::default();
    let mut args = Args::new(words);
    while let Some(arg) = args.next()? {
        match arg {
            Arg::Word(name) => options.names.push(name),
            Arg::Flag(flag) => match flag.as_str() {
                "help" => return Ok(None),
                "list" => options.list = true,
                "offline" => options.offline = true,
                "accept-licence" | "accept-license" => options.accept_licence = true,
                "dir" => options.dir = Some(args.value(&flag)?.into()),
                "catalog" => options.catalog = Some(args.value(&flag)?.into()),
                "base-url" => {
                    let base = args.value(&flag)?;
                    http::rebase("http://host/", &base).map_err(|reason| anyhow!("--base-url: {reason}"))?;
                    options.base_url = Some(base);
                }
                _ => bail!("no option --{flag}"),
            },
        }
    }
    Ok(Some(options))
}

fn fetch(entry: &Entry, store: &mut Store, client: &Client, options: &Options) -> Result<()> {
    let name = &entry.name;
    let place = store.path(entry);
    let place = place.display();
    match store.state(entry, Look::Full)? {
        State::Intact => {
            println!("{name}: present and intact at {place}");
            return Ok(());
        }
        State::Unverified => {
            println!("{name}: {place} is there already; fetch-data did not put it there and leaves it as it is");
            return Ok(());
        }
        State::Damaged(how) if options.offline => bail!("damaged: {how}"),
        State::Damaged(how) => eprintln!("{name}: damaged ({how}); fetching it again"),
        State::Absent if options.offline => bail!("not at {place}, and --offline forbids fetching it"),
        State::Absent => {}
    }
    if entry.urls.is_empty() {
        bail!("cannot be fetched: {}", entry.terms);
    }
    if entry.restricted && !options.accept_licence {
        bail!("its terms restrict use: {}\nrun again with --accept-licence if you accept them", entry.terms);
    }
    println!("{name}: {} [{}]", entry.about, entry.licence);
    let mut urls = entry.urls.clone();
    if let Some(base) = &options.base_url {
        urls = urls.iter().map(|url| http::rebase(url, base)).collect::<Result<_, _>>().map_err(|e| anyhow!(e))?;
        urls.dedup();
    }
    let remembered = store.record(entry).map(|record| record.sha256.clone());
    let wanted = Wanted {
        urls: &urls,
        format: entry.format,
        bytes: entry.bytes,
        approx: entry.approx_bytes(),
        sha256: entry.sha256.as_deref(),
        md5: entry.md5.as_deref(),
        remembered: remembered.as_deref(),
    };
    let mut progress = Progress::new(name);
    let fetched = download(client, &wanted, &store.part(entry), &mut progress)?;
    drop(progress);
    let record = store.place(entry, &fetched)?;
    let (files, bytes) = (record.stored_files, human::bytes(record.stored_bytes));
    println!("{name}: {files} {}, {bytes}, at {place}", if files == 1 { "file" } else { "files" });
    if entry.sha256.is_none() && entry.md5.is_none() && remembered.is_none() {
        println!("{name}: no hash is published; fetch.lock.toml now remembers {}", record.sha256);
    }
    Ok(())
}

/// The steps that are left when fetching failed, ready to be appended to a message.
fn manual(entry: &Entry, place: &Path) -> String {
    let place = place.display().to_string();
    let mut steps: Vec<String> = entry.manual.iter().map(|step| step.replace("{stored}", &place)).collect();
    if steps.is_empty() {
        let action = if entry.format.is_archive() { "unpack it as" } else { "put it at" };
        steps.push(format!("download {} by other means", entry.urls.join(" or ")));
        steps.push(format!("{action} {place}"));
    }
    let steps: String = steps.iter().enumerate().map(|(i, step)| format!("\n  {}. {step}", i + 1)).collect();
    format!("\nby hand:{steps}")
}
