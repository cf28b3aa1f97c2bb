//! Looking a dataset over: every problem at once, before a run finds them one by one.

mod guess;
mod labels;
mod recognise;
mod report;
mod scan;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use rayon::prelude::*;

pub use self::guess::{Guess, guess};
pub use self::recognise::{recognise, suggest_folders};
pub use self::report::{FolderReport, LabelReport, Problem, ProblemKind, Report, Severity, SizeCount};
use self::scan::{Known, Progress, Seen, notes, read_all, summarise, unusable};
use crate::config::DataConfig;
use crate::decode::DecodeOptions;
use crate::error::Error;
use crate::image_file::ImageFile;
use crate::kind::Files;
use crate::kinds::open;
use crate::pairing::{Matched, Names, match_names};
use crate::side::Side;

/// Reads every file of the dataset that `config` describes and reports all problems. `progress` hears how many files
/// are done, and of how many.
///
/// Never fails: what cannot be found or read is part of the report.
#[must_use]
pub fn inspect(config: &DataConfig, progress: impl Fn(usize, usize) + Sync) -> Report {
    Inspector::default().inspect(config, progress)
}

/// Inspects datasets, and remembers what it has read: several readings of one folder decode each file once.
#[derive(Debug, Default)]
pub struct Inspector {
    read: Vec<Read>,
}

/// Files that were read in one way.
#[derive(Debug)]
struct Read {
    ids: bool,
    options: DecodeOptions,
    files: BTreeMap<PathBuf, Known>,
    /// Of label maps with instance maps: how well they fit.
    shares: BTreeMap<(PathBuf, PathBuf), Option<f64>>,
}

impl Inspector {
    /// As [`inspect`]; `progress` hears of files that have not been read before.
    #[must_use]
    pub fn inspect(&mut self, config: &DataConfig, progress: impl Fn(usize, usize) + Sync) -> Report {
        // Looking leaves nothing behind.
        let config = &DataConfig { cache: PathBuf::new(), ..config.clone() };
        let mut report = Report {
            mode: config.mode,
            root: config.root.clone(),
            phase: config.phase.clone(),
            items: 0,
            folders: Vec::new(),
            other_parts: Vec::new(),
            labels: None,
            notes: Vec::new(),
            problems: Vec::new(),
        };
        if let Err(error) = config.validate() {
            report.problems.push(Problem::of(ProblemKind::Layout, config.base(), &error));
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
                Err(error) => report.problems.push(Problem::of(ProblemKind::Layout, config.base(), &error)),
            }
        }
        let others = other_parts(kind, config, &sides);
        report.other_parts = others.iter().map(|(name, side)| (name.clone(), side.files.len())).collect();
        // Labels of all parts tell which there are.
        let labelled = others.iter().map(|(_, side)| side).filter(|side| side.ids);
        self.read(sides.iter().chain(labelled.clone()), config, &progress);
        let mut seen = Vec::new();
        for side in &sides {
            let images = self.seen(side, config, &mut report.problems);
            let folder = summarise(side, &images, &mut report.problems);
            report.notes.extend(notes(side, &folder));
            report.folders.push(folder);
            if side.files.is_empty() {
                let error = Error::dataset(&side.path, "there is not one image in it", "put images there");
                report.problems.push(Problem::of(ProblemKind::Layout, &side.path, &error));
            }
            too_small(side, &images, config, kind, &mut report.problems);
            unusable(side, &images, config, wanted(config), &mut report.problems);
            seen.push(images);
        }
        // Where items have no partners, an epoch goes once through the larger folder.
        let counted = if kind.pairing.is_some() { 1 } else { sides.len() };
        report.items = sides.iter().take(counted).map(|side| side.files.len()).max().unwrap_or(0);
        if let Some(names) = kind.pairing {
            for (other, images) in sides.iter().zip(&seen).skip(1) {
                let matched = compare((&sides[0], &seen[0]), (other, images), names, config, &mut report);
                let Some(matched) = matched else { continue };
                report.notes.extend(kind.unmatched.filter(|_| !matched.is_complete()).map(str::to_owned));
                if sides[0].ids && other.ids {
                    self.compare_instances(&matched.pairs, config, &mut report.problems);
                }
            }
        }
        if let Some(side) = sides.first().filter(|side| side.ids) {
            let further: Vec<_> = labelled.flat_map(|side| self.seen(side, config, &mut Vec::new())).collect();
            report.labels = Some(labels::histogram(side, &seen[0], &further, config, &mut report.problems));
        }
        // What opening refuses and nothing above has found.
        if report.is_usable()
            && let Err(error) = open(config)
        {
            report.problems.push(Problem::of(ProblemKind::Layout, config.base(), &error));
        }
        report.problems.sort_by_key(|problem| std::cmp::Reverse(problem.severity));
        report
    }

    /// What is known of files that are read in this way.
    fn way(&mut self, ids: bool, config: &DataConfig) -> &mut Read {
        let options = scan::options(config, wanted(config));
        let at = self.read.iter().position(|read| read.ids == ids && read.options == options).unwrap_or_else(|| {
            self.read.push(Read { ids, options, files: BTreeMap::new(), shares: BTreeMap::new() });
            self.read.len() - 1
        });
        &mut self.read[at]
    }

    /// Reads the files of all sides that have not been read yet.
    fn read<'s>(
        &mut self,
        sides: impl Iterator<Item = &'s Side>,
        config: &DataConfig,
        tell: &(dyn Fn(usize, usize) + Sync),
    ) {
        let mut new = Vec::new();
        for side in sides {
            let known = &self.way(side.ids, config).files;
            let files = side.files.iter().map(|file| file.path.as_path()).filter(|path| !known.contains_key(*path));
            new.push((side.ids, files.collect::<Vec<_>>()));
        }
        let total = new.iter().map(|(_, files)| files.len()).sum();
        let progress = Progress { done: AtomicUsize::new(0), total, tell };
        for (ids, files) in new {
            let read = self.way(ids, config);
            read.files.extend(read_all(&files, ids, &read.options, &progress));
        }
    }

    /// What is known of the files of a side; one entry a file, none where decoding failed, which becomes a problem.
    fn seen(&mut self, side: &Side, config: &DataConfig, problems: &mut Vec<Problem>) -> Vec<Option<Arc<Seen>>> {
        let known = &self.way(side.ids, config).files;
        let mut seen = Vec::with_capacity(side.files.len());
        for file in &side.files {
            match known.get(&file.path) {
                Some(Ok(image)) => seen.push(Some(image.clone())),
                Some(Err(problem)) => {
                    problems.push(problem.clone());
                    seen.push(None);
                }
                None => seen.push(None),
            }
        }
        seen
    }

    /// Reports instance maps that do not belong to their label maps.
    fn compare_instances(
        &mut self,
        pairs: &[(ImageFile, ImageFile)],
        config: &DataConfig,
        problems: &mut Vec<Problem>,
    ) {
        let read = self.way(true, config);
        let key = |(label, inst): &(ImageFile, ImageFile)| (label.path.clone(), inst.path.clone());
        let new: Vec<_> = pairs.iter().map(key).filter(|pair| !read.shares.contains_key(pair)).collect();
        let options = read.options;
        let shares = new.into_par_iter().map(|pair| {
            let share = labels::foreign(&pair.0, &pair.1, &options);
            (pair, share)
        });
        read.shares.extend(shares.collect::<Vec<_>>());
        let shares = pairs.iter().filter_map(|pair| Some((pair, read.shares.get(&key(pair)).copied().flatten()?)));
        problems.extend(shares.filter_map(|((_, inst), share)| labels::foreign_problem(&inst.path, share)));
    }
}

/// The numbers of channels that images may be given.
fn wanted(config: &DataConfig) -> [usize; 2] {
    let own = config.mode.kind().files.as_ref().and_then(|files| files.channels);
    own.map_or([config.input_nc, config.output_nc], |channels| [channels; 2])
}

/// The parts of a dataset.
const PARTS: [&str; 3] = ["train", "val", "test"];

/// The other parts of the dataset that `sides` are one part of, each with its first folder. Where one stands in for another, it is there
/// once.
fn other_parts(kind: &Files, config: &DataConfig, sides: &[Side]) -> Vec<(String, Side)> {
    let Some(own) = sides.first() else { return Vec::new() };
    let mut found: Vec<(String, Side)> = Vec::new();
    for phase in PARTS.into_iter().filter(|phase| *phase != config.phase) {
        let config = DataConfig { phase: phase.to_owned(), ..config.clone() };
        let sides: Result<Vec<_>, _> = (kind.sides)(&config, &mut Vec::new()).into_iter().collect();
        let Some(first) = sides.ok().and_then(|sides| sides.into_iter().next()) else { continue };
        let known = first.path == own.path || found.iter().any(|(_, side)| side.path == first.path);
        if !known && !first.files.is_empty() {
            found.push((phase.to_owned(), first));
        }
    }
    found
}

/// Images that the crop does not fit into: an error where they stand alone, black borders where parts share a crop.
fn too_small(side: &Side, seen: &[Option<Arc<Seen>>], config: &DataConfig, kind: &Files, problems: &mut Vec<Problem>) {
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
fn sizes<'a>(side: &'a Side, seen: &[Option<Arc<Seen>>]) -> BTreeMap<&'a Path, (usize, usize)> {
    let pairs = side.files.iter().zip(seen);
    pairs.filter_map(|(file, seen)| Some((file.path.as_path(), seen.as_ref()?.size))).collect()
}

/// Matches names; reports those without partner, and parts that differ in size. None if a name is there twice.
fn compare(
    (first, first_seen): (&Side, &[Option<Arc<Seen>>]),
    (other, other_seen): (&Side, &[Option<Arc<Seen>>]),
    names: Names,
    config: &DataConfig,
    report: &mut Report,
) -> Option<Matched> {
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
            return None;
        }
    };
    for (files, there) in [(&matched.only_left, other), (&matched.only_right, first)] {
        report.problems.extend(files.iter().map(|file| Problem {
            severity: Severity::Error,
            kind: ProblemKind::Unmatched,
            path: file.path.clone(),
            message: format!("no file of this name in {}", there.path.display()),
            remedy: "add it, or remove this one".to_owned(),
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
    Some(matched)
}
