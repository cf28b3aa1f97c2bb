//! Why a fetched file was not put into place.

use std::io;
use std::path::PathBuf;

use crate::error::Error;

/// Told apart, because another copy of the file can help against the first, and only room against the second.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// It holds what it may not hold, or not what the catalogue says.
    Content(String),
    /// This machine's disk.
    Disk(Error),
}

impl Refusal {
    /// A fault of the disk, for `map_err`.
    pub(crate) fn disk(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let to_error = Error::io(action, path);
        move |source| Self::Disk(to_error(source))
    }

    /// The public error; `what` is "archive" or "file".
    pub(crate) fn of(self, what: &'static str, url: &str) -> Error {
        match self {
            Self::Content(reason) => Error::Refused { what, url: url.to_owned(), reason },
            Self::Disk(error) => error,
        }
    }
}

/// Returns [`Refusal::Content`] from the function unless the condition holds.
macro_rules! require {
    ($holds:expr, $($text:tt)*) => {
        if !$holds {
            return Err($crate::refusal::Refusal::Content(format!($($text)*)));
        }
    };
}

/// Returns [`Refusal::Content`] from the function.
macro_rules! refuse {
    ($($text:tt)*) => { return Err($crate::refusal::Refusal::Content(format!($($text)*))) };
}

pub(crate) use {refuse, require};
