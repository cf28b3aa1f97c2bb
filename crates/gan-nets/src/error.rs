//! The crate's one error type.

/// What every fallible function of this crate returns.
pub type Result<T> = std::result::Result<T, Error>;

/// Everything that can go wrong in this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The tensors are of a network that is known and not supported.
    #[error(
        "{network} is not supported; supported are the generators, discriminators and encoders of pix2pix, CycleGAN, pix2pixHD and CUT"
    )]
    UnsupportedNetwork {
        /// The network, in words, with what it was told by.
        network: String,
    },
    /// The tensors are of no network that this crate knows.
    #[error(
        "unknown network: {found}; known are the generators, discriminators and encoders of pix2pix, CycleGAN, pix2pixHD and CUT"
    )]
    UnknownNetwork {
        /// What there is instead.
        found: String,
    },
    /// The tensors are nearly those of a network, but not quite.
    #[error("it looks like a {network}, but {problems}; save the whole state dict of the unchanged network")]
    UnlikeNetwork {
        /// The network, in words.
        network: String,
        /// What is missing, superfluous or of another shape.
        problems: String,
    },
    /// The network is not the one that was named.
    #[error("{asked} was asked for, but the tensors are of a {found}")]
    OtherArch {
        /// The name.
        asked: &'static str,
        /// The network, in words.
        found: String,
    },
    /// What a user says about the network does not fit its tensors.
    #[error("{said} was assumed, which does not fit the tensors: they are of a {found}")]
    Assumed {
        /// Keys and values.
        said: String,
        /// The network, in words.
        found: String,
    },
    /// A number of a network's description is out of its range.
    #[error(transparent)]
    OutOfRange(#[from] gan_range::OutOfRange),
    /// A network has more parameters than any machine would hold.
    #[error("{key} = {value} makes a network of more than {most} parameters; lower it")]
    TooLarge {
        /// The key that is largest, compared with its default.
        key: &'static str,
        /// Its value.
        value: usize,
        /// Most parameters.
        most: u64,
    },
    /// A weight file cannot be read or written, or its tensors cannot be used.
    #[error(transparent)]
    Weights(#[from] gan_weights::Error),
    /// candle failed.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}
