//! Adam on a flat parameter store.

use crate::{Error, Result};
use candle_core::Tensor;
use gan_kernels::AdamStep;
use gan_layers::ParamStore;
use std::ops::Range;

/// Adam (Kingma & Ba, 2015) as all three references use it: no weight decay, β2 0.999, ε 1e-8.
#[derive(Debug)]
pub struct Optimizer {
    store: ParamStore,
    beta1: f64,
    range: Range<usize>,
    updates: u64,
}

impl Optimizer {
    /// Of all parameters of a store.
    pub fn new(store: ParamStore, beta1: f64) -> Self {
        let range = 0..store.len();
        Optimizer { store, beta1, range, updates: 0 }
    }

    /// The parameters.
    pub fn store(&self) -> &ParamStore {
        &self.store
    }

    /// How many updates were made since the moments were zero.
    pub fn updates(&self) -> u64 {
        self.updates
    }

    /// The parameters that are updated, as positions in the flat store.
    pub fn range(&self) -> Range<usize> {
        self.range.clone()
    }

    /// Restores the counters of a checkpoint.
    pub(crate) fn restore(&mut self, updates: u64, range: Range<usize>) {
        self.updates = updates;
        self.range = range;
    }

    /// Updates these parameters from now on. A change starts Adam afresh, as a new optimizer in the reference does.
    pub fn select(&mut self, range: Range<usize>) -> Result<()> {
        if range != self.range {
            self.store.reset_moments()?;
            self.updates = 0;
            self.range = range;
        }
        Ok(())
    }

    /// Forgets the gradients.
    pub fn zero_grad(&self) -> Result<()> {
        Ok(self.store.zero_grad()?)
    }

    /// Updates the parameters from the gathered gradients. Refused, with nothing changed, if a gradient is not finite.
    pub fn update(&mut self, lr: f64) -> Result<()> {
        if !self.store.grads_finite()? {
            let parameter = self.store.first_non_finite_grad()?.unwrap_or_default();
            return Err(Error::Diverged { what: format!("the gradient of {parameter}") });
        }
        self.updates += 1;
        let step = AdamStep { lr, beta1: self.beta1, beta2: 0.999, eps: 1e-8, step: self.updates };
        Ok(self.store.adam(self.range.clone(), &step)?)
    }
}

/// Walks back from a loss; parameter gradients are added to their stores. The graph is gone afterwards.
pub(crate) fn backward(loss: &Tensor) -> Result<()> {
    loss.backward()?;
    Ok(())
}
