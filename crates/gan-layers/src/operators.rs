//! A network as a list of operators: what a file of another system's format is written from.
//!
//! An [`OperatorGraph`] is another walk over the layers of a [`Sequence`], as [`Dataflow`](crate::bands::Dataflow) is one: each layer writes down by
//! itself what it computes (`Op::operators`). Nothing is computed, and sizes of images are not known; weights are shared, not copied.

use crate::autograd::PYRAMID;
use crate::plan::{Fused, Step};
use crate::{Ctx, NormMode, Param, Pool2d, Sequence};
use candle_core::{Result, Tensor, bail};
use gan_kernels::act::Act;
use gan_kernels::conv::PadMode;

/// A value of an [`OperatorGraph`]: the result of the operator of this number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OperatorValue(usize);

impl OperatorValue {
    /// The number of its operator, its place in [`OperatorGraph::nodes`].
    pub fn index(self) -> usize {
        self.0
    }
}

/// A tensor that belongs to an operator.
#[derive(Debug, Clone)]
pub struct Constant {
    /// Its key in the state dict.
    pub name: String,
    /// Its values.
    pub tensor: Tensor,
}

/// What is computed of the inputs, tensors `[N, C, H, W]`.
#[derive(Debug, Clone)]
pub enum Operator {
    /// The input of the network.
    Input,
    /// Convolution with zero padding.
    Conv {
        /// `[C_out, C_in / groups, kh, kw]`.
        weight: Constant,
        /// `[C_out]`.
        bias: Option<Constant>,
        /// Step.
        stride: usize,
        /// Zeros above and below, and left and right.
        padding: [usize; 2],
        /// Groups of channels that do not see one another.
        groups: usize,
    },
    /// Transposed convolution.
    ConvTranspose {
        /// `[C_in, C_out / groups, kh, kw]`.
        weight: Constant,
        /// `[C_out]`.
        bias: Option<Constant>,
        /// Step.
        stride: usize,
        /// Rows and columns cut from each side.
        padding: usize,
        /// Rows and columns added at the bottom and right.
        output_padding: usize,
        /// Groups of channels that do not see one another.
        groups: usize,
    },
    /// Padding on all four sides.
    Pad {
        /// What the padding holds.
        mode: PadMode,
        /// Pixels on each side.
        size: usize,
    },
    /// `(x − mean) / sqrt(var + eps)` with mean and (biased) variance of each image and channel, then scale and shift.
    InstanceNorm {
        /// Channels.
        channels: usize,
        /// Scale and shift `[C]`.
        affine: Option<(Constant, Constant)>,
        /// Added to the variance.
        eps: f64,
    },
    /// The same with a mean and a variance that are constants.
    BatchNorm {
        /// Scale and shift `[C]`.
        affine: (Constant, Constant),
        /// Mean and variance `[C]`.
        moments: (Constant, Constant),
        /// Added to the variance.
        eps: f64,
    },
    /// An activation function.
    Activation(Act),
    /// The sum of two inputs.
    Add,
    /// All inputs along the channels.
    Concat,
    /// The average of windows, which does not count padding.
    AvgPool(Pool2d),
    /// The maximum of windows.
    MaxPool(Pool2d),
    /// Nearest upsampling.
    Upsample {
        /// How often a pixel is repeated in each direction.
        factor: usize,
    },
}

/// An operator of a network.
#[derive(Debug, Clone)]
pub struct OperatorNode {
    /// Path of the layer that it is of.
    pub path: String,
    /// What it computes.
    pub operator: Operator,
    /// What it computes that of.
    pub inputs: Vec<OperatorValue>,
}

/// The operators of a network, in an order in which they can be computed.
///
/// ```
/// # fn main() -> candle_core::Result<()> {
/// use gan_layers::{Act, Builder, ConvSpec, Ctx, OperatorGraph, SequenceBuilder};
/// let conv = ConvSpec { in_nc: 3, out_nc: 8, kernel: 3, stride: 1, padding: 1, bias: true };
/// let net = SequenceBuilder::new(Builder::shapes_only()).conv(conv)?.act(Act::Relu).finish();
/// let mut graph = OperatorGraph::new(3, &Ctx::translate())?;
/// let output = graph.apply(&net, graph.input())?;
/// assert_eq!((graph.nodes().len(), graph.channels(output)), (3, 8));
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct OperatorGraph {
    nodes: Vec<OperatorNode>,
    /// Channels of each value.
    channels: Vec<usize>,
    ctx: Ctx,
}

impl OperatorGraph {
    /// The graph of nothing yet, for an input of so many channels. `ctx` says which statistics a batch norm has: those of the batch become
    /// those of the image, the same for one image.
    ///
    /// # Errors
    /// A context with dropout or with running statistics that move.
    pub fn new(channels: usize, ctx: &Ctx) -> Result<Self> {
        if ctx.dropout != crate::Dropout::Off || matches!(ctx.norm, NormMode::Batch { update: true }) {
            bail!(
                "operators are listed of a network that translates: without dropout, with statistics that do not move"
            )
        }
        let input = OperatorNode { path: "input".to_owned(), operator: Operator::Input, inputs: Vec::new() };
        Ok(OperatorGraph { nodes: vec![input], channels: vec![channels], ctx: *ctx })
    }

    /// The operators; the first is the input.
    pub fn nodes(&self) -> &[OperatorNode] {
        &self.nodes
    }

    /// The input.
    pub fn input(&self) -> OperatorValue {
        OperatorValue(0)
    }

    /// Channels of a value.
    pub fn channels(&self, value: OperatorValue) -> usize {
        self.channels[value.0]
    }

    /// The layers of a sequence, applied to `x`.
    ///
    /// # Errors
    /// A layer has no such operators (a [`Linear`](crate::Linear) layer).
    pub fn apply(&mut self, seq: &Sequence, x: OperatorValue) -> Result<OperatorValue> {
        let mut x = x;
        for step in seq.steps() {
            x = step.op.operators(x, &step, self)?;
        }
        Ok(x)
    }

    /// `x + y`.
    ///
    /// # Errors
    /// They differ in channels.
    pub fn add(&mut self, path: &str, x: OperatorValue, y: OperatorValue) -> Result<OperatorValue> {
        let (channels, other) = (self.channels(x), self.channels(y));
        if channels != other {
            bail!("{path}: a sum of {channels} and {other} channels")
        }
        Ok(self.push(path, Operator::Add, &[x, y], channels))
    }

    /// [`avg_pool3s2`](crate::avg_pool3s2) of `x`.
    pub fn avg_pool3s2(&mut self, path: &str, x: OperatorValue) -> OperatorValue {
        self.push(path, Operator::AvgPool(PYRAMID), &[x], self.channels(x))
    }

    pub(crate) fn ctx(&self) -> &Ctx {
        &self.ctx
    }

    /// The channels of all values.
    pub(crate) fn concat(&mut self, path: &str, parts: &[OperatorValue]) -> OperatorValue {
        let channels = parts.iter().map(|&part| self.channels(part)).sum();
        self.push(path, Operator::Concat, parts, channels)
    }

    /// An operator of one input that keeps the channels.
    pub(crate) fn by_channel(&mut self, path: &str, operator: Operator, x: OperatorValue) -> OperatorValue {
        self.push(path, operator, &[x], self.channels(x))
    }

    /// What a step puts out by itself, with the activation that it has taken over.
    pub(crate) fn activated(&mut self, step: &Step<'_>, x: OperatorValue) -> OperatorValue {
        match step.fused.act {
            Act::Identity => x,
            act => self.by_channel(step.path, Operator::Activation(act), x),
        }
    }

    pub(crate) fn push(
        &mut self,
        path: &str,
        operator: Operator,
        inputs: &[OperatorValue],
        channels: usize,
    ) -> OperatorValue {
        self.nodes.push(OperatorNode { path: path.to_owned(), operator, inputs: inputs.to_vec() });
        self.channels.push(channels);
        OperatorValue(self.nodes.len() - 1)
    }
}

/// A parameter of the layer at `path` under its key.
pub(crate) fn constant(path: &str, name: &str, tensor: &Tensor) -> Constant {
    Constant { name: format!("{path}.{name}"), tensor: tensor.clone() }
}

/// The bias of a step, where it has one that has an effect.
pub(crate) fn bias(path: &str, fused: &Fused, bias: &Option<Param>) -> Option<Constant> {
    fused.used(bias).map(|bias| constant(path, "bias", bias))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{Builder, ConvSpec, NormKind, SequenceBuilder};

    fn conv(in_nc: usize, out_nc: usize) -> ConvSpec {
        ConvSpec { in_nc, out_nc, kernel: 3, stride: 1, padding: 0, bias: true }
    }

    fn names(graph: &OperatorGraph) -> Vec<String> {
        let short = |operator: &Operator| {
            let text = format!("{operator:?}");
            text.split([' ', '(', '{']).next().unwrap().to_owned()
        };
        graph.nodes().iter().map(|node| short(&node.operator)).collect()
    }

    #[test]
    fn layers_are_listed_in_order_and_activations_once() {
        let s = SequenceBuilder::new(Builder::shapes_only()).pad(PadMode::Reflect, 1).conv(conv(3, 4)).unwrap();
        let s = s.norm(NormKind::Instance, 4).unwrap().act(Act::Relu);
        let s = s.pad(PadMode::Zero, 1).conv(conv(4, 2)).unwrap().act(Act::LeakyRelu).dropout(0.5);
        let net = s.skip("model", |s| s.pad(PadMode::Replicate, 1).conv(conv(2, 5))).unwrap().finish();
        let mut graph = OperatorGraph::new(3, &Ctx::translate()).unwrap();
        let output = graph.apply(&net, graph.input()).unwrap();
        let listed =
            ["Input", "Pad", "Conv", "InstanceNorm", "Activation", "Conv", "Activation", "Pad", "Conv", "Concat"];
        assert_eq!(names(&graph), listed);
        assert_eq!(graph.channels(output), 7);
        // A norm subtracts the bias in front of it.
        let Operator::Conv { bias, .. } = &graph.nodes()[2].operator else { panic!() };
        assert!(bias.is_none());
        let Operator::Conv { bias, padding, .. } = &graph.nodes()[5].operator else { panic!() };
        assert_eq!((bias.as_ref().unwrap().name.as_str(), *padding), ("5.bias", [1; 2]));
    }

    #[test]
    fn batch_norms_have_the_statistics_of_the_context() {
        let net = SequenceBuilder::new(Builder::shapes_only()).norm(NormKind::Batch, 4).unwrap().finish();
        for (ctx, listed) in [(Ctx::translate(), "InstanceNorm"), (Ctx::eval(), "BatchNorm")] {
            let mut graph = OperatorGraph::new(4, &ctx).unwrap();
            graph.apply(&net, graph.input()).unwrap();
            assert_eq!(names(&graph), ["Input", listed]);
        }
        assert!(OperatorGraph::new(4, &Ctx::train(gan_rng::Key::new(0, gan_rng::Purpose::Dropout))).is_err());
    }

    #[test]
    fn what_has_no_operators_says_so() {
        let net = SequenceBuilder::new(Builder::shapes_only()).linear(3, 4, true).unwrap().finish();
        let mut graph = OperatorGraph::new(3, &Ctx::translate()).unwrap();
        let said = graph.apply(&net, graph.input()).unwrap_err().to_string();
        assert!(said.contains("0: "), "{said}");
    }
}
