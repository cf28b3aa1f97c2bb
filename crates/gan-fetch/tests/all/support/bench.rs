//! A work bench for one test: a folder with a canary beside the data directory, and fetches as processes.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use tempfile::TempDir;

use super::child;

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) text: String,
}

impl Ended {
    /// Asserts success.
    #[track_caller]
    pub(crate) fn well(&self) -> &Self {
        assert_eq!(self.code, Some(0), "{}", self.text);
        self
    }

    /// Asserts that the fetch failed (not: crashed) and said so.
    #[track_caller]
    pub(crate) fn badly(&self, said: &str) -> &Self {
        assert_eq!(self.code, Some(1), "{}", self.text);
        self.said(said)
    }

    #[track_caller]
    pub(crate) fn said(&self, what: &str) -> &Self {
        assert!(self.text.contains(what), "expected `{what}` in:\n{}", self.text);
        self
    }
}

/// See the module.
pub(crate) struct Bench {
    folder: TempDir,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let bench = Self { folder: tempfile::tempdir().unwrap() };
        fs::write(bench.path("canary"), "sings").unwrap();
        bench
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The data directory.
    pub(crate) fn data(&self, name: &str) -> PathBuf {
        self.path("data").join(name)
    }

    /// Writes a catalogue of one dataset `set`.
    pub(crate) fn dataset(&self, format: &str, urls: &[String], more: &str) {
        self.catalog("dataset", "set", format, urls, more);
    }

    /// Writes a catalogue of one weights file `net`.
    pub(crate) fn weights(&self, format: &str, urls: &[String], more: &str) {
        self.catalog("weights", "net", format, urls, more);
    }

    fn catalog(&self, kind: &str, name: &str, format: &str, urls: &[String], more: &str) {
        let text = format!(
            "[[{kind}]]\nname = '{name}'\nabout = 'a test'\nlicence = 'CC0'\nformat = '{format}'\nurls = {urls:?}\n{more}\n"
        );
        fs::write(self.path("catalog.toml"), text).unwrap();
    }

    /// A fetch with short patience; not run yet.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = child::command(args, self.path("data"), self.path("catalog.toml"));
        command.env("GAN_FETCH_BACKOFF_MS", "1").env("GAN_FETCH_STALL_MS", "5000").stdin(Stdio::null());
        for proxy in ["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
            command.env_remove(proxy);
        }
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Ended {
        ended(self.command(args).output().unwrap())
    }

    pub(crate) fn spawn(&self, args: &[&str]) -> Child {
        self.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Bytes of the half-fetched file, if there is one.
    pub(crate) fn part(&self, name: &str) -> Option<Vec<u8>> {
        fs::read(self.data(&format!(".fetch/parts/{name}.part"))).ok()
    }

    /// Asserts that a failed fetch left nothing where gan-cli looks, and nothing outside the data directory.
    #[track_caller]
    pub(crate) fn assert_nothing_came(&self) {
        for folder in ["datasets", "weights"] {
            assert_eq!(tree(&self.data(folder)), BTreeMap::new());
        }
        assert_eq!(tree(&self.data(".fetch/staging")), BTreeMap::new());
        self.assert_canary();
    }

    /// Asserts that beside the data directory everything is as it was.
    #[track_caller]
    pub(crate) fn assert_canary(&self) {
        let mut names: Vec<_> = fs::read_dir(self.folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.sort();
        names.retain(|name| name != "data");
        assert_eq!(names, ["canary", "catalog.toml"]);
        assert_eq!(fs::read_to_string(self.path("canary")).unwrap(), "sings");
    }
}

pub(crate) fn ended(output: Output) -> Ended {
    let text = [output.stdout, output.stderr].concat();
    Ended { code: output.status.code(), text: String::from_utf8_lossy(&text).into_owned() }
}

/// Every file below a folder, with its bytes; empty when there is no such folder.
pub(crate) fn tree(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let Ok(children) = fs::read_dir(folder) else { return files };
    for child in children {
        let child = child.unwrap();
        let name = child.file_name().to_string_lossy().into_owned();
        if child.file_type().unwrap().is_dir() {
            files.extend(tree(&child.path()).into_iter().map(|(below, data)| (format!("{name}/{below}"), data)));
        } else {
            files.insert(name, fs::read(child.path()).unwrap_or_default());
        }
    }
    files
}
