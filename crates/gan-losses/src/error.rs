//! The crate's error.

use std::path::PathBuf;

/// What can go wrong with losses.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
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
