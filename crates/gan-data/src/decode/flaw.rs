//! What is wrong with a file's structure, before any pixel is decoded.

use std::path::Path;

use super::REPLACE;
use crate::error::Error;

/// Why a file cannot be trusted to hold its whole image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flaw {
    /// The file ends, or its image data ends, before the image is complete.
    Truncated,
    /// Something else that no encoder writes.
    Damaged(&'static str),
    /// The file has no page of this number.
    NoPage {
        /// The page that was asked for, counted from 0.
        page: usize,
        /// How many there are.
        pages: usize,
    },
}

impl Flaw {
    /// The error for the file at `path`.
    pub(super) fn of(self, path: &Path) -> Error {
        match self {
            Self::Truncated => Error::decode(path, "the file is truncated: its image data ends early", REPLACE),
            Self::Damaged(reason) => Error::decode(path, reason, REPLACE),
            Self::NoPage { page, pages } => {
                let reason = format!("page {} was asked for, and it has {pages}", page + 1);
                Error::decode(path, reason, "name a page that it has")
            }
        }
    }
}

/// Bytes `at .. at + length` of a file, if the file has them.
pub(super) fn part(file: &[u8], at: usize, length: usize) -> Result<&[u8], Flaw> {
    let end = at.checked_add(length).ok_or(Flaw::Truncated)?;
    file.get(at..end).ok_or(Flaw::Truncated)
}
