//! What a kind of dataset states about itself.

use std::sync::Arc;

use crate::config::{DataConfig, Direction};
use crate::dataset::Dataset;
use crate::error::{Error, Result};
use crate::named_folders::FolderKey;
use crate::pairing::Names;
use crate::side::Side;

/// A kind of dataset: what a value of `data.mode` stands for.
pub(crate) struct Kind {
    /// The value of `data.mode`.
    pub(crate) name: &'static str,
    /// The keys by which a configuration may name its folders.
    pub(crate) folders: &'static [FolderKey],
    /// What its files are, as the end of a sentence: `pairs of images of the same scene`.
    pub(crate) about: &'static str,
    /// What it demands of a configuration, beyond what all kinds do.
    pub(crate) check: fn(&DataConfig) -> Result<()>,
    /// Opens the dataset that a configuration describes.
    pub(crate) open: fn(&DataConfig) -> Result<Arc<dyn Dataset>>,
    /// How its files are inspected; none where items are drawn.
    pub(crate) files: Option<Files>,
    /// Whether scaling to a width keeps the height at `crop_size` or more.
    pub(crate) minimum_height: bool,
}

/// What inspection has to know about the files of a kind.
pub(crate) struct Files {
    /// The folders, found and listed as the dataset does; adds to the notes.
    pub(crate) sides: fn(&DataConfig, &mut Vec<String>) -> Vec<Result<Side>>,
    /// How the names of the first folder match those of the others; none where items have no partners.
    pub(crate) pairing: Option<Names>,
    /// A note to give where partners lack.
    pub(crate) unmatched: Option<&'static str>,
    /// The channels as which images are read, where these are not the networks'.
    pub(crate) channels: Option<usize>,
}

/// For kinds that demand nothing.
pub(crate) fn no_demands(_: &DataConfig) -> Result<()> {
    Ok(())
}

/// For kinds whose input cannot be their target.
pub(crate) fn one_direction(config: &DataConfig) -> Result<()> {
    match config.direction {
        Direction::A2b => Ok(()),
        Direction::B2a => Err(Error::config("this mode has only one direction", "set direction = \"a2b\"")),
    }
}
