//! Folders that are written as a whole, of one generator.

use crate::exit::{Coded, USAGE};
use anyhow::bail;
use clap::ValueEnum;
use std::path::Path;

/// Which generator of a model that has two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Direction {
    A2b,
    B2a,
}

impl From<Direction> for gan_translate::Direction {
    fn from(direction: Direction) -> Self {
        match direction {
            Direction::A2b => gan_translate::Direction::A2b,
            Direction::B2a => gan_translate::Direction::B2a,
        }
    }
}

/// Refuses a folder that is not empty, before anything is computed.
pub(super) fn refuse_existing(folder: &Path) -> anyhow::Result<()> {
    if folder.is_file() {
        bail!(Coded(USAGE, format!("{} is a file: name a folder that does not exist", folder.display())));
    }
    if std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some()) {
        bail!(Coded(USAGE, format!("{} exists and is not empty: name a folder that does not exist", folder.display())));
    }
    Ok(())
}

/// The name of a folder, also of one that is named as `.`.
pub(super) fn name(folder: &Path) -> String {
    let whole = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    whole.file_name().map_or_else(|| "model".to_owned(), |name| name.to_string_lossy().into_owned())
}
