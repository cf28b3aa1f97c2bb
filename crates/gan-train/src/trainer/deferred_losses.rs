//! Losses that nobody has read yet.

use crate::method::Losses;
use crate::{OnNonfinite, Result, TrainConfig};
use candle_core::{DType, Tensor};

/// Steps after which losses are read without being asked for: they take memory, too.
const MOST: usize = 1000;

/// The losses of some steps, in order, where they were computed. Reading makes the host wait for the device, so they
/// are read together and only when somebody wants them.
#[derive(Default)]
pub(super) struct DeferredLosses {
    steps: Vec<Losses>,
    /// Leave steps out that have a loss that is not finite.
    finite_only: bool,
}

impl DeferredLosses {
    /// None yet.
    pub(super) fn new(train: &TrainConfig) -> Self {
        DeferredLosses { steps: Vec::new(), finite_only: train.on_nonfinite == OnNonfinite::Skip }
    }

    /// Adds a step. True if so many have gathered that it is time to read them.
    pub(super) fn push(&mut self, losses: Losses) -> bool {
        self.steps.push(losses);
        self.steps.len() >= MOST
    }

    /// Names and values, step by step; afterwards nothing is left.
    pub(super) fn take(&mut self) -> Result<Vec<Vec<(&'static str, f64)>>> {
        let steps = std::mem::take(&mut self.steps);
        let scalars: Vec<Tensor> = steps.iter().flatten().map(|(_, value)| value.clone()).collect();
        if scalars.is_empty() {
            return Ok(Vec::new());
        }
        let values = Tensor::stack(&scalars, 0)?.to_device(&candle_core::Device::Cpu)?;
        let mut values = values.to_dtype(DType::F64)?.to_vec1::<f64>()?.into_iter();
        let mut named = |losses: &Losses| losses.iter().zip(values.by_ref()).map(|((name, _), v)| (*name, v)).collect();
        let steps: Vec<Vec<_>> = steps.iter().map(&mut named).collect();
        let kept = |losses: &Vec<(_, f64)>| !self.finite_only || losses.iter().all(|(_, value)| value.is_finite());
        Ok(steps.into_iter().filter(kept).collect())
    }
}
