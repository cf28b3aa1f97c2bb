//! Backpropagation from losses.

use crate::Result;
use candle_core::{Tensor, Var};

/// Backpropagates a loss; parameter gradients are added to their stores. The graph is gone afterwards.
///
/// # Errors
/// [`Error::Tensor`](crate::Error::Tensor) if an operator has no backward pass, or the device fails.
pub fn backward(loss: &Tensor) -> Result<()> {
    loss.backward()?;
    Ok(())
}

/// Backpropagates several losses of one tensor separately, so that only one loss graph is alive at a time. Their gradients are
/// summed at a leaf; [`GradAccumulator::backward_input`] continues from there.
pub struct GradAccumulator<'a> {
    of: &'a Tensor,
    leaf: Var,
    gradient: Option<Tensor>,
}

impl<'a> GradAccumulator<'a> {
    /// For the tensor that the losses depend on.
    ///
    /// # Errors
    /// [`Error::Tensor`](crate::Error::Tensor) if the device fails.
    pub fn new(of: &'a Tensor) -> Result<Self> {
        Ok(GradAccumulator { of, leaf: Var::from_tensor(&of.detach())?, gradient: None })
    }

    /// Takes the tensor's place in the losses.
    pub fn leaf(&self) -> &Tensor {
        &self.leaf
    }

    /// Backpropagates a loss to the leaf.
    ///
    /// # Errors
    /// As [`backward`].
    pub fn backward(&mut self, loss: &Tensor) -> Result<()> {
        let new = loss.backward()?.remove(&self.leaf);
        self.gradient = match (self.gradient.take(), new) {
            (Some(sum), Some(new)) => Some((sum + new)?),
            (sum, new) => sum.or(new),
        };
        Ok(())
    }

    /// Backpropagates the sum through what the tensor was computed from.
    ///
    /// # Errors
    /// As [`backward`].
    pub fn backward_input(self) -> Result<()> {
        match self.gradient {
            Some(gradient) => backward(&(self.of * gradient.detach())?.sum_all()?),
            None => Ok(()),
        }
    }
}
