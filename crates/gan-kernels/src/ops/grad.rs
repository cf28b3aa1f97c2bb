//! What is known of a tensor that gradients are gathered in.
use crate::ops::elementwise::{all_finite, scale, zero};
use candle_core::{Result, Tensor};
use std::sync::atomic::{AtomicU8, Ordering};

/// Whether gradients were gathered in a tensor since it was last cleared, and whether they are finite. Clearing is thus
/// free: who is the first to add overwrites. Operators that write a gradient know whether it is finite while it lies in the
/// cache; asking afterwards would read it from memory once more.
#[derive(Debug, Default)]
pub struct GradState(AtomicU8);

/// Nothing: the tensor may hold any values, which stand for zeros.
const EMPTY: u8 = 0;
const UNKNOWN: u8 = 1;
const FINITE: u8 = 2;
const NOT_FINITE: u8 = 3;

impl GradState {
    /// Of a tensor that holds what it holds.
    pub fn unknown() -> Self {
        GradState(AtomicU8::new(UNKNOWN))
    }

    /// Forgets what was gathered.
    pub fn clear(&self) {
        self.0.store(EMPTY, Ordering::Release);
    }

    /// Makes the tensor hold its values, zeros if nothing was gathered.
    ///
    /// # Errors
    /// As [`zero`](crate::elementwise::zero).
    pub fn materialize(&self, tensor: &Tensor) -> Result<()> {
        if self.is_empty() {
            zero(tensor)?;
            self.set_finite(true);
        }
        Ok(())
    }

    /// As [`GradState::materialize`], for somebody who is going to add to the tensor.
    ///
    /// # Errors
    /// As [`zero`](crate::elementwise::zero).
    pub fn begin(&self, tensor: &Tensor) -> Result<()> {
        self.materialize(tensor)?;
        self.set_unknown();
        Ok(())
    }

    /// Multiplies the tensor's values by `factor`, whatever was known of them.
    ///
    /// # Errors
    /// As [`scale`](crate::elementwise::scale).
    pub fn scale(&self, tensor: &Tensor, factor: f64) -> Result<()> {
        self.set_finite(scale(tensor, factor)?);
        Ok(())
    }

    /// The tensor holds values of which nothing is known.
    pub fn set_unknown(&self) {
        self.0.store(UNKNOWN, Ordering::Release);
    }

    /// Whether all values are finite.
    ///
    /// # Errors
    /// As [`all_finite`](crate::elementwise::all_finite).
    pub fn finite(&self, tensor: &Tensor) -> Result<bool> {
        if self.0.load(Ordering::Acquire) == UNKNOWN {
            self.set_finite(all_finite(tensor)?);
        }
        Ok(self.0.load(Ordering::Acquire) != NOT_FINITE)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.load(Ordering::Acquire) == EMPTY
    }

    /// Whether all values that the tensor holds are finite is known.
    pub fn set_finite(&self, finite: bool) {
        self.0.store(if finite { FINITE } else { NOT_FINITE }, Ordering::Release);
    }
}
