//! What convolutions and linear layers keep for their backward pass, and where their gradients are added.

use crate::kind::{Backward, Forward};
use crate::plan::Fused;
use crate::{Grad, Param, Weights};
use candle_core::{Result, Tensor};
use gan_kernels::conv::ConvGrads;

/// The input of a convolution, for the weight's gradient.
pub(crate) enum ConvInput {
    /// The weights are not trained.
    Unwanted,
    /// The tensor.
    Kept(Tensor),
    /// The norm in front computes it again from what it has kept: one pass over memory for half of what a network keeps.
    Recomputed,
}

impl ConvInput {
    /// The cheapest way to have `x` again.
    pub(crate) fn of(x: &Tensor, pass: &Forward<'_>) -> Self {
        match pass.ctx.weights {
            Weights::Train if pass.input_again => ConvInput::Recomputed,
            _ => Self::kept(x, pass),
        }
    }

    /// `x`, a tensor that is not the output of the layer in front.
    pub(crate) fn kept(x: &Tensor, pass: &Forward<'_>) -> Self {
        match pass.ctx.weights {
            Weights::Frozen => ConvInput::Unwanted,
            Weights::Train => ConvInput::Kept(x.clone()),
        }
    }

    /// The tensor, if the weight's gradient is wanted.
    pub(crate) fn tensor(self, pass: &Backward<'_>) -> Result<Option<Tensor>> {
        match self {
            ConvInput::Unwanted => Ok(None),
            ConvInput::Kept(x) => Ok(Some(x)),
            ConvInput::Recomputed => pass.recompute_input().map(Some),
        }
    }
}

/// What a convolution's backward pass adds to.
pub(crate) struct ConvGradBuffers<'a> {
    /// The input, the gradient, and where it lies.
    weight: Option<(&'a Tensor, &'a Grad, Tensor)>,
    bias: Option<Tensor>,
}

impl<'a> ConvGradBuffers<'a> {
    /// Of a weight and a bias, for an input that was kept if and only if they are trained.
    pub(crate) fn new(weight: &'a Param, bias: &Option<Param>, use_bias: bool, x: Option<&'a Tensor>) -> Result<Self> {
        // A linear layer's gradient has two dimensions, its kernel four.
        let shape = weight.tensor().shape();
        let buffer = |x| weight.gradient().and_then(|grad| Ok((x, grad, grad.buffer()?.reshape(shape)?)));
        let weight = x.map(buffer).transpose()?;
        let bias = bias.as_ref().filter(|_| use_bias && weight.is_some()).map(Param::accumulator).transpose()?;
        Ok(ConvGradBuffers { weight, bias })
    }

    /// The gradients to compute; `input` is the height and width of the input if its gradient is one of them.
    pub(crate) fn grads(&self, input: Option<(usize, usize)>) -> ConvGrads<'_> {
        let weight = self.weight.as_ref().map(|(x, grad, buffer)| grad.weight(x, buffer));
        ConvGrads { input, weight, bias: self.bias.as_ref() }
    }
}

impl Fused {
    /// The bias, if there is one and it has an effect.
    pub(crate) fn used<'a>(&self, bias: &'a Option<Param>) -> Option<&'a Tensor> {
        bias.as_ref().filter(|_| self.bias).map(Param::tensor)
    }
}
