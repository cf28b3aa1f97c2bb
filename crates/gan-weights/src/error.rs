//! The crate's one error type.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// What every fallible function of this crate returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can go wrong in this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused a file operation.
    #[error("cannot {action} {}: {source}; {remedy}", path.display())]
    Io {
        /// The file (or directory) concerned.
        path: PathBuf,
        /// The verb of the operation, as in "read" or "rename".
        action: &'static str,
        /// What the system said.
        source: std::io::Error,
        /// What to try.
        remedy: &'static str,
    },
    /// A pickle names a class or function outside the allow-list. Nothing was imported or called.
    #[error(
        "{origin}: refused: pickle wants to import {global}; re-save the plain state dict from Python: torch.save(net.state_dict(), path)"
    )]
    ForbiddenImport {
        /// Where the bytes came from.
        origin: Origin,
        /// `module.name` as the pickle spells it.
        global: String,
    },
    /// A weight file is damaged, foreign, or uses a feature that is not supported.
    #[error("{origin}: {reason}; {remedy}")]
    BadWeights {
        /// Where the bytes came from.
        origin: Origin,
        /// What is wrong with them.
        reason: String,
        /// What to try.
        remedy: &'static str,
    },
    /// A file holds several state dicts, and nothing tells which is meant.
    #[error(
        "{origin}: the file holds several state dicts and no way to tell which is meant; there are {}; name one of them",
        entries.join(", ")
    )]
    SeveralStateDicts {
        /// Where the bytes came from.
        origin: Origin,
        /// Their names, as [`read_entry`](crate::read_entry) takes them.
        entries: Vec<String>,
    },
    /// A weight file cannot represent what it was asked to hold.
    #[error("cannot write {}: {reason}; {remedy}", path.display())]
    Unwritable {
        /// The file that was to be written. It was not touched.
        path: PathBuf,
        /// Why not.
        reason: String,
        /// What to try.
        remedy: &'static str,
    },
    /// A tensor holds what is no finite number.
    #[error(
        "{tensor} holds {value} at element {index}, so that the network computes no image; its training diverged: take an earlier file of it"
    )]
    NonFinite {
        /// The tensor's name.
        tensor: String,
        /// Position of the first bad element in the flattened tensor.
        index: usize,
        /// The bad value.
        value: f64,
    },
    /// candle failed.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}

impl Error {
    /// The error of a file that cannot be read.
    pub(crate) fn unreadable(path: &Path, source: io::Error) -> Self {
        let remedy = gan_fs::remedy(&source).unwrap_or(match source.kind() {
            io::ErrorKind::IsADirectory => "name the weight file in it",
            io::ErrorKind::FileTooLarge => "give a file of weights alone",
            io::ErrorKind::ResourceBusy => "try again when it is complete",
            _ => "check the path and its permissions",
        });
        Self::Io { path: path.to_owned(), action: "read", source, remedy }
    }
}

/// Where weight bytes came from: a file, or memory.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// A file of this path.
    File(PathBuf),
    /// Bytes handed over by the caller.
    Memory,
}

impl Origin {
    /// The error of bytes that cannot be read.
    pub(crate) fn unreadable(&self, error: io::Error) -> Error {
        match self {
            Self::File(path) => Error::unreadable(path, error),
            Self::Memory => Error::Candle(error.into()),
        }
    }
}

impl From<&Path> for Origin {
    fn from(path: &Path) -> Self {
        Self::File(path.to_path_buf())
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Memory => f.write_str("weights in memory"),
        }
    }
}
