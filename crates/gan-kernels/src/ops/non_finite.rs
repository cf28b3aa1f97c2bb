//! Updates that stop at the first gradient that is not finite, without asking the device at every step.
#[cfg(feature = "cuda")]
use crate::ops::optim::mark_non_finite;
use crate::ops::optim::{adam, adam_with};
use crate::spec::adam::{AdamInputs, AdamStep};
use candle_core::{Device, Result, Tensor};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

/// Remembers whether gradients that were not all finite came by; from then on nothing is updated any more. It lies where
/// the gradients are: on a CUDA device, looking and skipping are part of the device's work, and only
/// [`NonFiniteGuard::saw_non_finite`] waits for it.
#[derive(Debug)]
pub struct NonFiniteGuard(Flag);

#[derive(Debug)]
enum Flag {
    Host(AtomicBool),
    /// `[1]` U32, 0 as long as all is well.
    #[cfg(feature = "cuda")]
    Cuda(Tensor),
}

impl NonFiniteGuard {
    /// For gradients on this device; nothing was seen yet.
    ///
    /// # Errors
    /// CUDA's.
    pub fn new(device: &Device) -> Result<Self> {
        #[cfg(feature = "cuda")]
        if device.is_cuda() {
            return Ok(NonFiniteGuard(Flag::Cuda(Tensor::zeros(1, candle_core::DType::U32, device)?)));
        }
        let _ = device;
        Ok(NonFiniteGuard(Flag::Host(AtomicBool::new(false))))
    }

    /// [`adam`], unless an element of the whole of `grads` is not finite, now or at an earlier update. On the CPU `finite`
    /// tells whether all are, which is often known already.
    ///
    /// # Errors
    /// As [`adam`].
    pub fn adam(
        &self,
        state: &Tensor,
        grads: &[(usize, Tensor)],
        range: Range<usize>,
        hp: &AdamStep,
        finite: impl FnOnce() -> Result<bool>,
    ) -> Result<()> {
        match &self.0 {
            Flag::Host(bad) => {
                if !finite()? {
                    bad.store(true, Ordering::Relaxed);
                }
                // An update of nothing still checks its arguments.
                let range = if bad.load(Ordering::Relaxed) { range.end..range.end } else { range };
                adam(state, grads, range, hp)
            }
            #[cfg(feature = "cuda")]
            Flag::Cuda(bad) => {
                mark_all(grads, bad)?;
                adam_with(state, grads, range, hp, &AdamInputs { bad: Some(bad), ..Default::default() })
            }
        }
    }

    /// The same as part of a captured [`Graph`](crate::graph::Graph): what depends on the learning rate and on the number of the
    /// update is read from `factors` (see [`AdamInputs`](crate::optim::AdamInputs)) when the graph is launched.
    ///
    /// # Errors
    /// As [`adam_with`](crate::optim::adam_with).
    pub fn captured_adam(
        &self,
        state: &Tensor,
        grads: &[(usize, Tensor)],
        range: Range<usize>,
        hp: &AdamStep,
        factors: &Tensor,
    ) -> Result<()> {
        let bad = match &self.0 {
            Flag::Host(_) => None,
            #[cfg(feature = "cuda")]
            Flag::Cuda(bad) => {
                mark_all(grads, bad)?;
                Some(bad)
            }
        };
        adam_with(state, grads, range, hp, &AdamInputs { factors: Some(factors), bad })
    }

    /// Whether an update was not made because of gradients that were not finite.
    ///
    /// # Errors
    /// CUDA's.
    pub fn saw_non_finite(&self) -> Result<bool> {
        match &self.0 {
            Flag::Host(bad) => Ok(bad.load(Ordering::Relaxed)),
            #[cfg(feature = "cuda")]
            Flag::Cuda(bad) => Ok(bad.to_vec1::<u32>()? != [0]),
        }
    }
}

/// Sets the flag if an element of a gradient is not finite.
#[cfg(feature = "cuda")]
fn mark_all(grads: &[(usize, Tensor)], bad: &Tensor) -> Result<()> {
    grads.iter().try_for_each(|(_, grad)| mark_non_finite(grad, bad))
}
