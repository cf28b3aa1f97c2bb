//! Neighbouring layers that run as one kernel.

use crate::{Act, Conv, ConvTranspose, Layer, NormLayer, PadMode, Sequence};
use gan_kernels::Conv2d;

/// What one kernel call does.
pub(crate) enum Step<'a> {
    /// Padding and convolution. Without `use_bias` the bias is known to have no effect: an instance norm follows.
    Conv { conv: &'a Conv, spec: Conv2d, use_bias: bool },
    /// Transposed convolution; `use_bias` as above.
    ConvTranspose { conv: &'a ConvTranspose, use_bias: bool },
    /// Normalisation and the activation behind it.
    Norm { norm: &'a NormLayer, act: Act },
    /// An activation that no norm precedes.
    Act(Act),
    /// Dropout; the path names its mask.
    Dropout { p: f64, path: &'a str },
    /// Max pooling.
    MaxPool2,
    /// `x + inner(x)`.
    Residual(&'a Sequence),
    /// `concat([x, inner(x)])`.
    Skip(&'a Sequence),
}

impl Step<'_> {
    /// Whether the step owns parameters.
    pub(crate) fn has_parameters(&self) -> bool {
        match self {
            Step::Conv { .. } | Step::ConvTranspose { .. } | Step::Norm { norm: NormLayer::Batch(_), .. } => true,
            Step::Norm { .. } | Step::Act(_) | Step::Dropout { .. } | Step::MaxPool2 => false,
            Step::Residual(inner) | Step::Skip(inner) => inner.steps().iter().any(Step::has_parameters),
        }
    }
}

impl Sequence {
    /// The kernel calls of this sequence in order.
    pub(crate) fn steps(&self) -> Vec<Step<'_>> {
        let mut out = Vec::new();
        self.collect_steps(&mut out);
        mark_useless_biases(&mut out);
        out
    }

    fn collect_steps<'a>(&'a self, out: &mut Vec<Step<'a>>) {
        let mut pad = None;
        for node in self.nodes() {
            let step = match &node.layer {
                Layer::Pad { mode, size } => {
                    pad = Some((*mode, *size));
                    continue;
                }
                Layer::Identity => continue,
                Layer::Nested(inner) => {
                    inner.collect_steps(out);
                    continue;
                }
                Layer::Conv(conv) => {
                    let (pad_mode, padding) = pad.take().unwrap_or((PadMode::Zero, conv.padding));
                    Step::Conv { conv, spec: Conv2d { stride: conv.stride, padding, pad_mode }, use_bias: true }
                }
                Layer::ConvTranspose(conv) => Step::ConvTranspose { conv, use_bias: true },
                Layer::Norm(norm) => Step::Norm { norm, act: Act::Identity },
                Layer::Act(act) => match out.last_mut() {
                    Some(Step::Norm { act: fused @ Act::Identity, .. }) if *act != Act::Tanh => {
                        *fused = *act;
                        continue;
                    }
                    _ => Step::Act(*act),
                },
                Layer::Dropout { p } => Step::Dropout { p: *p, path: &node.path },
                Layer::MaxPool2 => Step::MaxPool2,
                Layer::Residual(inner) => Step::Residual(inner),
                Layer::Skip(inner) => Step::Skip(inner),
            };
            out.push(step);
        }
    }
}

/// An instance norm subtracts what a convolution's bias in front of it added: the work is skipped, the bias keeps its
/// (exactly zero) gradient.
fn mark_useless_biases(steps: &mut [Step<'_>]) {
    for i in 1..steps.len() {
        let (before, after) = steps.split_at_mut(i);
        if let Step::Norm { norm: NormLayer::Instance, .. } = after[0] {
            match &mut before[i - 1] {
                Step::Conv { use_bias, .. } | Step::ConvTranspose { use_bias, .. } => *use_bias = false,
                _ => {}
            }
        }
    }
}
