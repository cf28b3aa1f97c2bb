//! Options and configuration keys that messages, help and documentation name do exist. (Tests only.)

#![allow(clippy::unwrap_used)]

mod mentions;
mod sources;

use crate::args::Cli;
use clap::{Command, CommandFactory};
use gan_train::METHODS;
use mentions::{Mention, mentions};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Options that texts name beside ours: those of cargo and xtask, of the references where the help explains them, and of launchers of
/// processes.
#[rustfmt::skip]
const APART: &[&str] = &[
    "all", "bench", "example", "features", "lib", "path", "release", "test", "workspace",
    "accept-licence", "allow-dirty", "base-url", "catalog", "check", "dir", "dry-run", "list", "no-verify", "offline", "only", "program",
    "rm", "strip-components", "target", "without-nccl",
    "resize_or_crop", "logdir", "directory",
    "cpus-per-task", "gpus-per-node", "kill-on-bad-exit", "mca", "mpi", "no-python", "nodes", "nproc-per-node", "ntasks-per-node", "open-mode", "requeue",
    "signal",
];

/// What exists.
struct Known {
    /// The options of each command, by its words: `train`, `dataset pairs`.
    commands: BTreeMap<String, BTreeSet<String>>,
    /// Options of other programs.
    apart: BTreeSet<String>,
    /// Dotted paths.
    keys: BTreeSet<String>,
}

impl Known {
    fn new(apart: impl IntoIterator<Item = String>) -> Self {
        let mut commands = BTreeMap::new();
        collect(&Cli::command(), "", &mut commands);
        let keys = METHODS.iter().flat_map(|method| (method.keys)().unwrap()).map(|(key, _)| key).collect();
        Known { commands, apart: apart.into_iter().chain(APART.iter().map(ToString::to_string)).collect(), keys }
    }

    fn has_option(&self, command: Option<&str>, option: &str) -> bool {
        if ["help", "version"].contains(&option) {
            return true;
        }
        match command.and_then(|command| self.commands.get(command)) {
            Some(options) => options.contains(option),
            None => self.apart.contains(option) || self.commands.values().any(|options| options.contains(option)),
        }
    }

    /// A key by its path or the end of it, or a table.
    fn has_key(&self, key: &str) -> bool {
        let (end, table) = (format!(".{key}"), format!("{key}."));
        self.keys.iter().any(|path| path == key || path.ends_with(&end) || path.starts_with(&table))
    }

    /// The mentions of a text that lead nowhere.
    fn wrong(&self, text: &str) -> Vec<String> {
        let tables: BTreeSet<&str> = self.keys.iter().filter_map(|path| path.split('.').next()).collect();
        let commands: Vec<&str> = self.commands.keys().map(String::as_str).collect();
        let found = mentions(text, &commands, &tables).into_iter();
        let wrong = found.filter(|mention| match mention {
            Mention::Option { command, name } => !self.has_option(command.as_deref(), name),
            Mention::Key(key) => !self.has_key(key),
        });
        wrong.map(|mention| mention.to_string()).collect()
    }
}

fn collect(command: &Command, path: &str, found: &mut BTreeMap<String, BTreeSet<String>>) {
    for sub in command.get_subcommands() {
        let path = format!("{path} {}", sub.get_name()).trim().to_owned();
        found.insert(path.clone(), sub.get_arguments().filter_map(|arg| arg.get_long().map(String::from)).collect());
        collect(sub, &path, found);
    }
}

#[test]
fn what_is_advised_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let known = Known::new(sources::script_options(&root.join("benches")));
    let texts = sources::texts(&root);
    assert!(texts.len() > 1000, "only {} texts were found", texts.len());
    let mut wrong = BTreeSet::new();
    let mut seen = 0;
    for (file, text) in &texts {
        seen += text.matches("--").count();
        let of_references = sources::options_of_references(file, text);
        let text = sources::without_references(file, text);
        for mention in known.wrong(&text) {
            if !of_references.contains(&mention) {
                wrong.insert(format!("{file}: {mention}"));
            }
        }
    }
    assert!(seen > 100, "only {seen} options are named");
    assert!(wrong.is_empty(), "these do not exist:\n{}", Vec::from_iter(wrong).join("\n"));
}

#[test]
fn what_does_not_exist_is_found() {
    let known = Known::new([]);
    let wrong = |text: &str| known.wrong(text);
    assert_eq!(wrong("use --frobnicate, or --out"), ["--frobnicate"]);
    assert_eq!(wrong("`gan-cli train --input x`, then --input"), ["--input (train)"]);
    assert_eq!(wrong("gan-cli dataset pairs in --out x --test 1"), ["--test (dataset pairs)"]);
    assert_eq!(wrong("raise train.n_epoch, see train.lr and train.rs"), ["train.n_epoch"]);
    assert_eq!(wrong("with `lambda_x = 3` or `lambda_l1 = 3`"), ["lambda_x"]);
    assert_eq!(wrong("--set max_step=3 --set data.max_dataset_size=3"), ["max_step"]);
    assert_eq!(wrong("set label_count = 3, or set label_nc = 3"), ["label_count"]);
    assert_eq!(wrong("raise crop_width or crop_size"), ["crop_width"]);
    assert_eq!(wrong("a -- b, a--b, ---, generator.safetensors, x=3 and -o"), Vec::<String>::new());
}

#[test]
fn only_what_users_read_is_collected() {
    let source = r##"
//! `--module`
/// --documented
fn f<'a>() { // --comment
    let s = "--plain \"--quoted\" \
        --continued";
    let r = r#"--raw ""#;
    let c = ('"', '\'', 'x'); /* "--block" */
}
#[cfg(test)]
mod tests { const X: &str = "--tested"; }
"##;
    let all = |docs: bool| sources::strings(source, docs).join("|");
    assert_eq!(all(false), "--plain \"--quoted\" --continued|--raw \"");
    assert_eq!(all(true), "--documented|--plain \"--quoted\" --continued|--raw \"");
}
