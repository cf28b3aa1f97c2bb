//! Sequences of layers and how they are written down.

use crate::{Act, BatchNorm, Builder, Conv, ConvTranspose, Layer, NormLayer, PadMode, Role};
use candle_core::{Result, Var};
use gan_kernels::Moments;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A layer and its place in the state dict.
#[derive(Debug, Clone)]
pub struct Node {
    /// Path of the layer, for example `model.10.conv_block.1`.
    pub path: String,
    /// The layer.
    pub layer: Layer,
}

/// Layers applied one after the other. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Sequence {
    nodes: Arc<Vec<Node>>,
    pub(crate) anchor: Option<Var>,
}

impl Sequence {
    /// The layers in order.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Whether it was built over a [`ParamStore`](crate::ParamStore), whose parameters may change.
    pub fn is_trainable(&self) -> bool {
        self.anchor.is_some()
    }

    /// Keeps no [packed forms](gan_kernels::Weight::keep_none) of its convolutions' weights: for networks that are used a few
    /// times in a long step.
    pub fn keep_no_packed(&self) {
        for node in self.nodes() {
            match &node.layer {
                Layer::Conv(c) => c.weight.weight.keep_none(),
                Layer::ConvTranspose(c) => c.weight.weight.keep_none(),
                Layer::Residual(inner) | Layer::Skip(inner) | Layer::Nested(inner) => inner.keep_no_packed(),
                _ => {}
            }
        }
    }

    /// The layers of sequences that were built as slices of one, again as one: what lies between them is not to be seen then,
    /// and is kept only as the backward walk needs it.
    #[must_use]
    pub fn chain(slices: &[Sequence]) -> Self {
        let nodes = slices.iter().flat_map(|slice| slice.nodes()).cloned().collect();
        Sequence { nodes: Arc::new(nodes), anchor: slices.iter().find_map(|slice| slice.anchor.clone()) }
    }
}

/// Which normalisation a network uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NormKind {
    /// Instance norm, no parameters.
    #[default]
    Instance,
    /// Batch norm with scale, shift and running statistics.
    Batch,
    /// None; its index stays occupied.
    None,
}

/// Shape of a convolution or transposed convolution.
#[derive(Debug, Clone, Copy)]
pub struct ConvSpec {
    /// Input channels.
    pub in_nc: usize,
    /// Output channels.
    pub out_nc: usize,
    /// Side of the square kernel.
    pub kernel: usize,
    /// Step.
    pub stride: usize,
    /// Zero padding (of a transposed convolution: what is cut).
    pub padding: usize,
    /// Whether it has a bias.
    pub bias: bool,
}

/// Writes a sequence down. Every call occupies the next index under the builder's path, as in PyTorch's `Sequential`.
pub struct SequenceBuilder<'a> {
    at: Builder<'a>,
    nodes: Vec<Node>,
    index: usize,
}

impl<'a> SequenceBuilder<'a> {
    /// Starts at index 0 of this path.
    pub fn new(at: Builder<'a>) -> Self {
        Self::starting_at(at, 0)
    }

    /// Starts at a later index: a slice of a longer `Sequential` that is tapped in between.
    pub fn starting_at(at: Builder<'a>, index: usize) -> Self {
        SequenceBuilder { at, nodes: Vec::new(), index }
    }

    /// The index that the next layer gets.
    pub fn next_index(&self) -> usize {
        self.index
    }

    fn push(mut self, layer: Layer) -> Self {
        self.nodes.push(Node { path: self.here().path().to_string(), layer });
        self.index += 1;
        self
    }

    fn here(&self) -> Builder<'a> {
        self.at.pp(self.index)
    }

    /// Padding of the convolution that follows. Zero padding is the convolution's own and takes no index.
    #[must_use]
    pub fn pad(self, mode: PadMode, size: usize) -> Self {
        self.push(Layer::Pad { mode, size })
    }

    /// Convolution.
    pub fn conv(self, s: ConvSpec) -> Result<Self> {
        let at = self.here();
        let weight = at.param("weight", &[s.out_nc, s.in_nc, s.kernel, s.kernel], Role::ConvWeight)?;
        let fan_in = s.in_nc * s.kernel * s.kernel;
        let bias = s.bias.then(|| at.param("bias", &[s.out_nc], Role::ConvBias { fan_in })).transpose()?;
        Ok(self.push(Layer::Conv(Conv { weight, bias, stride: s.stride, padding: s.padding })))
    }

    /// Transposed convolution.
    pub fn conv_transpose(self, s: ConvSpec, output_padding: usize) -> Result<Self> {
        let at = self.here();
        let weight = at.param("weight", &[s.in_nc, s.out_nc, s.kernel, s.kernel], Role::ConvWeight)?;
        // PyTorch takes dimension 1 as "in" for transposed weights as well.
        let fan_in = s.out_nc * s.kernel * s.kernel;
        let bias = s.bias.then(|| at.param("bias", &[s.out_nc], Role::ConvBias { fan_in })).transpose()?;
        let (stride, padding) = (s.stride, s.padding);
        Ok(self.push(Layer::ConvTranspose(ConvTranspose { weight, bias, stride, padding, output_padding })))
    }

    /// Normalisation of this many channels.
    pub fn norm(self, kind: NormKind, channels: usize) -> Result<Self> {
        let layer = match kind {
            NormKind::None => Layer::Identity,
            NormKind::Instance => Layer::Norm(NormLayer::Instance),
            NormKind::Batch => {
                let at = self.here();
                Layer::Norm(NormLayer::Batch(BatchNorm {
                    weight: at.param("weight", &[channels], Role::NormWeight)?,
                    bias: at.param("bias", &[channels], Role::NormBias)?,
                    running: Moments {
                        mean: at.buffer("running_mean", &[channels], 0.0)?,
                        var: at.buffer("running_var", &[channels], 1.0)?,
                    },
                    batches: at.counter("num_batches_tracked")?,
                }))
            }
        };
        Ok(self.push(layer))
    }

    /// Activation.
    #[must_use]
    pub fn act(self, act: Act) -> Self {
        self.push(Layer::Act(act))
    }

    /// Dropout with probability `p`.
    #[must_use]
    pub fn dropout(self, p: f64) -> Self {
        self.push(Layer::Dropout { p })
    }

    /// Max pooling 2x2.
    #[must_use]
    pub fn max_pool2(self) -> Self {
        self.push(Layer::MaxPool2)
    }

    /// `x + inner(x)`; the inner sequence lives at `{index}.{name}`.
    pub fn residual(
        self,
        name: &str,
        inner: impl FnOnce(SequenceBuilder<'a>) -> Result<SequenceBuilder<'a>>,
    ) -> Result<Self> {
        let inner = inner(SequenceBuilder::new(self.here().pp(name)))?.finish();
        Ok(self.push(Layer::Residual(inner)))
    }

    /// `concat([x, inner(x)])`; the inner sequence lives at `{index}.{name}`.
    pub fn skip(
        self,
        name: &str,
        inner: impl FnOnce(SequenceBuilder<'a>) -> Result<SequenceBuilder<'a>>,
    ) -> Result<Self> {
        let inner = inner(SequenceBuilder::new(self.here().pp(name)))?.finish();
        Ok(self.push(Layer::Skip(inner)))
    }

    /// A sequence of its own at `{name}` (no index is used).
    pub fn nested(
        mut self,
        name: &str,
        inner: impl FnOnce(SequenceBuilder<'a>) -> Result<SequenceBuilder<'a>>,
    ) -> Result<Self> {
        let at = self.at.pp(name);
        let path = at.path().to_string();
        let inner = inner(SequenceBuilder::new(at))?.finish();
        self.nodes.push(Node { path, layer: Layer::Nested(inner) });
        Ok(self)
    }

    /// The sequence.
    pub fn finish(self) -> Sequence {
        Sequence { nodes: Arc::new(self.nodes), anchor: self.at.anchor() }
    }
}
