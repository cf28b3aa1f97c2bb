//! Reading every file of a folder.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;

use super::report::{FolderReport, Problem, ProblemKind, Severity, SizeCount};
use crate::channels::has_alpha;
use crate::config::DataConfig;
use crate::decode::{AlphaPolicy, DecodeOptions, decode, decode_ids, probe};
use crate::dynamic_image::Image;
use crate::halves::{self, Seam};
use crate::image_file::shown;
use crate::image_name::is_planes;
use crate::pages;
use crate::side::Side;

/// What decoding one file told.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) size: (usize, usize),
    pub(super) channels: usize,
    depth: u32,
    pages: usize,
    /// Whether the file has alpha that decoding dropped.
    alpha_dropped: bool,
    /// One of its pixels, which shows what channels it can be given; none of a map of ids.
    pixel: Option<Image>,
    pub(super) seam: Option<Seam>,
    /// Of a map of ids: its ids.
    pub(super) ids: BTreeMap<u32, IdCount>,
}

/// How often an id occurs in a map, and the index of its first pixel in reading order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct IdCount {
    pub(super) pixels: u64,
    pub(super) first: usize,
}

impl Seen {
    /// Whether the image can be given one of these numbers of channels.
    fn fits(&self, wanted: [usize; 2]) -> bool {
        self.pixel.as_ref().is_none_or(|pixel| wanted.iter().any(|&n| pixel.clone().with_channels(n).is_some()))
    }
}

/// What is known of a file, or why it cannot be read.
pub(super) type Known = Result<Arc<Seen>, Problem>;

/// Counts files over several folders, for one progress report.
pub(super) struct Progress<'a> {
    pub(super) done: AtomicUsize,
    pub(super) total: usize,
    pub(super) tell: &'a (dyn Fn(usize, usize) + Sync),
}

impl Progress<'_> {
    fn step(&self) {
        (self.tell)(self.done.fetch_add(1, Ordering::Relaxed) + 1, self.total);
    }
}

/// How files are read that are given one of these numbers of channels. Alpha is kept for a side whose network has a channel for
/// it; a file that holds a pair is both sides.
pub(super) fn options(config: &DataConfig, wanted: [usize; 2]) -> DecodeOptions {
    let with_alpha = wanted.into_iter().find(|&channels| has_alpha(channels));
    config.decode_options_for(with_alpha.unwrap_or(wanted[0]))
}

/// Decodes these files, as maps of ids or as images.
pub(super) fn read_all(
    files: &[&Path],
    ids: bool,
    options: &DecodeOptions,
    progress: &Progress<'_>,
) -> Vec<(PathBuf, Known)> {
    files
        .par_iter()
        .map(|path| {
            let seen = if ids { look_at_ids(path, options) } else { look(path, options) };
            progress.step();
            let known = seen.map(Arc::new).map_err(|error| Problem::of(ProblemKind::Unreadable, path, &error));
            (path.to_path_buf(), known)
        })
        .collect()
}

fn look_at_ids(path: &Path, options: &DecodeOptions) -> crate::error::Result<Seen> {
    let pages = if is_planes(path) { 1 } else { pages::of_file(path) };
    let map = decode_ids(path, options)?;
    let depth = if map.first_not_below(256).is_some() { 16 } else { 8 };
    let mut ids = BTreeMap::new();
    for (at, &id) in map.raster().samples().iter().enumerate() {
        ids.entry(id).or_insert(IdCount { pixels: 0, first: at }).pixels += 1;
    }
    Ok(Seen { size: map.size(), channels: 1, depth, pages, alpha_dropped: false, pixel: None, seam: None, ids })
}

fn look(path: &Path, options: &DecodeOptions) -> crate::error::Result<Seen> {
    let pages = if is_planes(path) { 1 } else { pages::of_file(path) };
    let image = decode(path, options)?;
    let has_alpha = !is_planes(path) && matches!(probe(path, options)?.channels, 2 | 4);
    Ok(Seen {
        size: image.size(),
        channels: image.channels(),
        depth: image.depth(),
        pages,
        alpha_dropped: has_alpha && options.alpha == AlphaPolicy::Drop && image.channels() % 2 == 1,
        pixel: Some(image.crop(0, 0, 1, 1)),
        seam: Seam::of(&image),
        ids: BTreeMap::new(),
    })
}

/// Sums a folder up, and warns about kinds of images that do not belong together.
pub(super) fn summarise(side: &Side, seen: &[Option<Arc<Seen>>], problems: &mut Vec<Problem>) -> FolderReport {
    let mut sizes = BTreeMap::<(usize, usize), usize>::new();
    let mut channels = BTreeMap::new();
    let mut depths = BTreeMap::new();
    for image in seen.iter().flatten() {
        *sizes.entry(image.size).or_default() += 1;
        *channels.entry(image.channels).or_default() += 1;
        *depths.entry(image.depth).or_default() += 1;
    }
    let mut mixed = |message: String, remedy: &str| {
        problems.push(Problem {
            severity: Severity::Warning,
            kind: ProblemKind::Mixed,
            path: side.path.clone(),
            message,
            remedy: remedy.to_owned(),
        });
    };
    let listed = |counts: &BTreeMap<String, usize>| {
        counts.iter().map(|(what, count)| format!("{count} with {what}")).collect::<Vec<_>>().join(", ")
    };
    if channels.len() > 1 {
        let counts = channels.iter().map(|(c, n)| (counted(*c, "channel"), *n)).collect();
        mixed(format!("images differ: {}", listed(&counts)), "they are converted to input_nc or output_nc channels");
    }
    // Maps of ids may be narrow or wide as their ids need.
    if depths.len() > 1 && !side.ids {
        let counts = depths.iter().map(|(d, n)| (format!("{d} bits"), *n)).collect();
        mixed(format!("images differ: {}", listed(&counts)), "use one depth, or expect different precision");
    }
    let mut sizes: Vec<SizeCount> =
        sizes.into_iter().map(|((width, height), images)| SizeCount { width, height, images }).collect();
    sizes.sort_by_key(|size| std::cmp::Reverse(size.images));
    let named = |which: fn(&Seen) -> bool| -> Vec<String> {
        let files = side.files.iter().zip(seen).filter(|(_, seen)| seen.as_deref().is_some_and(which));
        files.map(|(file, _)| file.name()).collect()
    };
    let left_out = side
        .left_out
        .iter()
        .map(|(reason, paths)| (reason.counted(paths.len()), paths.iter().map(|path| shown(path)).collect()));
    FolderReport {
        role: side.role.to_owned(),
        path: side.path.clone(),
        files: side.files.len(),
        sizes,
        channels,
        depths,
        left_out: left_out.collect(),
        further_pages: named(|seen| seen.pages > 1),
        alpha_dropped: named(|seen| seen.alpha_dropped),
    }
}

/// `1 channel`, `2 channels`.
pub(super) fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

/// What is not used of a folder's files, as notes.
pub(super) fn notes(side: &Side, report: &FolderReport) -> Vec<String> {
    let alpha = match report.alpha_dropped.len() {
        0 => None,
        n => Some(format!("alpha of {} is dropped; alpha = \"composite\" lays it over white", counted(n, "image"))),
    };
    let notes = [side.left_out.note(), pages::sentence(&report.further_pages), alpha];
    notes.into_iter().flatten().map(|note| format!("{}: {note}", side.path.display())).collect()
}

/// Files that can be read and not used: no pairs, too many channels, sizes that make no batch.
pub(super) fn unusable(
    side: &Side,
    seen: &[Option<Arc<Seen>>],
    config: &DataConfig,
    wanted: [usize; 2],
    problems: &mut Vec<Problem>,
) {
    let mut add = |severity, kind, path: &Path, message, remedy: &str| {
        problems.push(Problem { severity, kind, path: path.to_path_buf(), message, remedy: remedy.to_owned() });
    };
    let transform = config.transform();
    let mut sizes = std::collections::BTreeSet::new();
    for (file, seen) in side.files.iter().zip(seen) {
        let Some(seen) = seen else { continue };
        if side.holds_pairs() && seen.size.0 < 2 {
            let message = "an image one pixel wide holds no pair".to_owned();
            add(Severity::Error, ProblemKind::TooSmall, &file.path, message, "store A and B side by side");
        }
        if !seen.fits(wanted) {
            let message = counted(seen.channels, "channel");
            let remedy = "set generator.input_nc or generator.output_nc to that number";
            add(Severity::Warning, ProblemKind::Channels, &file.path, message, remedy);
        }
        sizes.insert(transform.size_before_crop(seen.size));
    }
    if config.batch_size > 1 && !transform.preprocess.crops() && sizes.len() > 1 {
        let message = format!("images of {} sizes cannot share batches of {}", sizes.len(), config.batch_size);
        let remedy = "set batch_size = 1, or a preprocess that crops";
        add(Severity::Error, ProblemKind::SizeMismatch, &side.path, message, remedy);
    }
    let paired = seen.iter().flatten().filter(|_| side.holds_pairs());
    let seams: Vec<Seam> = paired.filter_map(|seen| seen.seam).collect();
    if let Some(doubt) = halves::doubt(&seams) {
        let remedy = "store A in the left half and B in the right one, or in folders A and B";
        add(Severity::Warning, ProblemKind::NotPairs, &side.path, doubt, remedy);
    }
}
