//! A folder that a dataset reads, as inspection looks at it.

use std::path::{Path, PathBuf};

use crate::error::Result;
use crate::image_file::ImageFile;
use crate::listing::{Exclude, LeftOut, list_images};

/// A folder, or a single file, that is to be looked at.
#[derive(Debug, Clone)]
pub(crate) struct Side {
    /// What its images are for: `pairs`, `A`, `B`, `labels`, `photographs`, `instances`, `images`.
    pub(crate) role: &'static str,
    pub(crate) path: PathBuf,
    pub(crate) files: Vec<ImageFile>,
    pub(crate) left_out: LeftOut,
    /// Whether the files hold ids rather than colors.
    pub(crate) ids: bool,
}

impl Side {
    /// The images of a folder.
    pub(crate) fn images(role: &'static str, path: &Path, exclude: &Exclude) -> Result<Self> {
        let listing = list_images(path, exclude)?;
        Ok(Self { role, path: path.to_path_buf(), files: listing.files, left_out: listing.left_out, ids: false })
    }

    /// Whether each file holds both parts of a pair.
    pub(crate) fn holds_pairs(&self) -> bool {
        self.role == "pairs"
    }
}
