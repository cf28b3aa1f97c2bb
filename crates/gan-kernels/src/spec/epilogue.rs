//! What a convolution does to each value of its result.

use crate::spec::act::Act;
use candle_core::Tensor;

/// Bias per output channel, then activation.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Epilogue<'a> {
    pub(crate) bias: Option<&'a Tensor>,
    pub(crate) act: Act,
}
