//! Losses between two log points.

use super::deferred_losses::DeferredLosses;
use crate::method::Losses;
use crate::{Result, TrainConfig};
use serde::{Deserialize, Serialize};

/// Losses since the last log point. They are read from the device only when somebody asks, and they are part of a
/// checkpoint, so that the first log point after resuming shows what it would have shown.
pub(super) struct Pending {
    deferred: DeferredLosses,
    read: Sums,
}

/// Sums by name, in the order of the method.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Sums {
    names: Vec<String>,
    sums: Vec<f64>,
    steps: u64,
}

impl Sums {
    /// The first loss that is not finite.
    pub(super) fn not_finite(&self) -> Option<String> {
        let mut losses = self.names.iter().zip(&self.sums);
        losses.find(|(_, sum)| !sum.is_finite()).map(|(name, _)| format!("the loss {name}"))
    }

    /// What cannot be the sums of a run of `step` steps.
    pub(super) fn contradiction(&self, step: u64) -> Option<String> {
        let fits = self.names.len() == self.sums.len() && self.steps <= step && self.not_finite().is_none();
        (!fits).then(|| "its pending losses contradict one another".to_owned())
    }
}

impl Pending {
    pub(super) fn of(read: Sums, train: &TrainConfig) -> Self {
        Pending { deferred: DeferredLosses::new(train), read }
    }

    pub(super) fn push(&mut self, losses: Losses) -> Result<()> {
        if self.deferred.push(losses) {
            self.sums()?;
        }
        Ok(())
    }

    /// Everything so far, read from the device.
    pub(super) fn sums(&mut self) -> Result<&Sums> {
        for losses in self.deferred.take()? {
            if self.read.steps == 0 {
                self.read.names = losses.iter().map(|(name, _)| (*name).to_string()).collect();
                self.read.sums = vec![0.0; losses.len()];
            }
            // By name: with several batches a step they come in another order.
            for (name, value) in losses {
                if let Some(at) = self.read.names.iter().position(|known| known == name) {
                    self.read.sums[at] += value;
                }
            }
            self.read.steps += 1;
        }
        Ok(&self.read)
    }

    /// Means since the last time, and a new beginning.
    pub(super) fn take_means(&mut self) -> Result<Vec<(String, f64)>> {
        self.sums()?;
        let Sums { names, sums, steps } = std::mem::take(&mut self.read);
        Ok(names.into_iter().zip(sums.into_iter().map(|s| s / steps.max(1) as f64)).collect())
    }
}
