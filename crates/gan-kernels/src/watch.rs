//! Updates that stop at the first gradient that is not finite, without asking the device at every step.
use crate::{AdamStep, adam, all_finite};
use candle_core::{Device, Result, Tensor};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

/// Remembers the first update whose gradients were not all finite; from that one on nothing is updated any more. It lies
/// where the gradients are: on a CUDA device, looking and skipping are part of the device's work, and only
/// [`Watch::first`] waits for it.
#[derive(Debug)]
pub struct Watch(Kept);

#[derive(Debug)]
enum Kept {
    /// The number of the update, 0 for none.
    Host(AtomicU64),
    /// The same, `[1]` U32.
    #[cfg(feature = "cuda")]
    Cuda(Tensor),
}

impl Watch {
    /// Nothing was seen yet.
    ///
    /// # Errors
    /// CUDA's.
    pub fn new(device: &Device) -> Result<Self> {
        #[cfg(feature = "cuda")]
        if device.is_cuda() {
            return Ok(Watch(Kept::Cuda(Tensor::zeros(1, candle_core::DType::U32, device)?)));
        }
        let _ = device;
        Ok(Watch(Kept::Host(AtomicU64::new(0))))
    }

    /// [`adam`], unless an element of the whole of `grad` is not finite, now or at an earlier update.
    ///
    /// # Errors
    /// As [`adam`].
    pub fn adam(&self, state: &Tensor, grad: &Tensor, range: Range<usize>, hp: &AdamStep) -> Result<()> {
        match &self.0 {
            Kept::Host(first) => {
                if first.load(Ordering::Relaxed) == 0 && !all_finite(grad)? {
                    first.store(hp.step, Ordering::Relaxed);
                }
                if first.load(Ordering::Relaxed) == 0 { adam(state, grad, range, hp) } else { Ok(()) }
            }
            #[cfg(feature = "cuda")]
            Kept::Cuda(first) => {
                crate::adam::check(state, grad, &range, hp)?;
                crate::cuda::adam::watched(state, grad, range, hp, first)
            }
        }
    }

    /// The number ([`AdamStep::step`]) of the first update that was not made, if there is one.
    ///
    /// # Errors
    /// CUDA's.
    pub fn first(&self) -> Result<Option<u64>> {
        let first = match &self.0 {
            Kept::Host(first) => first.load(Ordering::Relaxed),
            #[cfg(feature = "cuda")]
            Kept::Cuda(first) => first.to_vec1::<u32>()?.first().copied().unwrap_or(0).into(),
        };
        Ok((first > 0).then_some(first))
    }
}
