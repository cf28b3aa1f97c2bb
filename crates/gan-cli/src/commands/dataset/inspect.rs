//! `gan-cli dataset inspect`.

use crate::commands::train::dataset_root;
use crate::exit::{BAD_DATA, Coded, Done};
use crate::progress::bar;
use anyhow::bail;
use gan_data::{DataConfig, DataMode, Guess, Problem, Report, Severity};
use gan_train::config::{ConfigSource, resolve};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Names of one kind of problem that are spelt out; --json has all.
const NAMES_SHOWN: usize = 10;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Folder of the dataset, or the name of a fetched one
    data: PathBuf,
    /// Layout: aligned, unaligned, labelled, single or colorization; guessed from the folders if left out
    #[arg(long)]
    mode: Option<String>,
    /// A key of the data table, for example `crop_size=512` or `label_nc=35`
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: Args) -> anyhow::Result<Done> {
    let root = dataset_root(&args.data);
    if std::fs::symlink_metadata(&root).is_err_and(|error| error.kind() == ErrorKind::NotFound) {
        bail!(Coded(BAD_DATA, format!("there is no {}; check the path", root.display())));
    }
    let mut hint = None;
    let mode = args.mode.clone().unwrap_or_else(|| {
        let guess = gan_data::guess(&root);
        hint = hint_for(guess, &root);
        format!("{:?}", guess.mode()).to_lowercase()
    });
    let mut layers = vec![ConfigSource::Setting(format!("mode={mode}"))];
    layers.extend(args.set.iter().cloned().map(ConfigSource::Setting));
    let mut config = DataConfig { root, ..resolve(&DataConfig::default(), &layers)? };
    if config.mode == DataMode::Colorization {
        (config.input_nc, config.output_nc) = (1, 2);
    }
    let bar = bar(0, "inspecting");
    let mut report = gan_data::inspect(&config, |done, all| {
        bar.set_length(all as u64);
        bar.set_position(done as u64);
    });
    bar.finish_and_clear();
    report.notes.extend(hint);
    if args.json {
        out!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print(&report);
    }
    if !report.is_usable() {
        let problems = counted(report.count(Severity::Error), "problem");
        bail!(Coded(BAD_DATA, format!("training could not start on {}: {problems}", report.root.display())));
    }
    Ok(Done::Complete)
}

/// What a guessed reading is good for, where there is another one.
fn hint_for(guess: Guess, root: &Path) -> Option<String> {
    match guess {
        Guess::Unpaired => Some(
            "read as two unpaired collections, as CycleGAN takes them (gan-cli train cyclegan); if they are pairs for pix2pix, give \
             partners equal names and look with `gan-cli dataset inspect --mode aligned`"
                .to_owned(),
        ),
        Guess::Images if root.is_dir() => Some(format!(
            "read as single images, as `gan-cli translate` takes them. pix2pix learns from pairs: if each file holds A and B side by \
             side, look with `gan-cli dataset inspect --mode aligned`; `gan-cli dataset pairs {} --out DIR/train` makes pairs of photos",
            root.display()
        )),
        _ => None,
    }
}

fn print(report: &Report) {
    let (root, items) = (report.root.display(), counted(report.items, "item"));
    out!("{:?} dataset in {root}, phase {}: {items}", report.mode, report.phase);
    for folder in &report.folders {
        let sizes: Vec<_> =
            folder.sizes.iter().take(4).map(|s| format!("{}x{} ({})", s.width, s.height, s.images)).collect();
        let more = folder.sizes.len().saturating_sub(4);
        let more = if more > 0 { format!(" and {}", counted(more, "other size")) } else { String::new() };
        let list = |map: Vec<String>| map.join(", ");
        let channels = list(folder.channels.iter().map(|(&c, n)| format!("{} ({n})", counted(c, "channel"))).collect());
        let depths = list(folder.depths.iter().map(|(d, n)| format!("{d} bit ({n})")).collect());
        let files = counted(folder.files, "file");
        out!("  {}: {files} in {}", folder.role, folder.path.display());
        if folder.files > 0 {
            out!("    {}{more}; {channels}; {depths}", sizes.join(", "));
        }
        if !folder.left_out.is_empty() {
            let kinds: Vec<_> = folder.left_out.keys().map(String::as_str).collect();
            out!("    not read: {}", kinds.join(", "));
        }
    }
    if let Some(labels) = &report.labels {
        let total: u64 = labels.pixels.values().sum();
        let share = |n: u64| 100.0 * n as f64 / total.max(1) as f64;
        let shares: Vec<_> = labels.pixels.iter().map(|(id, &n)| format!("{id}: {:.1} %", share(n))).collect();
        out!("  labels (label_nc {}): {}", labels.label_nc, shares.join(", "));
    }
    for note in &report.notes {
        out!("note: {note}");
    }
    for problem in grouped(&report.problems) {
        out!("{problem}");
    }
    if report.problems.is_empty() {
        out!("no problems");
    }
}

/// One line a problem; problems of one kind and with one remedy share a line.
fn grouped(problems: &[Problem]) -> Vec<String> {
    let mut groups: Vec<Vec<&Problem>> = Vec::new();
    for problem in problems {
        let of = |p: &Problem| (p.severity, p.kind, p.remedy.clone(), p.path.parent().map(Path::to_path_buf));
        match groups.iter_mut().find(|group| of(group[0]) == of(problem)) {
            Some(group) => group.push(problem),
            None => groups.push(vec![problem]),
        }
    }
    groups.iter().map(|group| line(group)).collect()
}

fn line(group: &[&Problem]) -> String {
    let first = group[0];
    let severity = format!("{:?}", first.severity).to_lowercase();
    let remedy = if first.remedy.is_empty() { String::new() } else { format!("; {}", first.remedy) };
    let Some(folder) = first.path.parent().filter(|_| group.len() > 1) else {
        return format!("{severity}: {}: {}{remedy}", first.path.display(), first.message);
    };
    let names: Vec<_> =
        group.iter().take(NAMES_SHOWN).filter_map(|p| p.path.file_name()).map(|name| name.to_string_lossy()).collect();
    let more = group.len().saturating_sub(NAMES_SHOWN);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let same = group.iter().all(|problem| problem.message == first.message);
    let what = if same { first.message.clone() } else { format!("{} (the first)", first.message) };
    let (n, folder, names) = (group.len(), folder.display(), names.join(", "));
    format!("{severity}: {n} files in {folder}: {what}{remedy}: {names}{more}")
}

fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gan_data::ProblemKind;

    #[test]
    fn problems_of_one_kind_share_a_line() {
        let problem = |kind, path: String, message: &str| Problem {
            severity: Severity::Error,
            kind,
            path: path.into(),
            message: message.into(),
            remedy: "mend it".into(),
        };
        let mut problems: Vec<_> = (0..13)
            .map(|i| problem(ProblemKind::LabelOutOfRange, format!("L/{i}.png"), &format!("{i} pixels")))
            .collect();
        problems.push(problem(ProblemKind::Unreadable, "L/x.png".into(), "torn"));
        problems.push(problem(ProblemKind::Unreadable, "I/y.png".into(), "torn"));
        let lines = grouped(&problems);
        let names = (0..10).map(|i| format!("{i}.png")).collect::<Vec<_>>().join(", ");
        assert_eq!(lines[0], format!("error: 13 files in L: 0 pixels (the first); mend it: {names} and 3 more"));
        assert_eq!(lines[1..], ["error: L/x.png: torn; mend it", "error: I/y.png: torn; mend it"]);
    }
}
