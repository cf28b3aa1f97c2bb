//! Parameters of normalization.

use crate::spec::act::Act;
use candle_core::Tensor;

/// Over which elements the statistics are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Group {
    /// Height and width: one mean per image and channel, `[N·C]`.
    Instance,
    /// Batch, height and width: one mean per channel, `[C]`.
    Batch,
}

/// `residual + act(weight · (x − mean) / sqrt(var + eps) + bias)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Norm {
    /// Statistics over what.
    pub group: Group,
    /// Added to the variance (1e-5 in all references).
    pub eps: f64,
    /// Activation applied to the normalized value, before the residual is added.
    pub act: Act,
}

/// Mean and biased variance per group, dtype of `x` (F32 for BF16).
#[derive(Debug, Clone)]
pub struct Moments {
    /// `[N·C]` or `[C]`.
    pub mean: Tensor,
    /// `[N·C]` or `[C]`, biased.
    pub var: Tensor,
}

/// Per-channel scale and shift, each `[C]`.
#[derive(Debug, Clone, Copy)]
pub struct Affine<'a> {
    /// Scale.
    pub weight: &'a Tensor,
    /// Shift.
    pub bias: &'a Tensor,
}

/// Which gradients are wanted of a norm's backward.
#[derive(Debug, Clone, Copy, Default)]
pub struct NormGrads<'a> {
    /// The input's gradient.
    pub input: bool,
    /// Accumulators `[C]` of the scale's and the shift's gradient.
    pub affine: Option<Affine<'a>>,
}
