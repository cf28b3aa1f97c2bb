//! A fetch as a process of its own, which can be killed, limited and asked twice: this very program, with one test and a request in its
//! environment.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "the process speaks on its standard streams")]

use std::env;
use std::path::PathBuf;
use std::process::Command;

use gan_fetch::{Catalog, Error, Fetcher, Meter, Options, Patience, Progress, list};

const REQUEST: &str = "GAN_FETCH_TEST_REQUEST";
const DIR: &str = "GAN_FETCH_TEST_DIR";
const CATALOG: &str = "GAN_FETCH_TEST_CATALOG";

/// The process, not started yet. `args` are names and options as `gan-cli fetch` takes them.
pub(crate) fn command(args: &[&str], dir: PathBuf, catalog: PathBuf) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", "support::child::the_child", "--nocapture", "--quiet"]);
    command.env(REQUEST, args.join("\n")).env(DIR, dir).env(CATALOG, catalog);
    command
}

struct Lines;

impl Progress for Lines {
    fn note(&mut self, text: &str) {
        eprintln!("{text}");
    }
    fn moved(&mut self, _: &Meter) {}
}

/// What the process does. Called without a request, as one test of many, it does nothing.
#[test]
fn the_child() {
    let Ok(request) = env::var(REQUEST) else { return };
    match run(&request) {
        Ok(0) => std::process::exit(0),
        Ok(_) => {}
        Err(error) => eprintln!("error: {}", with_causes(&error)),
    }
    std::process::exit(1);
}

/// The number of entries that did not come.
fn run(request: &str) -> gan_fetch::Result<usize> {
    let (mut names, mut lists) = (Vec::new(), false);
    let mut options = Options { patience: Patience::from_env(), ..Options::default() };
    let mut words = request.split('\n');
    while let Some(word) = words.next() {
        match word {
            "--list" => lists = true,
            "--offline" => options.offline = true,
            "--accept-licence" => options.accept_licence = true,
            "--base-url" => options.base_url = words.next().map(str::to_owned),
            name => names.push(name),
        }
    }
    let dir = PathBuf::from(env::var_os(DIR).unwrap());
    let catalog = Catalog::read(&PathBuf::from(env::var_os(CATALOG).unwrap()))?;
    if lists {
        print!("{}", list(&catalog, &dir)?);
        return Ok(0);
    }
    let mut fetcher = Fetcher::open(&dir, options)?;
    let mut failed = 0;
    for name in names {
        for entry in catalog.find(name)? {
            match fetcher.fetch(entry, &mut Lines) {
                Ok(outcome) => println!("{name}: {outcome}"),
                Err(error) => {
                    failed += 1;
                    eprintln!("error: {name}: {}\nby hand: {}", with_causes(&error), entry.by_hand(&dir).join("; "));
                }
            }
        }
    }
    Ok(failed)
}

fn with_causes(error: &Error) -> String {
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
    format!("{error}{cause}")
}
