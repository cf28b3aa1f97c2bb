//! The layer kinds.

use crate::{Counter, Param, Sequence};
use gan_kernels::{Act, Moments, PadMode};

/// One element of a [`Sequence`].
#[derive(Debug, Clone)]
pub enum Layer {
    /// Padding of the convolution that follows.
    Pad {
        /// What the padding holds.
        mode: PadMode,
        /// Pixels on each side.
        size: usize,
    },
    /// Convolution.
    Conv(Conv),
    /// Transposed convolution.
    ConvTranspose(ConvTranspose),
    /// Normalisation.
    Norm(NormLayer),
    /// Activation.
    Act(Act),
    /// Element-wise dropout with inverted scaling.
    Dropout {
        /// Probability of dropping an element.
        p: f64,
    },
    /// Max pooling 2x2, stride 2.
    MaxPool2,
    /// Nothing (keeps an index of the reference occupied).
    Identity,
    /// `x + inner(x)`.
    Residual(Sequence),
    /// `concat([x, inner(x)])` along the channels.
    Skip(Sequence),
    /// A sequence in its place (a nested `Sequential` without arithmetic of its own).
    Nested(Sequence),
}

/// A convolution with zero padding (a [`Layer::Pad`] in front of it brings other kinds).
#[derive(Debug, Clone)]
pub struct Conv {
    /// `[C_out, C_in, k, k]`.
    pub weight: Param,
    /// `[C_out]`.
    pub bias: Option<Param>,
    /// Step.
    pub stride: usize,
    /// Zero padding.
    pub padding: usize,
}

/// A transposed convolution.
#[derive(Debug, Clone)]
pub struct ConvTranspose {
    /// `[C_in, C_out, k, k]`.
    pub weight: Param,
    /// `[C_out]`.
    pub bias: Option<Param>,
    /// Step.
    pub stride: usize,
    /// Rows and columns cut from each side.
    pub padding: usize,
    /// Rows and columns added at the bottom and right.
    pub output_padding: usize,
}

/// A normalisation layer; eps is 1e-5.
#[derive(Debug, Clone)]
pub enum NormLayer {
    /// Instance norm without parameters and without running statistics.
    Instance,
    /// Batch norm with scale, shift and running statistics (momentum 0.1).
    Batch(BatchNorm),
}

/// Parameters and buffers of a batch norm.
#[derive(Debug, Clone)]
pub struct BatchNorm {
    /// Scale `[C]`.
    pub weight: Param,
    /// Shift `[C]`.
    pub bias: Param,
    /// Running mean and (unbiased) variance `[C]`.
    pub running: Moments,
    /// `num_batches_tracked`.
    pub batches: Counter,
}
