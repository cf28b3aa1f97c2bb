//! The crate's one error type.

use std::io;
use std::path::PathBuf;

/// What every fallible function of this crate returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can go wrong in this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Samples that make no image.
    #[error("{samples} samples are no image of {width}x{height} pixels and {channels} channels")]
    Pixels {
        /// Rows.
        height: usize,
        /// Columns.
        width: usize,
        /// Samples per pixel.
        channels: usize,
        /// Number of samples.
        samples: usize,
    },
    /// Two images that are to be compared differ in size or channels.
    #[error(
        "an image of {}x{} pixels and {} channels is compared with one of {}x{} and {}",
        first[1], first[0], first[2], second[1], second[0], second[2]
    )]
    Shapes {
        /// Rows, columns and channels of the first.
        first: [usize; 3],
        /// Those of the second.
        second: [usize; 3],
    },
    /// An image is smaller than the window of a metric.
    #[error("{metric} needs sides of at least {smallest} pixels, and the image has {width}x{height}")]
    TooSmall {
        /// The metric.
        metric: &'static str,
        /// Rows.
        height: usize,
        /// Columns.
        width: usize,
        /// The shortest side that it takes.
        smallest: usize,
    },
    /// A set of images is too small for a metric of sets.
    #[error("{metric} needs at least {smallest} images on each side, and there are {count}")]
    TooFew {
        /// The metric.
        metric: &'static str,
        /// Images of the smaller set.
        count: usize,
        /// The fewest that it takes.
        smallest: usize,
    },
    /// Two sets of features cannot be compared, or are none.
    #[error("these features cannot be compared: {0}")]
    Features(String),
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
    /// An image file cannot be used.
    #[error(transparent)]
    Data(#[from] gan_data::Error),
    /// candle failed.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}
