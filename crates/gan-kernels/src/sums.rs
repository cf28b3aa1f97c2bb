//! What is known of a tensor that gradients are gathered in.
use crate::{all_finite, zero};
use candle_core::{Result, Tensor};
use std::sync::atomic::{AtomicU8, Ordering};

/// Whether gradients were gathered in a tensor since it was last cleared, and whether they are finite. Clearing is thus
/// free: who is the first to add overwrites. Operators that write a gradient know whether it is finite while it lies in the
/// cache; asking afterwards would read it from memory once more.
#[derive(Debug, Default)]
pub struct Sums(AtomicU8);

/// Nothing: the tensor may hold any values, which stand for zeros.
const EMPTY: u8 = 0;
const UNKNOWN: u8 = 1;
const FINITE: u8 = 2;
const NOT_FINITE: u8 = 3;

impl Sums {
    /// Of a tensor that holds what it holds.
    pub fn unknown() -> Self {
        Sums(AtomicU8::new(UNKNOWN))
    }

    /// Forgets what was gathered.
    pub fn clear(&self) {
        self.0.store(EMPTY, Ordering::Release);
    }

    /// Makes the tensor hold its values, zeros if nothing was gathered.
    ///
    /// # Errors
    /// As [`zero`].
    pub fn settle(&self, tensor: &Tensor) -> Result<()> {
        if self.is_empty() {
            zero(tensor)?;
            self.found(true);
        }
        Ok(())
    }

    /// As [`Sums::settle`], for somebody who is going to add to the tensor.
    ///
    /// # Errors
    /// As [`zero`].
    pub fn open(&self, tensor: &Tensor) -> Result<()> {
        self.settle(tensor)?;
        self.0.store(UNKNOWN, Ordering::Release);
        Ok(())
    }

    /// Whether all values are finite.
    ///
    /// # Errors
    /// As [`all_finite`].
    pub fn finite(&self, tensor: &Tensor) -> Result<bool> {
        if self.0.load(Ordering::Acquire) == UNKNOWN {
            self.found(all_finite(tensor)?);
        }
        Ok(self.0.load(Ordering::Acquire) != NOT_FINITE)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.load(Ordering::Acquire) == EMPTY
    }

    pub(crate) fn found(&self, finite: bool) {
        self.0.store(if finite { FINITE } else { NOT_FINITE }, Ordering::Release);
    }
}
