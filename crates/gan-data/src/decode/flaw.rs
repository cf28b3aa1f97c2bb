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
}

impl Flaw {
    /// The error for the file at `path`.
    pub(super) fn of(self, path: &Path) -> Error {
        Error::decode(path, self.reason(), REPLACE)
    }

    fn reason(self) -> &'static str {
        match self {
            Self::Truncated => "the file is truncated: its image data ends early",
            Self::Damaged(reason) => reason,
        }
    }
}

/// Bytes `at .. at + length` of a file, if the file has them.
pub(super) fn part(file: &[u8], at: usize, length: usize) -> Result<&[u8], Flaw> {
    let end = at.checked_add(length).ok_or(Flaw::Truncated)?;
    file.get(at..end).ok_or(Flaw::Truncated)
}
