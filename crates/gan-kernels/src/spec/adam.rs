//! Parameters of an Adam update.

use candle_core::Tensor;
use std::ops::Range;

/// One Adam update's numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamStep {
    /// Learning rate.
    pub lr: f64,
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub eps: f64,
    /// Number of this update, from 1 (bias correction).
    pub step: u64,
}

impl AdamStep {
    /// What of the step depends on its number and on the learning rate: its size lr / (1 − β1^step), and the root
    /// sqrt(1 − β2^step).
    pub fn factors(&self) -> [f64; 2] {
        let power = |beta: f64| beta.powf(self.step as f64);
        [self.lr / (1.0 - power(self.beta1)), (1.0 - power(self.beta2)).sqrt()]
    }
}

/// An exponential moving average of the parameters.
#[derive(Debug, Clone, Copy)]
pub struct Average<'a> {
    /// One value for each parameter, `[n]`, of their element type.
    pub values: &'a Tensor,
    /// 1 − decay: an update moves each value by this share of its distance to the parameter.
    pub rest: f64,
}

/// What [`adam_with`](crate::optim::adam_with) does beside the update, and what it reads from device memory at the time when the update runs, so
/// that the host need not wait and a captured launch can be replayed.
#[derive(Debug, Clone, Copy, Default)]
pub struct AdamInputs<'a> {
    /// [`AdamStep::factors`] as an F64 tensor `[2]`, in place of the argument's; with an average `[3]`, the last one its
    /// [`Average::rest`].
    pub factors: Option<&'a Tensor>,
    /// A flag (see [`mark_non_finite`](crate::optim::mark_non_finite)); once it is set, updates change nothing.
    pub bad: Option<&'a Tensor>,
    /// Follows all parameters, those that are not updated included.
    pub average: Option<Average<'a>>,
    /// Parts of the range that are not updated, ascending.
    pub frozen: &'a [Range<usize>],
}
