//! Dividing a collection into train, val and test.

use std::fs;
use std::path::{Path, PathBuf};

use gan_fs::is_same;
use gan_rng::{Key, Purpose};
use serde::{Deserialize, Serialize};

use super::combine::{all_done, nothing};
use crate::error::{Error, Result};
use crate::listing::{Exclude, image_files, list_images};
use crate::pairing::normalized;
use crate::results::Plan;

/// Shares of the parts; `train` gets the rest.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SplitRatio {
    /// Share of `val`, 0 … 1.
    pub val: f64,
    /// Share of `test`, 0 … 1.
    pub test: f64,
}

impl Default for SplitRatio {
    fn default() -> Self {
        Self { val: 0.0, test: 0.1 }
    }
}

/// Numbers of images of the parts; `train` gets the rest.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SplitCounts {
    /// Images of `val`.
    pub val: usize,
    /// Images of `test`.
    pub test: usize,
}

/// How large the parts are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum SplitSizes {
    /// Shares of all images.
    Shares(SplitRatio),
    /// Numbers of images.
    Counts(SplitCounts),
}

impl From<SplitRatio> for SplitSizes {
    fn from(ratio: SplitRatio) -> Self {
        Self::Shares(ratio)
    }
}

impl From<SplitCounts> for SplitSizes {
    fn from(counts: SplitCounts) -> Self {
        Self::Counts(counts)
    }
}

impl SplitSizes {
    /// Refuses shares that leave nothing to train on.
    fn check(self) -> Result<()> {
        let Self::Shares(ratio) = self else { return Ok(()) };
        let share = |value: f64| (0.0..1.0).contains(&value);
        if share(ratio.val) && share(ratio.test) && ratio.val + ratio.test < 1.0 {
            return Ok(());
        }
        let reason = format!("shares of {} for val and {} for test leave nothing to train on", ratio.val, ratio.test);
        Err(Error::config(reason, "give shares such as 0.1, or numbers of images"))
    }

    /// The numbers of images of val and test among `all`. Refuses numbers that leave nothing to train on.
    fn counts(self, all: usize) -> Result<SplitCounts> {
        let count = |share: f64| (share * all as f64).round() as usize;
        let counts = match self {
            Self::Shares(ratio) => return Ok(SplitCounts { val: count(ratio.val), test: count(ratio.test) }),
            Self::Counts(counts) => counts,
        };
        if counts.val.checked_add(counts.test).is_some_and(|held_out| held_out < all) {
            return Ok(counts);
        }
        let (val, test, images) = (counts.val, counts.test, if all == 1 { "image" } else { "images" });
        let reason = format!("{val} for val and {test} for test leave nothing to train on of {all} {images}");
        Err(Error::config(reason, "give smaller numbers"))
    }
}

/// Copies the images of `source` into `{folder}/train`, `/val` and `/test`. Which goes where depends on its name
/// and the seed alone up to the exact counts: files named alike in two folders (labels and photographs, say) that are
/// split with the same seed and sizes land in the same part. `progress` hears how many are done, and of how many.
///
/// Returns the number of files of train, val and test, and what a user should know.
///
/// # Errors
/// Before anything is written: [`Error::Config`] for sizes that leave nothing to train on, [`Error::Dataset`] if there
/// are no images, [`Error::Output`] if a part is read or holds other files. [`Error::Failed`] lists files that could
/// not be copied; the others are.
pub fn split(
    source: &Path,
    folder: &Path,
    sizes: impl Into<SplitSizes>,
    seed: u64,
    mut progress: impl FnMut(usize, usize),
) -> Result<([usize; 3], Vec<String>)> {
    let sizes = sizes.into();
    sizes.check()?;
    // The source may lie below the folder, beside the parts.
    let parts = ["train", "val", "test"].map(|part| folder.join(part));
    if is_same(source, folder) {
        let reason = "it is the folder that is read".to_owned();
        return Err(Error::Output { path: folder.to_path_buf(), reason, remedy: "name another folder" });
    }
    let listing = list_images(source, &Exclude::outputs(parts.iter().map(PathBuf::as_path).chain([folder])))?;
    let notes = listing.notes(source);
    let mut files = listing.files;
    if files.is_empty() {
        return Err(nothing(source, &notes, "name the folder with the images"));
    }
    // An order by keyed hashes of the names is a shuffle that two folders with the same names share, whatever Unicode
    // form they use.
    let key = Key::new(seed, Purpose::Split);
    let hash = |stem: &Path| key.at_name(&String::from_utf8_lossy(&normalized(stem))).words();
    files.sort_by_cached_key(|file| (hash(&file.stem), file.stem.clone()));
    let SplitCounts { val, test } = sizes.counts(files.len())?;
    let mut counts = [0; 3];
    let mut copies = Vec::with_capacity(files.len());
    for (index, file) in files.iter().enumerate() {
        let part = if index < test { 2 } else { usize::from(index < test + val) };
        counts[part] += 1;
        let relative = file.path.strip_prefix(source).unwrap_or(&file.path);
        copies.extend(copies_of(&file.path, &parts[part].join(relative))?);
    }
    let outputs: Vec<PathBuf> = copies.iter().map(|copy| copy.1.clone()).collect();
    let inputs = copies.iter().map(|copy| copy.0.as_path()).collect();
    Plan { sources: &[source], inputs, folders: parts.to_vec(), outputs: &outputs }.prepare()?;
    let outcomes = copies.iter().enumerate().map(|(index, (from, to))| {
        let outcome = copy(from, to);
        progress(index + 1, copies.len());
        outcome
    });
    all_done(outcomes.collect())?;
    Ok((counts, notes))
}

/// The files that make up an image, and where they go: one, or those of a folder of planes.
fn copies_of(from: &Path, to: &Path) -> Result<Vec<(PathBuf, PathBuf)>> {
    if !from.is_dir() {
        return Ok(vec![(from.to_path_buf(), to.to_path_buf())]);
    }
    let planes = image_files(from)?;
    Ok(planes
        .into_iter()
        .map(|plane| (plane.path.clone(), to.join(plane.path.file_name().unwrap_or_default())))
        .collect())
}

/// Copies through a temporary neighbour, so that a copy is whole or absent.
fn copy(from: &Path, to: &Path) -> Result<()> {
    let bytes = fs::read(from).map_err(|e| Error::io("read", from, e))?;
    crate::encode::write_whole(to, &bytes)
}
