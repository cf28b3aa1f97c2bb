//! What can go wrong when a model is exported.

use gan_fs::ReplaceError;
use std::path::PathBuf;

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a model cannot be exported or verified.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file would be larger than ONNX files can be.
    #[error("the file would have {} MiB, and an ONNX file has less than 2048 MiB; 16-bit weights take half of it", bytes >> 20)]
    TooLarge {
        /// Its size.
        bytes: u64,
    },
    /// The network does not take images of this size.
    #[error("{} x {} pixels (height x width) do not suit this network ({network}): it takes {wanted}", size.0, size.1)]
    Size {
        /// Height and width.
        size: (usize, usize),
        /// What the network is.
        network: String,
        /// What it takes, in words.
        wanted: String,
    },
    /// Preprocessing cannot be part of the file.
    #[error("preprocessing cannot be part of this file: {reason}")]
    NoPreprocessing {
        /// Why.
        reason: &'static str,
    },
    /// A kind of network that is not exported.
    #[error("{network} is not exported")]
    UnknownNetwork {
        /// What it is.
        network: String,
    },
    /// ONNX Runtime cannot be loaded, or refuses the file.
    #[error("ONNX Runtime: {reason}")]
    Runtime {
        /// What it says.
        reason: String,
    },
    /// What ONNX Runtime computes is not what the network computes.
    #[error(
        "ONNX Runtime computes something else of {case}: the largest difference is {error:.2e} of the range, at most {limit:.0e} is allowed"
    )]
    Differs {
        /// The input.
        case: String,
        /// The largest difference, as a part of the range of values.
        error: f64,
        /// The largest that is allowed.
        limit: f64,
    },
    /// PyTorch code cannot be written for a layer.
    #[error("{path}: no module of PyTorch is known for this layer")]
    NoModule {
        /// Path of the layer.
        path: String,
    },
    /// A folder cannot be a model folder: something else is in its place.
    #[error("{} {reason}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What is in the way.
        reason: &'static str,
    },
    /// A file of a model folder is missing, damaged or was edited.
    #[error("{} {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A model does not make the images that its folder says it makes.
    #[error("{}: the model makes another image, {levels} levels away at most, and {allowed} are allowed", path.display())]
    OtherImage {
        /// The image expected.
        path: PathBuf,
        /// The largest difference, in levels of 255.
        levels: u8,
        /// The largest that is allowed.
        allowed: u8,
    },
    /// A file cannot be written.
    #[error(transparent)]
    Write(#[from] ReplaceError),
    /// A file or folder cannot be read or made.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried: "read", "create".
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system answered.
        source: std::io::Error,
    },
    /// A model cannot be opened, or an image not be translated.
    #[error(transparent)]
    Translate(#[from] gan_translate::Error),
    /// Weights are not those of the network.
    #[error(transparent)]
    Nets(#[from] gan_nets::Error),
    /// Weights cannot be read or written.
    #[error(transparent)]
    Weights(#[from] gan_weights::Error),
    /// An image cannot be read or written.
    #[error(transparent)]
    Data(#[from] gan_data::Error),
    /// A tensor operation failed.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
}

impl Error {
    pub(crate) fn io(action: &'static str, path: &std::path::Path, source: std::io::Error) -> Self {
        Error::Io { action, path: path.to_owned(), source }
    }
}
