//! Reading every file of a folder.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;

use super::report::{FolderReport, Problem, ProblemKind, Severity, SizeCount};
use crate::decode::{DecodeOptions, decode, decode_ids};
use crate::error::{Error, Result};
use crate::folder::{PictureFile, list_pictures};

/// A folder that is to be looked at.
#[derive(Debug, Clone)]
pub(super) struct Side {
    pub(super) role: &'static str,
    pub(super) path: PathBuf,
    pub(super) files: Vec<PictureFile>,
    /// Whether the files hold ids rather than colours.
    pub(super) ids: bool,
}

impl Side {
    pub(super) fn list(role: &'static str, path: &Path, ids: bool) -> Result<Self> {
        Ok(Self { role, path: path.to_path_buf(), files: list_pictures(path)?, ids })
    }
}

/// What decoding one file told.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    pub(super) size: (usize, usize),
    channels: usize,
    depth: u32,
}

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

/// Decodes every file of a side. The result has one entry a file, none where decoding failed.
pub(super) fn read_all(
    side: &Side,
    options: &DecodeOptions,
    progress: &Progress<'_>,
    problems: &mut Vec<Problem>,
) -> Vec<Option<Seen>> {
    let results: Vec<Result<Seen>> = side
        .files
        .par_iter()
        .map(|file| {
            let seen = look(&file.path, side.ids, options);
            progress.step();
            seen
        })
        .collect();
    let mut seen = Vec::with_capacity(results.len());
    for (file, result) in side.files.iter().zip(results) {
        match result {
            Ok(picture) => seen.push(Some(picture)),
            Err(error) => {
                problems.push(unreadable(&file.path, &error));
                seen.push(None);
            }
        }
    }
    seen
}

fn look(path: &Path, ids: bool, options: &DecodeOptions) -> Result<Seen> {
    if ids {
        let ids = decode_ids(path, options)?;
        let wide = ids.first_not_below(256).is_some();
        return Ok(Seen { size: ids.size(), channels: 1, depth: if wide { 16 } else { 8 } });
    }
    let picture = decode(path, options)?;
    Ok(Seen { size: picture.size(), channels: picture.channels(), depth: picture.depth() })
}

fn unreadable(path: &Path, error: &Error) -> Problem {
    let remedy = match error {
        Error::Decode { remedy, .. } => (*remedy).to_owned(),
        Error::TooLarge { .. } => "scale it down".to_owned(),
        _ => "check the file and its permissions".to_owned(),
    };
    let message = error.to_string();
    Problem { severity: Severity::Error, kind: ProblemKind::Unreadable, path: path.to_path_buf(), message, remedy }
}

/// Sums a folder up, and warns about kinds of pictures that do not belong together.
pub(super) fn summarise(side: &Side, seen: &[Option<Seen>], problems: &mut Vec<Problem>) -> FolderReport {
    let mut sizes = BTreeMap::<(usize, usize), usize>::new();
    let mut channels = BTreeMap::new();
    let mut depths = BTreeMap::new();
    for picture in seen.iter().flatten() {
        *sizes.entry(picture.size).or_default() += 1;
        *channels.entry(picture.channels).or_default() += 1;
        *depths.entry(picture.depth).or_default() += 1;
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
        let counts = channels.iter().map(|(c, n)| (format!("{c} channels"), *n)).collect();
        mixed(format!("pictures differ: {}", listed(&counts)), "they are converted to input_nc or output_nc channels");
    }
    // Maps of ids may be narrow or wide as their ids need.
    if depths.len() > 1 && !side.ids {
        let counts = depths.iter().map(|(d, n)| (format!("{d} bits"), *n)).collect();
        mixed(format!("pictures differ: {}", listed(&counts)), "use one depth, or expect different precision");
    }
    let mut sizes: Vec<SizeCount> =
        sizes.into_iter().map(|((width, height), pictures)| SizeCount { width, height, pictures }).collect();
    sizes.sort_by_key(|size| std::cmp::Reverse(size.pictures));
    FolderReport {
        role: side.role.to_owned(),
        path: side.path.clone(),
        files: side.files.len(),
        sizes,
        channels,
        depths,
    }
}
