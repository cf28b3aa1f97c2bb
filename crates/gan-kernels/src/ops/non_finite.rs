//! Updates that are not made of gradients that are not finite, without asking the device at every step.
#[cfg(feature = "cuda")]
use crate::dispatch::on_cuda;
#[cfg(feature = "cuda")]
use crate::ops::optim::mark_non_finite;
use crate::ops::optim::{adam, adam_with};
use crate::spec::adam::{AdamInputs, AdamStep};
use candle_core::{Device, Result, Tensor};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Refuses updates whose gradients are not all finite: all from the first one on, or only these. It lies where the
/// gradients are: on a CUDA device, looking and skipping are part of the device's work, and only
/// [`NonFiniteGuard::saw_non_finite`] and [`NonFiniteGuard::skipped`] wait for it.
#[derive(Debug)]
pub struct NonFiniteGuard {
    flag: Flag,
    /// Whether updates go on after one that was refused.
    skips: bool,
}

/// Updates that a [`NonFiniteGuard::skipping`] has refused.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Skipped {
    /// The last ones in a row.
    pub run: u32,
    /// The most in a row.
    pub longest: u32,
    /// All.
    pub total: u32,
}

#[derive(Debug)]
enum Flag {
    Host(AtomicBool, Mutex<Skipped>),
    /// `[4]` U32: the flag, 0 as long as all is well, and the fields of [`Skipped`].
    #[cfg(feature = "cuda")]
    Cuda(Tensor),
}

impl Skipped {
    fn count(&mut self, skipped: bool) {
        self.run = if skipped { self.run + 1 } else { 0 };
        self.longest = self.longest.max(self.run);
        self.total += u32::from(skipped);
    }
}

impl NonFiniteGuard {
    /// For gradients on this device. From the first bad one on, nothing is updated any more.
    ///
    /// # Errors
    /// CUDA's.
    pub fn new(device: &Device) -> Result<Self> {
        Self::of(device, false)
    }

    /// For gradients on this device. Only updates from bad ones are left out, and [`NonFiniteGuard::skipped`] counts them.
    ///
    /// # Errors
    /// CUDA's.
    pub fn skipping(device: &Device) -> Result<Self> {
        Self::of(device, true)
    }

    fn of(device: &Device, skips: bool) -> Result<Self> {
        #[cfg(feature = "cuda")]
        if device.is_cuda() {
            let flag = Flag::Cuda(Tensor::zeros(4, candle_core::DType::U32, device)?);
            return Ok(NonFiniteGuard { flag, skips });
        }
        let _ = device;
        Ok(NonFiniteGuard { flag: Flag::Host(AtomicBool::new(false), Mutex::default()), skips })
    }

    /// [`adam_with`], unless an element of the whole of `grads` is not finite (or, without skipping, was
    /// not at an earlier update). On the CPU `finite` tells whether all are, which is often known already.
    ///
    /// # Errors
    /// As [`adam_with`].
    pub fn adam(
        &self,
        state: &Tensor,
        grads: &[(usize, Tensor)],
        range: Range<usize>,
        hp: &AdamStep,
        inputs: &AdamInputs<'_>,
        finite: impl FnOnce() -> Result<bool>,
    ) -> Result<()> {
        match &self.flag {
            Flag::Host(bad, counts) => {
                let refused = !finite()? || bad.load(Ordering::Relaxed);
                if self.skips {
                    locked(counts).count(refused);
                } else {
                    bad.store(refused, Ordering::Relaxed);
                }
                if refused {
                    // An update of nothing still checks its arguments.
                    return adam(state, grads, range.end..range.end, hp);
                }
                adam_with(state, grads, range, hp, inputs)
            }
            #[cfg(feature = "cuda")]
            Flag::Cuda(_) => self.on_device(state, grads, range, hp, inputs),
        }
    }

    /// The same as part of a captured [`Graph`](crate::graph::Graph): what depends on the learning rate and on the number of the
    /// update is read from `inputs.factors` (see [`AdamInputs`](crate::optim::AdamInputs)) when the graph is launched.
    ///
    /// # Errors
    /// As [`adam_with`](crate::optim::adam_with).
    pub fn captured_adam(
        &self,
        state: &Tensor,
        grads: &[(usize, Tensor)],
        range: Range<usize>,
        hp: &AdamStep,
        inputs: &AdamInputs<'_>,
    ) -> Result<()> {
        match &self.flag {
            Flag::Host(..) => adam_with(state, grads, range, hp, inputs),
            #[cfg(feature = "cuda")]
            Flag::Cuda(_) => self.on_device(state, grads, range, hp, inputs),
        }
    }

    /// Looks at the gradients and updates, all on the device.
    #[cfg(feature = "cuda")]
    fn on_device(
        &self,
        state: &Tensor,
        grads: &[(usize, Tensor)],
        range: Range<usize>,
        hp: &AdamStep,
        inputs: &AdamInputs<'_>,
    ) -> Result<()> {
        let Flag::Cuda(words) = &self.flag else { return Ok(()) };
        let bad = words.narrow(0, 0, 1)?;
        grads.iter().try_for_each(|(_, grad)| mark_non_finite(grad, &bad))?;
        adam_with(state, grads, range, hp, &AdamInputs { bad: Some(&bad), ..*inputs })?;
        if self.skips {
            on_cuda!(words, buffer::count_skipped(words));
        }
        Ok(())
    }

    /// Whether nothing is updated any more.
    ///
    /// # Errors
    /// CUDA's.
    pub fn saw_non_finite(&self) -> Result<bool> {
        match &self.flag {
            Flag::Host(bad, _) => Ok(bad.load(Ordering::Relaxed)),
            #[cfg(feature = "cuda")]
            Flag::Cuda(words) => Ok(words.to_vec1::<u32>()?[0] != 0),
        }
    }

    /// How many updates were left out.
    ///
    /// # Errors
    /// CUDA's.
    pub fn skipped(&self) -> Result<Skipped> {
        match &self.flag {
            Flag::Host(_, counts) => Ok(*locked(counts)),
            #[cfg(feature = "cuda")]
            Flag::Cuda(words) => {
                let words = words.to_vec1::<u32>()?;
                Ok(Skipped { run: words[1], longest: words[2], total: words[3] })
            }
        }
    }

    /// Forgets bad gradients, and goes on counting from here.
    ///
    /// # Errors
    /// CUDA's.
    pub fn restore(&self, skipped: Skipped) -> Result<()> {
        match &self.flag {
            Flag::Host(bad, counts) => {
                bad.store(false, Ordering::Relaxed);
                *locked(counts) = skipped;
                Ok(())
            }
            #[cfg(feature = "cuda")]
            Flag::Cuda(words) => {
                let Skipped { run, longest, total } = skipped;
                words.slice_set(&Tensor::new(&[0, run, longest, total], words.device())?, 0, 0)
            }
        }
    }
}

fn locked(counts: &Mutex<Skipped>) -> MutexGuard<'_, Skipped> {
    counts.lock().unwrap_or_else(PoisonError::into_inner)
}
