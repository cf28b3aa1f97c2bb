//! The gradients of one optimizer, summed over the micro-batches of a pass on all ranks.

use crate::{Reduce, Result};
use candle_core::Tensor;
use gan_comm::{Communicator, OrderedSum};
use gan_kernels::elementwise::add_assign;

/// The sum so far.
#[derive(Debug)]
pub(super) struct GradientSum {
    reduce: Reduce,
    /// Of this rank's micro-batches, until they are reduced.
    own: Option<Tensor>,
    all: OrderedSum,
}

impl GradientSum {
    pub(super) fn new(reduce: Reduce) -> Self {
        GradientSum { reduce, own: None, all: OrderedSum::default() }
    }

    /// Adds the flat gradients of a round, in which the first `count` ranks have a micro-batch that counts.
    ///
    /// # Errors
    /// As [`OrderedSum::add`].
    pub(super) fn add(&mut self, ranks: &dyn Communicator, gradients: Tensor, count: usize) -> Result<()> {
        match (self.reduce, &self.own) {
            (Reduce::Ordered, _) => self.all.add(ranks, &gradients, count)?,
            (Reduce::Once, Some(own)) if ranks.rank() < count => add_assign(own, &gradients)?,
            (Reduce::Once, Some(_)) => {}
            // Of a rank without a micro-batch, nobody takes it.
            (Reduce::Once, None) => self.own = Some(gradients),
        }
        Ok(())
    }

    /// The sum over all micro-batches times `scale`, of so many of them.
    ///
    /// # Errors
    /// As [`OrderedSum::take`].
    pub(super) fn take(mut self, ranks: &dyn Communicator, scale: f64, micro_batches: usize) -> Result<Tensor> {
        if let Some(own) = self.own.take() {
            self.all.add(ranks, &own, micro_batches.min(ranks.size()))?;
        }
        Ok(self.all.take(ranks, scale)?)
    }
}
