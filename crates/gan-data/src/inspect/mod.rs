//! Looking a dataset over: every problem at once, before a run finds them one by one.

mod labels;
mod report;
mod scan;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::AtomicUsize;

pub use self::report::{FolderReport, LabelReport, Problem, ProblemKind, Report, Severity, SizeCount};
use self::scan::{Progress, Seen, Side, read_all, summarise};
use crate::config::{DataConfig, DataMode};
use crate::dataset::layout::{Layout, locate_collections, locate_folder, locate_pairs};
use crate::dataset::{IMAGE_FOLDERS, INSTANCE_FOLDERS, LABEL_FOLDERS, cityscapes_name, single_files};
use crate::error::{Error, Result};
use crate::folder::{Matched, match_names};

/// Reads every file of the dataset that `config` describes and reports all problems. `progress` hears how many files
/// are done, and of how many.
///
/// Never fails: what cannot be found or read is part of the report.
#[must_use]
pub fn inspect(config: &DataConfig, progress: impl Fn(usize, usize) + Sync) -> Report {
    let mut report = Report {
        mode: config.mode,
        root: config.root.clone(),
        phase: config.phase.clone(),
        items: 0,
        folders: Vec::new(),
        labels: None,
        notes: Vec::new(),
        problems: Vec::new(),
    };
    if let Err(error) = config.validate() {
        report.problems.push(layout_problem(&config.root, &error));
    }
    if config.mode.is_procedural() {
        report.items = config.max_dataset_size.unwrap_or(0);
        report.notes.push("procedural datasets have no files".to_owned());
        return report;
    }
    let sides = find_sides(config, &mut report);
    let total = sides.iter().map(|side| side.files.len()).sum();
    let progress = Progress { done: AtomicUsize::new(0), total, tell: &progress };
    let mut seen = Vec::new();
    for side in &sides {
        let pictures = read_all(side, &config.decode_options(), &progress, &mut report.problems);
        report.folders.push(summarise(side, &pictures, &mut report.problems));
        if side.files.is_empty() {
            let error = Error::dataset(&side.path, "there is not one picture in it", "put pictures there");
            report.problems.push(layout_problem(&side.path, &error));
        }
        too_small(side, &pictures, config, &mut report.problems);
        seen.push(pictures);
    }
    report.items = match config.mode {
        DataMode::Unaligned => sides.iter().map(|side| side.files.len()).max().unwrap_or(0),
        _ => sides.first().map_or(0, |side| side.files.len()),
    };
    if matches!(config.mode, DataMode::Aligned | DataMode::Labelled) {
        for (other, pictures) in sides.iter().zip(&seen).skip(1) {
            compare((&sides[0], &seen[0]), (other, pictures), config, &mut report);
        }
    }
    if let Some(side) = sides.first().filter(|side| side.ids) {
        let maps: Vec<&Path> = side.files.iter().map(|file| file.path.as_path()).collect();
        report.labels = Some(labels::histogram(&maps, config, &mut report.problems));
    }
    report.problems.sort_by_key(|problem| std::cmp::Reverse(problem.severity));
    report
}

fn layout_problem(path: &Path, error: &Error) -> Problem {
    let (message, remedy) = match error {
        Error::Dataset { reason, remedy, .. } | Error::Config { reason, remedy } => (reason.clone(), remedy.clone()),
        other => (other.to_string(), "check the path and its permissions".to_owned()),
    };
    Problem { severity: Severity::Error, kind: ProblemKind::Layout, path: path.to_path_buf(), message, remedy }
}

/// The folders of a dataset; those that are missing become problems.
fn find_sides(config: &DataConfig, report: &mut Report) -> Vec<Side> {
    let mut sides = Vec::new();
    let mut add = |side: Result<Side>, problems: &mut Vec<Problem>| match side {
        Ok(side) => sides.push(side),
        Err(error) => problems.push(layout_problem(&config.root, &error)),
    };
    let (root, phase) = (&config.root, &config.phase);
    match config.mode {
        DataMode::Aligned => match locate_pairs(root, phase) {
            Ok(located) => {
                report.notes = located.notes;
                match located.layout {
                    Layout::SideBySide(folder) => add(Side::list("pairs", &folder, false), &mut report.problems),
                    Layout::TwoFolders(a, b) => {
                        add(Side::list("A", &a, false), &mut report.problems);
                        add(Side::list("B", &b, false), &mut report.problems);
                    }
                }
            }
            Err(error) => report.problems.push(layout_problem(root, &error)),
        },
        DataMode::Unaligned => match locate_collections(root, phase) {
            Ok(([a, b], notes)) => {
                report.notes = notes;
                add(Side::list("A", &a, false), &mut report.problems);
                add(Side::list("B", &b, false), &mut report.problems);
            }
            Err(error) => report.problems.push(layout_problem(root, &error)),
        },
        DataMode::Labelled => {
            let from_labels = usize::from(config.label_nc == 0);
            let mut part = |role, suffixes: &[&str], ids| {
                let side = locate_folder(root, phase, suffixes).and_then(|(folder, note)| {
                    report.notes.extend(note.filter(|_| ids || role == "inputs"));
                    Side::list(role, &folder, ids)
                });
                match side {
                    // As in the dataset: without photographs, label maps can be translated but not learnt from.
                    Err(Error::Dataset { reason, .. }) if role == "photographs" && phase != "train" => {
                        report.notes.push(format!("there are no photographs ({reason})"));
                    }
                    side => add(side, &mut report.problems),
                }
            };
            let role = if config.label_nc > 0 { "labels" } else { "inputs" };
            part(role, LABEL_FOLDERS[from_labels], config.label_nc > 0);
            part("photographs", IMAGE_FOLDERS[from_labels], false);
            if config.instances {
                part("instances", INSTANCE_FOLDERS, true);
            }
        }
        DataMode::Colorization => {
            let side = locate_folder(root, phase, &[""]).and_then(|(folder, _)| Side::list("pictures", &folder, false));
            add(side, &mut report.problems);
        }
        _ => {
            let side = single_files(root);
            add(
                side.map(|files| Side { role: "pictures", path: root.clone(), files, ids: false }),
                &mut report.problems,
            );
        }
    }
    sides
}

/// Pictures that the crop does not fit into: an error where they stand alone, black borders where parts share a crop.
fn too_small(side: &Side, seen: &[Option<Seen>], config: &DataConfig, problems: &mut Vec<Problem>) {
    let transform = config.transform();
    if !transform.preprocess.crops() {
        return;
    }
    let shared = matches!(config.mode, DataMode::Aligned | DataMode::Labelled);
    for (file, picture) in side.files.iter().zip(seen) {
        let Some(picture) = picture else { continue };
        let (width, height) = picture.size;
        let part = if side.role == "pairs" { (width / 2, height) } else { (width, height) };
        let (loaded_width, loaded_height) = transform.size_before_crop(part);
        if loaded_width >= config.crop_size && loaded_height >= config.crop_size {
            continue;
        }
        let crop = config.crop_size;
        problems.push(Problem {
            severity: if shared { Severity::Warning } else { Severity::Error },
            kind: ProblemKind::TooSmall,
            path: file.path.clone(),
            message: format!("{loaded_width}x{loaded_height} is smaller than the crop of {crop}x{crop}"),
            remedy: "use preprocess = \"resize_and_crop\", a smaller crop_size, or larger pictures".to_owned(),
        });
    }
}

/// Sizes of the readable pictures by path.
fn sizes<'a>(side: &'a Side, seen: &[Option<Seen>]) -> BTreeMap<&'a Path, (usize, usize)> {
    let pairs = side.files.iter().zip(seen);
    pairs.filter_map(|(file, seen)| Some((file.path.as_path(), (*seen)?.size))).collect()
}

/// Names without partner, and parts that differ in size.
fn compare(
    (first, first_seen): (&Side, &[Option<Seen>]),
    (other, other_seen): (&Side, &[Option<Seen>]),
    config: &DataConfig,
    report: &mut Report,
) {
    let matched = match match_names(&first.files, &other.files, str::to_owned) {
        Ok(matched) if !matched.is_complete() && config.mode == DataMode::Labelled => {
            let shortened = match_names(&first.files, &other.files, cityscapes_name).ok().filter(Matched::is_complete);
            Ok(shortened.unwrap_or(matched))
        }
        outcome => outcome,
    };
    let matched = match matched {
        Ok(matched) => matched,
        Err((one, two)) => {
            report.problems.push(Problem {
                severity: Severity::Error,
                kind: ProblemKind::Unmatched,
                path: two,
                message: format!("it has the same name as {}", one.display()),
                remedy: "remove or rename one of them".to_owned(),
            });
            return;
        }
    };
    let sides = [(&matched.only_left, first, other), (&matched.only_right, other, first)];
    for (names, here, there) in sides {
        let names: BTreeSet<&String> = names.iter().collect();
        for file in here.files.iter().filter(|file| names.contains(&file.stem)) {
            report.problems.push(Problem {
                severity: Severity::Error,
                kind: ProblemKind::Unmatched,
                path: file.path.clone(),
                message: format!("it has no partner in {}", there.path.display()),
                remedy: "add the partner, or remove the file".to_owned(),
            });
        }
    }
    let (sizes, other_sizes) = (sizes(first, first_seen), sizes(other, other_seen));
    for (a, b) in matched.pairs.iter().filter(|_| !config.transform().unifies_sizes()) {
        let sizes = (sizes.get(a.path.as_path()), other_sizes.get(b.path.as_path()));
        let (Some(size_a), Some(size_b)) = sizes else { continue };
        if size_a != size_b {
            report.problems.push(Problem {
                severity: Severity::Error,
                kind: ProblemKind::SizeMismatch,
                path: b.path.clone(),
                message: format!("it is {}x{}, its partner {}x{}", size_b.0, size_b.1, size_a.0, size_a.1),
                remedy: "make them equal, or use preprocess = \"resize_and_crop\"".to_owned(),
            });
        }
    }
    if first.ids && other.ids {
        let pairs: Vec<(&Path, &Path)> =
            matched.pairs.iter().map(|(a, b)| (a.path.as_path(), b.path.as_path())).collect();
        labels::foreign_instances(&pairs, config, &mut report.problems);
    }
}
