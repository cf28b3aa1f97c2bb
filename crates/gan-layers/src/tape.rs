//! What a forward walk keeps for the backward walk.

use candle_core::Tensor;
use gan_kernels::{MaskKey, Moments, OneHot};

/// One record a step, in the order of the steps.
#[derive(Debug, Default)]
pub(crate) struct Tape(pub(crate) Vec<Record>);

impl Tape {
    /// Lets go of the result, if the last step recorded it. Returns whether nothing recorded, and no input, shares memory
    /// with the result any longer.
    pub(crate) fn gives_up_result(&mut self) -> bool {
        match self.0.last_mut() {
            // The result is the input, or what the step before returned.
            None | Some(Record::Dropout { key: None }) => false,
            Some(Record::Act { y }) => {
                *y = None;
                true
            }
            Some(_) => true,
        }
    }

    /// The way back: the result as the graph kept it.
    pub(crate) fn take_result(&mut self, result: &Tensor) {
        if let Some(Record::Act { y: y @ None }) = self.0.last_mut() {
            *y = Some(result.detach());
        }
    }
}

/// What a step needs to go back.
#[derive(Debug)]
pub(crate) enum Record {
    /// A convolution: its input, and the input's height and width.
    Conv { x: ConvInput, hw: (usize, usize) },
    /// A norm: its input and the statistics used; `running` if these are constants.
    Norm { x: Tensor, moments: Moments, running: bool },
    /// An activation: its output, `None` if that is the whole sequence's result, which the graph holds.
    Act { y: Option<Tensor> },
    /// Dropout: its mask's key, `None` if it was off.
    Dropout { key: Option<MaskKey> },
    /// Max pooling: its input.
    MaxPool2 { x: Tensor },
    /// A residual block or skip, with its tape and the channels of its input.
    Inner { tape: Tape, channels: usize },
    /// A block whose activations are recomputed from its input.
    Recompute { x: Tensor, channels: usize },
}

/// The input of a convolution, for the weight's gradient.
#[derive(Debug)]
pub(crate) enum ConvInput {
    /// The weights are not trained.
    Unwanted,
    /// The tensor.
    Kept(Tensor),
    /// The norm in front of the convolution computes it again from what it has kept: one pass over memory for half of
    /// what a network keeps.
    Normalised,
    /// Labels, wanted or not.
    Labels(OneHot),
}
