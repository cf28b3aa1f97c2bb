//! What can go wrong with videos.

use std::io;
use std::path::PathBuf;

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why frames cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A stream is no YUV4MPEG2, is damaged, or is of a kind that is not read.
    #[error("{reason}; {remedy}")]
    Stream {
        /// What is wrong with it.
        reason: String,
        /// What to do.
        remedy: &'static str,
    },
    /// A stream cannot be read or written.
    #[error("cannot {action} frames")]
    Io {
        /// "read" or "write".
        action: &'static str,
        /// What the system answered.
        source: io::Error,
    },
    /// There is no ffmpeg.
    #[error("{} cannot be run: {source}", program.display())]
    NoFfmpeg {
        /// The program that was looked for: ffmpeg, or ffprobe, which belongs to it.
        program: PathBuf,
        /// What the system answered.
        source: io::Error,
    },
    /// ffmpeg has failed.
    #[error("ffmpeg cannot {action} {}: {said}", path.display())]
    Ffmpeg {
        /// What it was to do.
        action: &'static str,
        /// With which file.
        path: PathBuf,
        /// What it said last.
        said: String,
    },
    /// A file has no video.
    #[error("{} is no video: {reason}", path.display())]
    NoVideo {
        /// The file.
        path: PathBuf,
        /// What it is instead.
        reason: String,
    },
}

impl Error {
    pub(crate) fn stream(reason: impl Into<String>, remedy: &'static str) -> Self {
        Error::Stream { reason: reason.into(), remedy }
    }

    pub(crate) fn read(source: io::Error) -> Self {
        Error::Io { action: "read", source }
    }

    pub(crate) fn write(source: io::Error) -> Self {
        Error::Io { action: "write", source }
    }
}
