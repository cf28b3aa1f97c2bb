//! `verification.json`: hashes of a folder's files, and samples whose results anybody can make again.

use super::samples::SampleFiles;
use crate::digest::digest_of_file;
use crate::{Error, Result};
use gan_data::{DecodeOptions, Image, decode};
use gan_translate::{HubConfig, Model, Options};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Name of the file.
pub(super) const FILE: &str = "verification.json";
/// Largest one that is read.
const MAX_BYTES: u64 = 1 << 20;
/// The version that is written.
const FORMAT: u32 = 1;

/// The largest difference from an expected image that is taken for the same, in levels of 255: processors add in different orders.
pub const MAX_LEVELS: u8 = 2;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Verification {
    format: u32,
    /// SHA-256 by path in the folder.
    sha256: BTreeMap<String, String>,
    pub(super) samples: Vec<SampleFiles>,
}

/// A folder whose model makes the images that it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Same {
    /// Samples that were made again.
    pub samples: usize,
    /// Files whose hashes were compared.
    pub files: usize,
    /// The largest difference, in levels of 255; 0: the images are the same.
    pub levels: u8,
}

impl Verification {
    /// Of the files of a folder that is complete but for this one and the card.
    pub(super) fn of(
        folder: &Path,
        files: impl IntoIterator<Item = String>,
        samples: Vec<SampleFiles>,
    ) -> Result<Self> {
        let paths = files.into_iter().chain(samples.iter().flat_map(|sample| sample.paths().map(str::to_owned)));
        let hash = |path: String| {
            let file = folder.join(&path);
            match digest_of_file(&file) {
                Ok(digest) => Ok((path, digest)),
                Err(source) => Err(Error::Io { action: "read", path: file, source }),
            }
        };
        let sha256 = paths.map(hash).collect::<Result<_>>()?;
        Ok(Verification { format: FORMAT, sha256, samples })
    }

    pub(super) fn to_json(&self) -> Result<String> {
        let text = serde_json::to_string_pretty(self).map_err(candle_core::Error::wrap)?;
        Ok(text + "\n")
    }

    fn open(folder: &Path) -> Result<Self> {
        let path = folder.join(FILE);
        let damaged = |reason: String| Error::Damaged { path: path.clone(), reason };
        let text = gan_fs::read_regular(&path, MAX_BYTES).map_err(|e| damaged(format!("cannot be read: {e}")))?;
        let read: Self = serde_json::from_slice(&text).map_err(|e| damaged(format!("is damaged: {e}")))?;
        if read.format != FORMAT {
            return Err(damaged(format!("has format {}, and this version reads format {FORMAT}", read.format)));
        }
        if read.samples.is_empty() {
            return Err(damaged("names no samples".to_owned()));
        }
        let listed = |path: &str| read.sha256.contains_key(path);
        let needed = [HubConfig::FILE, HubConfig::WEIGHTS];
        let all = needed.into_iter().chain(read.samples.iter().flat_map(SampleFiles::paths));
        for path in all {
            if !listed(path) {
                return Err(damaged(format!("has no hash of {path}")));
            }
        }
        // No path leads out of the folder.
        let inside =
            |path: &str| Path::new(path).components().all(|part| matches!(part, std::path::Component::Normal(_)));
        if let Some(outside) = read.sha256.keys().find(|path| !inside(path)) {
            return Err(damaged(format!("names {outside}, which is not in the folder")));
        }
        Ok(read)
    }

    /// Compares all hashes.
    fn check_files(&self, folder: &Path) -> Result<()> {
        for (path, expected) in &self.sha256 {
            let file = folder.join(path);
            let damaged = |reason: String| Error::Damaged { path: file.clone(), reason };
            let digest = digest_of_file(&file).map_err(|error| damaged(format!("cannot be read: {error}")))?;
            if digest != *expected {
                return Err(damaged(
                    "is damaged or was edited: its SHA-256 is not the one that the folder states".to_owned(),
                ));
            }
        }
        Ok(())
    }
}

/// Compares the hashes of a model folder, makes its samples again and compares them.
///
/// # Errors
/// [`Error::Folder`] if it is no such folder, [`Error::Damaged`] for a file that is missing, damaged or was edited, [`Error::OtherImage`] if the model makes another
/// image (beyond [`MAX_LEVELS`]), and what opening it answers.
pub fn verify_hub_folder(folder: &Path, options: Options) -> Result<Same> {
    if !folder.exists() {
        return Err(Error::Folder { path: folder.to_owned(), reason: "does not exist" });
    }
    if !folder.join(FILE).exists() && !HubConfig::is_folder(folder) {
        let reason = "is no model folder: it holds no config.json with model.safetensors and verification.json";
        return Err(Error::Folder { path: folder.to_owned(), reason });
    }
    let verification = Verification::open(folder)?;
    verification.check_files(folder)?;
    let options = Options { style: style(folder), ..options };
    let model = Model::open_with(folder, options)?;
    let mut levels = 0;
    for sample in &verification.samples {
        let path = folder.join(&sample.output);
        let expected =
            decode(&path, &DecodeOptions { alpha: gan_data::AlphaPolicy::Keep, ..DecodeOptions::default() })?;
        let made = sample.translate(folder, &model)?;
        levels = levels.max(difference(&made, &expected, &path)?);
    }
    Ok(Same { samples: verification.samples.len(), files: verification.sha256.len(), levels })
}

/// The style that samples have: 0, where there are styles to draw from.
pub(super) fn style(folder: &Path) -> Option<u64> {
    clusters(folder).is_file().then_some(0)
}

/// Where styles are in a folder.
pub(super) fn clusters(folder: &Path) -> PathBuf {
    folder.join("features").join(gan_translate::StyleClusters::FILE)
}

/// The largest difference of two images, in levels.
fn difference(made: &Image, expected: &Image, path: &Path) -> Result<u8> {
    let damaged = |reason: &str| Error::Damaged { path: path.to_owned(), reason: reason.to_owned() };
    if (made.size(), made.channels()) != (expected.size(), expected.channels()) {
        return Err(damaged("has another size than what the model makes"));
    }
    let levels = match (made, expected) {
        (Image::U8(a), Image::U8(b)) => a.samples().iter().zip(b.samples()).map(|(a, b)| a.abs_diff(*b)).max(),
        (Image::U16(a), Image::U16(b)) => {
            let most = a.samples().iter().zip(b.samples()).map(|(a, b)| a.abs_diff(*b)).max();
            most.map(|most| u8::try_from(most.div_ceil(257)).unwrap_or(u8::MAX))
        }
        _ => return Err(damaged("has another depth than what the model makes")),
    };
    match levels.unwrap_or(0) {
        levels if levels > MAX_LEVELS => Err(Error::OtherImage { path: path.to_owned(), levels, allowed: MAX_LEVELS }),
        levels => Ok(levels),
    }
}
