//! The learning rate of a run.

use super::deferred_losses::DeferredLosses;
use crate::method::Losses;
use crate::schedule::{LrPolicy, Plateau, Schedule};
use crate::{Result, TrainConfig};
use serde::{Deserialize, Serialize};

/// Schedule and, for `lr_policy = "plateau"`, what it has seen.
pub(super) struct LrScheduler {
    base: f64,
    schedule: Schedule,
    state: LrState,
    /// Losses that belong to the sum.
    deferred: DeferredLosses,
}

/// What a checkpoint keeps of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct LrState {
    plateau: Plateau,
    /// Sum of all losses over this epoch, and its steps. Its mean is what the plateau is measured on: not every run
    /// is validated, and the reference's constant 0 lowers the rate blindly.
    sum: f64,
    steps: u64,
}

impl LrState {
    pub(super) fn not_finite(&self) -> Option<String> {
        (!self.sum.is_finite()).then(|| "the sum of the losses of this epoch".to_owned())
    }

    /// What cannot be the state of a run of `step` steps.
    pub(super) fn contradiction(&self, step: u64) -> Option<String> {
        let fits = self.plateau.is_possible() && self.steps <= step && self.not_finite().is_none();
        (!fits).then(|| "its learning rate is in no possible state".to_owned())
    }
}

impl LrScheduler {
    pub(super) fn new(train: &TrainConfig) -> Self {
        LrScheduler {
            base: train.lr,
            schedule: train.schedule(),
            state: LrState::default(),
            deferred: DeferredLosses::new(train),
        }
    }

    pub(super) fn of_epoch(&self, epoch: u64) -> f64 {
        self.base * self.schedule.factor(epoch as u32) * self.state.plateau.factor()
    }

    /// Hears the losses of a step.
    pub(super) fn observe(&mut self, losses: &Losses) -> Result<()> {
        if self.schedule.lr_policy == LrPolicy::Plateau && self.deferred.push(losses.clone()) {
            self.read()?;
        }
        Ok(())
    }

    fn read(&mut self) -> Result<()> {
        for losses in self.deferred.take()? {
            for (_, value) in losses {
                self.state.sum += value;
            }
            self.state.steps += 1;
        }
        Ok(())
    }

    pub(super) fn end_epoch(&mut self) -> Result<()> {
        self.read()?;
        if self.schedule.lr_policy == LrPolicy::Plateau {
            let mean = self.state.sum / self.state.steps.max(1) as f64;
            self.state.plateau.observe(mean);
            (self.state.sum, self.state.steps) = (0.0, 0);
        }
        Ok(())
    }

    pub(super) fn state(&mut self) -> Result<&LrState> {
        self.read()?;
        Ok(&self.state)
    }

    pub(super) fn restore(&mut self, state: LrState) {
        self.state = state;
    }
}
