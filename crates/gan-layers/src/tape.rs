//! What a forward walk keeps for the backward walk.

use candle_core::Tensor;
use gan_kernels::Moments;
use gan_rng::Key;

/// One record a step, in the order of the steps.
#[derive(Debug, Default)]
pub(crate) struct Tape(pub(crate) Vec<Record>);

/// What a step needs to go back.
#[derive(Debug)]
pub(crate) enum Record {
    /// A convolution: its input, and the input's height and width.
    Conv { x: Input, hw: (usize, usize) },
    /// A norm: its input and the statistics used; `running` if these are constants.
    Norm { x: Tensor, moments: Moments, running: bool },
    /// An activation: its output.
    Act { y: Tensor },
    /// Dropout: its mask's key, `None` if it was off.
    Dropout { key: Option<Key> },
    /// Max pooling: its input.
    MaxPool2 { x: Tensor },
    /// A residual block or skip, with its tape and the channels of its input.
    Inner { tape: Tape, channels: usize },
    /// A block whose activations are recomputed from its input.
    Recompute { x: Tensor, channels: usize },
}

/// The input of a convolution, for the weight's gradient.
#[derive(Debug)]
pub(crate) enum Input {
    /// The weights are not trained.
    Unwanted,
    /// The tensor.
    Kept(Tensor),
    /// The norm in front of the convolution computes it again from what it has kept: one pass over memory for half of
    /// what a network keeps.
    Normalised,
}
