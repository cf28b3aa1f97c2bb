//! A term of a weighted sum of L1 distances.

use candle_core::Tensor;

/// One term of a sum: `weight` · mean |x − y|.
#[derive(Debug, Clone)]
pub struct L1Term {
    /// What gradients are of.
    pub x: Tensor,
    /// What it is compared with.
    pub y: Tensor,
    /// The factor.
    pub weight: f64,
}
