//! What a folder most likely holds.

use std::path::Path;

use crate::config::DataMode;
use crate::layout::{Layout, domains, holds_images, locate_pairs};
use crate::listing::image_files;
use crate::pairing::{Names, match_names};

/// What a folder looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Guess {
    /// Label maps, with photographs for training.
    Labelled,
    /// Pairs, side by side or in two folders with the same names.
    Pairs,
    /// Two collections whose files do not belong to each other.
    Unpaired,
    /// Images without partners.
    Images,
}

impl Guess {
    /// The mode that reads such a folder.
    #[must_use]
    pub fn mode(self) -> DataMode {
        match self {
            Self::Labelled => DataMode::Labelled,
            Self::Pairs => DataMode::Aligned,
            Self::Unpaired => DataMode::Unaligned,
            Self::Images => DataMode::Single,
        }
    }
}

/// Guesses from the names of folders and files what a dataset is.
#[must_use]
pub fn guess(root: &Path) -> Guess {
    let has = |name: &str| root.join(name).is_dir();
    if has("train_label") || has("val_label") || has("test_label") {
        return Guess::Labelled;
    }
    // So the published unpaired sets name them; in some, equal names mean nothing.
    if has("trainA") && has("trainB") {
        return Guess::Unpaired;
    }
    match locate_pairs(root, "train").map(|located| located.layout) {
        Ok(Layout::TwoFolders(a, b)) => {
            let matched = match (image_files(&a), image_files(&b)) {
                (Ok(a), Ok(b)) if !a.is_empty() && !b.is_empty() => match_names(&a, &b, Names::Whole).ok(),
                _ => None,
            };
            // What cannot be compared is left to those who report it.
            if matched.is_some_and(|matched| matched.pairs.is_empty()) { Guess::Unpaired } else { Guess::Pairs }
        }
        Ok(Layout::SideBySide(folder)) if folder != root => Guess::Pairs,
        _ if domains(root).len() == 2 && !holds_images(root) => Guess::Unpaired,
        _ => Guess::Images,
    }
}
