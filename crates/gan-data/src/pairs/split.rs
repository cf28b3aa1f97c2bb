//! Dividing a collection into train, val and test.

use std::fs;
use std::path::Path;

use gan_rng::{Key, Purpose};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::folder::list_pictures;

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

/// Copies the pictures of `source` into `{folder}/train`, `/val` and `/test`. Which goes where depends on its name
/// and the seed alone up to the exact counts: files named alike in two folders (labels and photographs, say) that are
/// split with the same seed and ratio land in the same part. `progress` hears how many are done, and of how many.
///
/// Returns the number of files of train, val and test.
///
/// # Errors
/// [`Error::Config`] for shares that leave nothing to train on, [`Error::Dataset`] if there are no pictures,
/// [`Error::Io`] if copying fails.
pub fn split(
    source: &Path,
    folder: &Path,
    ratio: SplitRatio,
    seed: u64,
    mut progress: impl FnMut(usize, usize),
) -> Result<[usize; 3]> {
    let share = |value: f64| (0.0..1.0).contains(&value);
    if !share(ratio.val) || !share(ratio.test) || ratio.val + ratio.test >= 1.0 {
        let reason = format!("shares of {} for val and {} for test leave nothing to train on", ratio.val, ratio.test);
        return Err(Error::config(reason, "give shares such as 0.1"));
    }
    let mut files = list_pictures(source)?;
    if files.is_empty() {
        return Err(Error::dataset(source, "there is not one picture in it", "name the folder with the pictures"));
    }
    // An order by keyed hashes of the names is a shuffle that two folders with the same names share.
    let key = Key::new(seed, Purpose::Split);
    files.sort_by_cached_key(|file| (key.at_name(&file.stem).words(), file.stem.clone()));
    let count = |share: f64| (share * files.len() as f64).round() as usize;
    let (test, val) = (count(ratio.test), count(ratio.val));
    let mut counts = [0; 3];
    for (index, file) in files.iter().enumerate() {
        let part = if index < test { 2 } else { usize::from(index < test + val) };
        counts[part] += 1;
        let relative = file.path.strip_prefix(source).unwrap_or(&file.path);
        copy(&file.path, &folder.join(["train", "val", "test"][part]).join(relative))?;
        progress(index + 1, files.len());
    }
    Ok(counts)
}

/// Copies through a temporary neighbour, so that a copy is whole or absent.
fn copy(from: &Path, to: &Path) -> Result<()> {
    let bytes = fs::read(from).map_err(|e| Error::io("read", from, e))?;
    crate::encode::write_atomic(to, &bytes)
}
