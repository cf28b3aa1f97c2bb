//! The exponential moving average of an optimizer's parameters.

use crate::store::copy_of;
use crate::{ParamStore, Tensors};
use candle_core::{Result, Tensor};
use gan_kernels::optim::Average;

/// An average of the parameters over the updates: `average ← d · average + (1 − d) · parameter`, as in Polyak & Juditsky, 1992,
/// with exponential weights. It begins with the parameters, and d rises with the number t of updates averaged so far,
/// `d = min(decay, (1 + t) / (10 + t))`, so that early parameters are soon forgotten.
#[derive(Debug)]
pub struct MovingAverage {
    /// `[n]`, in the order of the store.
    values: Tensor,
    decay: f64,
    updates: u64,
}

impl MovingAverage {
    /// Begins with the parameters as they are.
    pub(crate) fn new(store: &ParamStore, decay: f64) -> Result<Self> {
        Ok(MovingAverage { values: copy_of(&store.params_flat()?)?, decay, updates: 0 })
    }

    /// Updates that it is of.
    pub fn updates(&self) -> u64 {
        self.updates
    }

    /// What the next update does to it.
    pub(crate) fn next(&self) -> Average<'_> {
        Average { values: &self.values, rest: 1.0 - self.next_decay() }
    }

    fn next_decay(&self) -> f64 {
        let t = self.updates as f64;
        self.decay.min((1.0 + t) / (10.0 + t))
    }

    pub(crate) fn count(&mut self) {
        self.updates += 1;
    }

    /// As [`ParamStore::state_views`], with averages in the place of parameters.
    pub(crate) fn state_views(&self, store: &ParamStore, prefix: &str) -> Result<Tensors> {
        store.views_of(&self.values, prefix)
    }

    /// Sets the averages of the parameters under `prefix`; they are of `updates` updates.
    pub(crate) fn load(&mut self, store: &ParamStore, prefix: &str, tensors: &Tensors, updates: u64) -> Result<()> {
        self.updates = updates;
        store.load_params(&self.values, prefix, tensors)
    }

    /// Begins anew with the parameters as they are.
    pub(crate) fn restart(&mut self, store: &ParamStore) -> Result<()> {
        self.updates = 0;
        self.values.slice_set(&store.params_flat()?, 0, 0)
    }

    /// Exchanges averages and parameters.
    pub(crate) fn swap(&self, store: &ParamStore) -> Result<()> {
        let params = store.params_flat()?;
        let before = copy_of(&params)?;
        params.slice_set(&self.values, 0, 0)?;
        self.values.slice_set(&before, 0, 0)?;
        store.touch();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use candle_core::{DType, Device};

    #[test]
    fn the_decay_rises_to_its_limit() {
        let values = Tensor::zeros(1, DType::F32, &Device::Cpu).unwrap();
        let decay = |updates| MovingAverage { values: values.clone(), decay: 0.999, updates }.next_decay();
        assert_eq!([decay(0), decay(8), decay(90)], [0.1, 0.5, 0.91]);
        assert_eq!((decay(8_990), decay(8_989) < 0.999), (0.999, true));
        assert_eq!(decay(1_000_000), 0.999);
    }
}
