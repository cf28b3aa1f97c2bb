//! The report of an inspection as text, and as JSON.

use super::verdict::Verdict;
use crate::commands::data_folders::shown;
use gan_data::{DataConfig, DataMode, FolderReport, Problem, ProblemKind, Report};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

/// Names of one kind of problem that are spelt out; --verbose and --json have all.
const NAMES_SHOWN: usize = 10;

/// Labels whose shares are spelt out.
const LABELS_SHOWN: usize = 24;

/// What the dataset is, in a few words.
pub(super) fn what(config: &DataConfig, report: &Report) -> String {
    let has = |role: &str| report.folders.iter().any(|folder| folder.role == role);
    let text = match config.mode {
        DataMode::Aligned if has("pairs") => "pairs side by side, A left and B right",
        DataMode::Aligned => "pairs in two folders, A and B",
        DataMode::Unaligned => "two collections of images without pairs, A and B",
        DataMode::Labelled if config.label_nc == 0 => "pairs in two folders, inputs and photographs",
        DataMode::Labelled => match (has("photographs"), has("instances")) {
            (true, true) => "label maps with photographs and instance maps",
            (true, false) => "label maps with photographs",
            (false, true) => "label maps with instance maps",
            (false, false) => "label maps",
        },
        DataMode::Colorization => "photographs, whose lightness is the input and whose colours are the target",
        DataMode::Single => "images without partners",
        DataMode::Facades | DataMode::Streets | DataMode::Unpaired => "drawn by the program",
    };
    text.to_owned()
}

/// Prints what was found.
pub(super) fn print(config: &DataConfig, report: &Report, verdicts: &[Verdict], verbose: bool) {
    let items = counted(report.items, "item");
    out!("{}: {}; part {}: {items}", shown(config), what(config, report), report.phase);
    for folder in &report.folders {
        for line in folder_lines(folder) {
            out!("  {line}");
        }
    }
    if !report.other_parts.is_empty() {
        let parts = report.other_parts.iter().map(|(name, n)| format!("{name} ({})", counted(*n, "item")));
        out!("  other parts: {}", parts.collect::<Vec<_>>().join(", "));
    }
    if let Some(line) = labels(report) {
        out!("  {line}");
    }
    for note in &report.notes {
        out!("note: {note}");
    }
    for problem in problems(&report.problems, verbose) {
        out!("{problem}");
    }
    if report.problems.is_empty() {
        out!("no problems");
    }
    out!("\nwhat can be trained on it:");
    for verdict in verdicts {
        let Verdict { method, best, reason, command } = verdict;
        let note = best.as_ref().and_then(|best| best.reading.note.as_ref());
        match (reason, best, command) {
            (None, Some(best), Some(command)) => {
                let note = note.map_or_else(String::new, |note| format!(" ({note})"));
                out!("  ✓ {method}: {}{note}\n      {command}", what(&best.data, &best.report));
            }
            (reason, ..) => out!("  ✗ {method}: {}", reason.as_deref().unwrap_or_default()),
        }
    }
}

/// What is in a folder.
pub(super) fn folder_lines(folder: &FolderReport) -> Vec<String> {
    let mut lines = vec![format!("{}: {} in {}", folder.role, counted(folder.files, "file"), folder.path.display())];
    if folder.files > 0 {
        let sizes = folder.sizes.iter().map(|s| (format!("{}x{}", s.width, s.height), s.images));
        let channels = folder.channels.iter().map(|(&n, &files)| (counted(n, "channel"), files));
        let depths = folder.depths.iter().map(|(bits, &files)| (format!("{bits} bits"), files));
        let facts =
            [counts(sizes.collect(), "size"), counts(channels.collect(), "kind"), counts(depths.collect(), "depth")];
        let facts: Vec<_> = facts.into_iter().filter(|fact| !fact.is_empty()).collect();
        if !facts.is_empty() {
            lines.push(format!("  {}", facts.join("; ")));
        }
    }
    if !folder.left_out.is_empty() {
        let kinds: Vec<_> = folder.left_out.keys().map(String::as_str).collect();
        lines.push(format!("  not read: {}", kinds.join(", ")));
    }
    lines
}

/// Kinds and how many files are of each; the number is left out where all are of one.
fn counts(kinds: Vec<(String, usize)>, what: &str) -> String {
    if let [(only, _)] = &kinds[..] {
        return only.clone();
    }
    let more = kinds.len().saturating_sub(4);
    let more = if more > 0 { format!(" and {}", counted(more, &format!("other {what}"))) } else { String::new() };
    let shown: Vec<_> = kinds.iter().take(4).map(|(kind, n)| format!("{kind} ({n})")).collect();
    shown.join(", ") + &more
}

/// Which labels occur, and how much of the maps each covers.
fn labels(report: &Report) -> Option<String> {
    let labels = report.labels.as_ref()?;
    let shares = shares(&labels.pixels);
    let shown: Vec<_> = shares.iter().take(LABELS_SHOWN).map(|(id, share)| format!("{id}: {share:.1} %")).collect();
    let more = shares.len().saturating_sub(LABELS_SHOWN);
    let more = if more > 0 { format!(" and {}", counted(more, "other label")) } else { String::new() };
    let mark = labels.suggested_dont_care.map_or_else(String::new, |id| format!(", {id} for pixels without a label"));
    Some(format!("labels (label_nc {}{mark}): {}{more}", labels.label_nc, shown.join(", ")))
}

/// The labels that occur with their shares of all pixels, in percent.
pub(super) fn shares(pixels: &BTreeMap<u32, u64>) -> Vec<(u32, f64)> {
    let total = pixels.values().sum::<u64>().max(1) as f64;
    pixels.iter().map(|(&id, &n)| (id, 100.0 * n as f64 / total)).collect()
}

/// A line for each problem, or with all of one kind and one remedy in one.
pub(super) fn problems(problems: &[Problem], verbose: bool) -> Vec<String> {
    let lines = |group: Vec<&Problem>| match verbose {
        true => group.iter().map(|problem| line(&[problem])).collect::<Vec<_>>(),
        false => vec![line(&group)],
    };
    grouped(problems).into_iter().flat_map(lines).collect()
}

fn grouped(problems: &[Problem]) -> Vec<Vec<&Problem>> {
    let mut groups: Vec<Vec<&Problem>> = Vec::new();
    for problem in problems {
        let of = |p: &Problem| (p.severity, p.kind, p.remedy.clone(), p.path.parent().map(Path::to_path_buf));
        match groups.iter_mut().find(|group| of(group[0]) == of(problem)) {
            Some(group) => group.push(problem),
            None => groups.push(vec![problem]),
        }
    }
    groups
}

fn line(group: &[&Problem]) -> String {
    let first = group[0];
    let severity = format!("{:?}", first.severity).to_lowercase();
    let remedy = if first.remedy.is_empty() { String::new() } else { format!("; {}", first.remedy) };
    let Some(folder) = first.path.parent().filter(|_| group.len() > 1) else {
        return format!("{severity}: {}: {}{remedy}", first.path.display(), first.message);
    };
    let names: Vec<_> = group.iter().filter_map(|p| Some(p.path.file_name()?.to_string_lossy().into_owned())).collect();
    let same = group.iter().all(|problem| problem.message == first.message);
    let what = if same { first.message.clone() } else { format!("{} (the first)", first.message) };
    let (n, folder, names) = (group.len(), folder.display(), listed(&names));
    format!("{severity}: {n} files in {folder}: {what}{remedy}: {names}")
}

/// The worst problem in a few words, as the reason why a method cannot be trained.
pub(super) fn brief(problems: &[Problem]) -> String {
    // A warning that files are no pairs decides as an error does.
    let groups = grouped(problems);
    let doubt = groups.iter().find(|group| group[0].kind == ProblemKind::NotPairs);
    let Some(group) = groups.first().filter(|group| group[0].severity == gan_data::Severity::Error).or(doubt) else {
        return "nothing else is known".to_owned();
    };
    let first = group[0];
    match (first.kind, group.len()) {
        (ProblemKind::Layout | ProblemKind::NotPairs, _) => first.message.clone(),
        (_, 1) => format!("{}: {}", first.path.display(), first.message),
        (_, n) => format!("{n} files, the first {}: {}", first.path.display(), first.message),
    }
}

/// The first names of a list, and how many more there are.
pub(super) fn listed(names: &[String]) -> String {
    let more = names.len().saturating_sub(NAMES_SHOWN);
    let tail = if more > 0 { format!(" and {more} more") } else { String::new() };
    names.iter().take(NAMES_SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ") + &tail
}

/// `1 file`, `2 files`.
pub(super) fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

/// The report as JSON.
pub(super) fn json(config: &DataConfig, report: &Report, verdicts: &[Verdict]) -> anyhow::Result<String> {
    let mut value = serde_json::to_value(report)?;
    let method = |verdict: &Verdict| {
        let best = verdict.best.as_ref();
        json!({
            "method": verdict.method,
            "fits": verdict.reason.is_none(),
            "needs": best.map(|best| &best.reading.needs),
            "what": best.filter(|_| verdict.reason.is_none()).map(|best| what(&best.data, &best.report)),
            "mode": best.map(|best| best.data.mode.name()),
            "reason": verdict.reason,
            "note": best.and_then(|best| best.reading.note.as_ref()),
            "command": verdict.command,
            "preset": best.and_then(|best| best.preset),
            "size": best.and_then(|best| best.size),
            "settings": best.map(|best| &best.settings),
            "label_nc": best.filter(|best| best.data.mode == DataMode::Labelled).map(|best| best.data.label_nc),
            "dont_care": best.and_then(|best| best.data.dont_care),
        })
    };
    if let Value::Object(fields) = &mut value {
        fields.insert("what".into(), what(config, report).into());
        fields.insert("methods".into(), verdicts.iter().map(method).collect());
    }
    Ok(serde_json::to_string_pretty(&value)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use gan_data::Severity;

    fn problem(kind: ProblemKind, path: String, message: &str) -> Problem {
        let (message, remedy) = (message.into(), "mend it".into());
        Problem { severity: Severity::Error, kind, path: path.into(), message, remedy }
    }

    #[test]
    fn problems_of_one_kind_share_a_line() {
        let mut found: Vec<_> = (0..13)
            .map(|i| problem(ProblemKind::LabelOutOfRange, format!("L/{i}.png"), &format!("{i} pixels")))
            .collect();
        found.push(problem(ProblemKind::Unreadable, "L/x.png".into(), "torn"));
        found.push(problem(ProblemKind::Unreadable, "I/y.png".into(), "torn"));
        let lines = problems(&found, false);
        let names = (0..10).map(|i| format!("{i}.png")).collect::<Vec<_>>().join(", ");
        assert_eq!(lines[0], format!("error: 13 files in L: 0 pixels (the first); mend it: {names} and 3 more"));
        assert_eq!(lines[1..], ["error: L/x.png: torn; mend it", "error: I/y.png: torn; mend it"]);
        let every = problems(&found, true);
        assert_eq!((every.len(), &*every[12]), (15, "error: L/12.png: 12 pixels; mend it"));
    }

    #[test]
    fn numbers_are_said_where_kinds_differ() {
        let of =
            |kinds: &[(&str, usize)]| counts(kinds.iter().map(|(kind, n)| ((*kind).to_owned(), *n)).collect(), "size");
        assert_eq!(of(&[("8x8", 12)]), "8x8");
        assert_eq!(of(&[("8x8", 12), ("9x9", 1)]), "8x8 (12), 9x9 (1)");
        let many = [("1", 1), ("2", 1), ("3", 1), ("4", 1), ("5", 1)];
        assert_eq!(of(&many), "1 (1), 2 (1), 3 (1), 4 (1) and 1 other size");
        assert_eq!((counted(1, "file"), counted(0, "file")), ("1 file".to_owned(), "0 files".to_owned()));
    }
}
