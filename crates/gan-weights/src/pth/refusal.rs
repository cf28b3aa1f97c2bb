//! Why a file is not read, before it is known where its bytes came from.

use std::io;

use crate::{Error, Origin};

/// Result of everything below the public entry points of [`crate::pth`].
pub(super) type Checked<T> = Result<T, Refusal>;

/// A reason to refuse a file.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The pickle names this global, which is not on the allow-list.
    Import(String),
    /// The bytes end before what they promise.
    Truncated(String),
    /// The bytes contradict themselves or the format.
    Damaged(String),
    /// A valid file that uses something not supported; the second field says what to try.
    Unsupported(String, &'static str),
    /// There are several state dicts, of these names.
    Several(Vec<String>),
    /// Reading would take more memory than the file's size warrants.
    TooLarge(String),
    /// candle refused to make a tensor.
    Candle(candle_core::Error),
    /// The file cannot be read.
    Io(io::Error),
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// The remedy that fits most foreign files.
pub(super) const RESAVE: &str = "re-save it with a current PyTorch: torch.save(net.state_dict(), path)";

impl Refusal {
    /// The public error for bytes from `origin`.
    pub(super) fn at(self, origin: Origin) -> Error {
        let (reason, remedy) = match self {
            Self::Import(global) => return Error::ForbiddenImport { origin, global },
            Self::Candle(error) => return Error::Candle(error),
            Self::Io(error) => return origin.unreadable(error),
            Self::Several(entries) => return Error::SeveralStateDicts { origin, entries },
            Self::Truncated(what) => {
                (format!("the file is cut short: {what}"), "copy or download it again and compare the size")
            }
            Self::Damaged(what) => (format!("damaged or hostile file: {what}"), "copy or download it again"),
            Self::Unsupported(what, remedy) => (what, remedy),
            Self::TooLarge(what) => (
                format!("reading it would take far more memory than its size warrants: {what}"),
                "if you trust the file, re-save a plain contiguous state dict from Python",
            ),
        };
        Error::BadWeights { origin, reason, remedy }
    }
}
