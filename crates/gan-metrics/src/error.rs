//! The crate's one error type.

use std::io;
use std::path::PathBuf;

/// What every fallible function of this crate returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can go wrong in this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no file of weights at a path.
    #[error("{}: there are no weights of {network}", path.display())]
    NoWeights {
        /// The path.
        path: PathBuf,
        /// The network, in words.
        network: &'static str,
    },
    /// A file holds weights, but not those of the network that it was read for.
    #[error("{}: these are no weights of {network}: {reason}", path.display())]
    OtherNetwork {
        /// The file.
        path: PathBuf,
        /// The network, in words.
        network: &'static str,
        /// The first tensor that is missing or of another shape.
        reason: String,
    },
    /// A file is not the published one: metrics computed with it compare with nothing that others compute.
    #[error("{}: its SHA-256 is {found}, that of the published {name} is {expected}", path.display())]
    OtherFile {
        /// The file.
        path: PathBuf,
        /// The name of the published file.
        name: &'static str,
        /// The published hash, or how it begins where no more is known.
        expected: String,
        /// The hash of the file.
        found: String,
    },
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A weight file is damaged, of no known format, or holds what is no number.
    #[error(transparent)]
    Weights(#[from] gan_weights::Error),
    /// candle failed.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}
