//! Differentiable augmentation: what a pass does, what its random numbers mean, how its probability adapts.

use candle_core::Tensor;

/// Columns of the draws: uniforms in [0, 1) for brightness, saturation and contrast, then in pixels the shift (rows,
/// columns) and the centre of the hole (row, column).
pub const DRAWS: usize = 7;

/// Draws that change nothing, but for the hole's centre, which lies outside of every image.
pub(crate) const NEUTRAL: [f64; 5] = [0.5, 0.5, 0.5, 0.0, 0.0];

/// Words of random bits that an image takes: three blocks of Philox.
pub(crate) const BLOCKS: u64 = 3;

/// What is done to images, in this order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AugmentPass {
    /// Brightness, saturation and contrast change.
    pub color: bool,
    /// The image is shifted by up to an eighth of its sides, and is zero where nothing comes in.
    pub translation: bool,
    /// A box of half the sides is set to zero.
    pub cutout: bool,
    /// Channels in front whose colours stay: those of a condition.
    pub uncolored: usize,
}

/// Most pixels that a side is shifted by.
pub(crate) fn reach(side: usize) -> usize {
    (side + 4) / 8
}

/// Side of the hole in an image of this side.
pub(crate) fn hole(side: usize) -> usize {
    side.div_ceil(2)
}

/// How often each change is made.
#[derive(Debug, Clone, Copy)]
pub enum Probability<'a> {
    /// With this probability.
    Fixed(f64),
    /// With the first element of such a state, F64 `[ADA_STATE]` on the device of the draws.
    Adaptive(&'a Tensor),
}

/// Elements of the state of an adaptive probability: the probability; since its last change the sum of signs, the number of
/// judgements in it, the images and the steps.
pub const ADA_STATE: usize = 5;

/// How a probability adapts (Karras et al., 2020).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ada {
    /// The score between "fake" and "real".
    pub threshold: f64,
    /// Mean sign of the scores of real images that is aimed at.
    pub target: f64,
    /// Images in which the probability goes from 0 to 1.
    pub images: f64,
    /// Steps between changes.
    pub interval: u32,
}
