//! Why a server cannot start.

use std::io;
use std::path::PathBuf;

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a server cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The address to listen on cannot be had.
    #[error("cannot listen on {address}: {reason}")]
    Listen {
        /// Host and port.
        address: String,
        /// What the system answers.
        reason: io::Error,
    },
    /// The name of a host leads to no address.
    #[error("{host} is no address of this machine: {reason}")]
    Host {
        /// The name.
        host: String,
        /// What the system answers.
        reason: String,
    },
    /// The system gives no thread, or no way to wait for sockets.
    #[error("the system does not let a server start: {0}")]
    System(#[source] io::Error),
    /// A model cannot be opened, or does not translate.
    #[error(transparent)]
    Translate(#[from] gan_translate::Error),
    /// A model makes more channels than an image that browsers show has.
    #[error("{} makes {channels} channels, and a page shows images of up to four", path.display())]
    Channels {
        /// The model.
        path: PathBuf,
        /// Channels of its output.
        channels: usize,
    },
}
