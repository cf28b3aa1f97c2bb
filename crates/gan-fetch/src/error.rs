//! The crate's one error type.

use std::fmt;
use std::io::{self, ErrorKind};
use std::path::PathBuf;

use crate::human;

/// What every fallible function of this crate returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why something was not fetched. Wherever that is possible, what came so far is kept, and the same call goes on with it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused a file operation.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// The verb of the operation, as in "read" or "write".
        action: &'static str,
        /// The file or folder concerned.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The disk has no room for what is missing. Nothing was begun.
    #[error("{} needs {} more, and its disk has {}", folder.display(), human::bytes(*needed), human::bytes(*free))]
    NoRoom {
        /// A folder on that disk.
        folder: PathBuf,
        /// Bytes that are needed.
        needed: u64,
        /// Bytes that are free.
        free: u64,
    },
    /// A catalogue is no TOML, or contradicts itself.
    #[error("{place}: {reason}")]
    Catalog {
        /// The catalogue's file.
        place: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The catalogue has no entry and no group of that name.
    #[error("the catalogue has no `{name}`{}", near_names(near))]
    UnknownName {
        /// The name that was asked for.
        name: String,
        /// Names that look alike.
        near: Vec<String>,
    },
    /// The lock file of a data directory cannot be understood. Its hashes must not be forgotten silently.
    #[error("{} is damaged; repair or delete it, then fetch again: {reason}", path.display())]
    LockFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Another process fetches into the same data directory.
    #[error("another fetch{} is at work in this data directory; wait for it to end [{}]", holder(*process), lock.display())]
    Busy {
        /// The process that holds the lock, where the system tells.
        process: Option<u32>,
        /// The lock.
        lock: PathBuf,
    },
    /// An address is none, or none of http(s).
    #[error("{0}")]
    Address(String),
    /// No mirror gave the file.
    #[error("no mirror gave the file:{}", mirror_lines(.0))]
    NoMirror(Vec<MirrorFailure>),
    /// The file came, and holds something that it may not hold, or not what the catalogue says. Nothing of it was put into place.
    #[error("the {what} from {url} is refused: {reason}")]
    Refused {
        /// "archive" or "file".
        what: &'static str,
        /// Where it came from.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A package that was fetched by other means does not hold what is wanted of it.
    #[error("{} {reason}", path.display())]
    Package {
        /// The package, or the file in it.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// It is not here, and fetching was forbidden.
    #[error("it is not at {}, and may not be fetched offline", place.display())]
    Absent {
        /// Where it would be.
        place: PathBuf,
    },
    /// It is here, but changed since it was fetched, and fetching was forbidden.
    #[error("damaged: {how}")]
    Damaged {
        /// What has changed.
        how: String,
    },
    /// No mirror may offer it.
    #[error("cannot be fetched: {terms}")]
    ByHand {
        /// Under which terms it can be had.
        terms: String,
    },
    /// Its terms restrict use, and were not accepted.
    #[error("its terms restrict use: {terms}")]
    Restricted {
        /// The terms.
        terms: String,
    },
}

impl Error {
    /// Whether the disk has no room for what was to be written.
    #[must_use]
    pub fn is_disk_full(&self) -> bool {
        match self {
            Self::NoRoom { .. } => true,
            Self::Io { source, .. } => {
                matches!(source.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge)
            }
            _ => false,
        }
    }

    /// Whether the fault lies with the source: then another way to the file helps, such as [`Entry::by_hand`](crate::Entry::by_hand).
    #[must_use]
    pub fn is_of_the_source(&self) -> bool {
        matches!(self, Self::NoMirror(_) | Self::Refused { .. } | Self::Absent { .. } | Self::ByHand { .. })
    }

    /// Makes an [`Error::Io`] of what the system said, for `map_err`.
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }
}

impl From<gan_fs::ReplaceError> for Error {
    fn from(error: gan_fs::ReplaceError) -> Self {
        Self::Io { action: error.action, path: error.path, source: error.source }
    }
}

/// A mirror, and why it did not give the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MirrorFailure {
    /// Its address.
    pub url: String,
    /// What happened.
    pub reason: String,
}

impl fmt::Display for MirrorFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.url, self.reason)
    }
}

fn near_names(near: &[String]) -> String {
    if near.is_empty() {
        return "; --list shows what it has".into();
    }
    let names: Vec<_> = near.iter().map(|name| format!("`{name}`")).collect();
    format!("; did you mean {}?", names.join(" or "))
}

fn mirror_lines(failures: &[MirrorFailure]) -> String {
    failures.iter().map(|failure| format!("\n  {failure}")).collect()
}

fn holder(process: Option<u32>) -> String {
    process.map(|process| format!(" (process {process})")).unwrap_or_default()
}
