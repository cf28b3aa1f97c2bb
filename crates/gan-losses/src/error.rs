//! The crate's error.

use std::path::PathBuf;

/// What can go wrong with losses.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no file of VGG19's weights. The remedy is another path, a file there, or training without this loss.
    #[error("VGG19 weights {}: no such file", path.display())]
    NoVgg19 {
        /// Where the file was looked for.
        path: PathBuf,
    },
    /// VGG19's weights cannot be used.
    #[error("VGG19 weights {}: {reason}", path.display())]
    Vgg19 {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// An operator failed.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}
