//! Looking a dataset over: every problem at once, before a run finds them one by one.

mod guess;
mod labels;
mod report;
mod scan;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::AtomicUsize;

pub use self::guess::{Guess, guess};
pub use self::report::{FolderReport, LabelReport, Problem, ProblemKind, Report, Severity, SizeCount};
use self::scan::{Progress, Seen, notes, read_all, summarise, unusable};
use crate::config::DataConfig;
use crate::error::Error;
use crate::kind::Files;
use crate::kinds::open;
use crate::pairing::{Names, match_names};
use crate::side::Side;

/// Reads every file of the dataset that `config` describes and reports all problems. `progress` hears how many files
/// are done, and of how many.
///
/// Never fails: what cannot be found or read is part of the report.
#[must_use]
pub fn inspect(config: &DataConfig, progress: impl Fn(usize, usize) + Sync) -> Report {
    // Looking leaves nothing behind.
    let config = &DataConfig { cache: std::path::PathBuf::new(), ..config.clone() };
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
        report.problems.push(Problem::of(ProblemKind::Layout, &config.root, &error));
    }
    let Some(kind) = &config.mode.kind().files else {
        report.items = config.max_dataset_size.unwrap_or(0);
        report.notes.push("procedural datasets have no files".to_owned());
        return report;
    };
    let mut sides = Vec::new();
    for side in (kind.sides)(config, &mut report.notes) {
        match side {
            Ok(side) => sides.push(side),
            Err(error) => report.problems.push(Problem::of(ProblemKind::Layout, &config.root, &error)),
        }
    }
    let total = sides.iter().map(|side| side.files.len()).sum();
    let progress = Progress { done: AtomicUsize::new(0), total, tell: &progress };
    let mut seen = Vec::new();
    for side in &sides {
        let channels = kind.channels.map_or([config.input_nc, config.output_nc], |channels| [channels; 2]);
        let images = read_all(side, config, channels, &progress, &mut report.problems);
        let folder = summarise(side, &images, &mut report.problems);
        report.notes.extend(notes(side, &folder));
        report.folders.push(folder);
        if side.files.is_empty() {
            let error = Error::dataset(&side.path, "there is not one image in it", "put images there");
            report.problems.push(Problem::of(ProblemKind::Layout, &side.path, &error));
        }
        too_small(side, &images, config, kind, &mut report.problems);
        unusable(side, &images, config, &mut report.problems);
        seen.push(images);
    }
    // Where items have no partners, an epoch goes once through the larger folder.
    let counted = if kind.pairing.is_some() { 1 } else { sides.len() };
    report.items = sides.iter().take(counted).map(|side| side.files.len()).max().unwrap_or(0);
    if let Some(names) = kind.pairing {
        for (other, images) in sides.iter().zip(&seen).skip(1) {
            let unmatched = compare((&sides[0], &seen[0]), (other, images), names, config, &mut report);
            report.notes.extend(kind.unmatched.filter(|_| unmatched).map(str::to_owned));
        }
    }
    if let Some(side) = sides.first().filter(|side| side.ids) {
        let maps: Vec<&Path> = side.files.iter().map(|file| file.path.as_path()).collect();
        report.labels = Some(labels::histogram(&maps, config, &mut report.problems));
    }
    // What opening refuses and nothing above has found. The configuration alone does not say whether the labels of a
    // dataset are in range, so that is checked too.
    if report.is_usable()
        && let Err(error) = open(config).and_then(|dataset| dataset.check())
    {
        report.problems.push(Problem::of(ProblemKind::Layout, &config.root, &error));
    }
    report.problems.sort_by_key(|problem| std::cmp::Reverse(problem.severity));
    report
}

/// Images that the crop does not fit into: an error where they stand alone, black borders where parts share a crop.
fn too_small(side: &Side, seen: &[Option<Seen>], config: &DataConfig, kind: &Files, problems: &mut Vec<Problem>) {
    let transform = config.transform();
    if !transform.preprocess.crops() {
        return;
    }
    for (file, image) in side.files.iter().zip(seen) {
        let Some(image) = image else { continue };
        let (width, height) = image.size;
        let part = if side.holds_pairs() { (width / 2, height) } else { (width, height) };
        let (loaded_width, loaded_height) = transform.size_before_crop(part);
        if loaded_width >= config.crop_size && loaded_height >= config.crop_size {
            continue;
        }
        let crop = config.crop_size;
        problems.push(Problem {
            severity: if kind.pairing.is_some() { Severity::Warning } else { Severity::Error },
            kind: ProblemKind::TooSmall,
            path: file.path.clone(),
            message: format!("{loaded_width}x{loaded_height} is smaller than the crop of {crop}x{crop}"),
            remedy: "use preprocess = \"resize_and_crop\", a smaller crop_size, or larger images".to_owned(),
        });
    }
}

/// Sizes of the readable images by path.
fn sizes<'a>(side: &'a Side, seen: &[Option<Seen>]) -> BTreeMap<&'a Path, (usize, usize)> {
    let pairs = side.files.iter().zip(seen);
    pairs.filter_map(|(file, seen)| Some((file.path.as_path(), (*seen)?.size))).collect()
}

/// Reports names without partner, and parts that differ in size; says whether some names have none.
fn compare(
    (first, first_seen): (&Side, &[Option<Seen>]),
    (other, other_seen): (&Side, &[Option<Seen>]),
    names: Names,
    config: &DataConfig,
    report: &mut Report,
) -> bool {
    let matched = match match_names(&first.files, &other.files, names) {
        Ok(matched) => matched,
        Err((one, two)) => {
            report.problems.push(Problem {
                severity: Severity::Error,
                kind: ProblemKind::Unmatched,
                path: two,
                message: format!("it has the same name as {}", one.display()),
                remedy: "remove or rename one of them".to_owned(),
            });
            return false;
        }
    };
    for (files, there) in [(&matched.only_left, other), (&matched.only_right, first)] {
        report.problems.extend(files.iter().map(|file| Problem {
            severity: Severity::Error,
            kind: ProblemKind::Unmatched,
            path: file.path.clone(),
            message: format!("it has no partner in {}", there.path.display()),
            remedy: "add the partner, or remove the file".to_owned(),
        }));
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
    !matched.is_complete()
}
