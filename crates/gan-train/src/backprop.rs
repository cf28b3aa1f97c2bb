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

/// Backpropagates several losses of one tensor separately, so that the graph of one need not be there beside that of the
/// next; their gradients are added up, and passed on at last.
pub struct Junction<'a> {
    of: &'a Tensor,
    leaf: Var,
    gradient: Option<Tensor>,
}

impl<'a> Junction<'a> {
    /// Of the tensor that the losses depend on.
    ///
    /// # Errors
    /// [`Error::Tensor`](crate::Error::Tensor) if the device fails.
    pub fn new(of: &'a Tensor) -> Result<Self> {
        Ok(Junction { of, leaf: Var::from_tensor(&of.detach())?, gradient: None })
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

    /// Backpropagates from the tensor.
    ///
    /// # Errors
    /// As [`backward`].
    pub fn pass_on(self) -> Result<()> {
        match self.gradient {
            Some(gradient) => backward(&(self.of * gradient.detach())?.sum_all()?),
            None => Ok(()),
        }
    }
}
