//! Where the gradients of parameters are gathered.

use candle_core::{DType, Result, Shape, Tensor};
use gan_kernels::conv::WeightGrad;
use gan_kernels::grad::GradState;
use gan_kernels::storage::undefined;
use std::sync::{Arc, Mutex, PoisonError};

/// A parameter's gradient. Cheap to clone.
///
/// On the CPU it has memory from the first contribution until it is cleared. A backward pass frees the activations while it
/// makes the gradients, so that they take turns with the same memory. On a device it is a view of one tensor that holds
/// the gradients of all parameters and lasts, so that one launch serves them all.
#[derive(Debug, Clone)]
pub struct Grad(Arc<Slot>);

#[derive(Debug)]
struct Slot {
    shape: Shape,
    dtype: DType,
    lasts: bool,
    tensor: Mutex<Option<Tensor>>,
    state: GradState,
}

impl Grad {
    /// On the CPU, for a parameter of this shape and element type.
    pub(crate) fn new(shape: impl Into<Shape>, dtype: DType) -> Self {
        Self::of(shape.into(), dtype, None, GradState::default())
    }

    /// In memory that lasts and holds zeros.
    pub(crate) fn lasting(tensor: Tensor) -> Self {
        Self::of(tensor.shape().clone(), tensor.dtype(), Some(tensor), GradState::unknown())
    }

    fn of(shape: Shape, dtype: DType, tensor: Option<Tensor>, state: GradState) -> Self {
        Grad(Arc::new(Slot { shape, dtype, lasts: tensor.is_some(), tensor: Mutex::new(tensor), state }))
    }

    /// The memory; the state tells what is in it.
    pub(crate) fn buffer(&self) -> Result<Tensor> {
        let mut tensor = self.0.tensor.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *tensor {
            Some(tensor) => Ok(tensor.clone()),
            none => Ok(none.insert(undefined(&self.0.shape, self.0.dtype)?).clone()),
        }
    }

    /// The gradient so far, to be added to.
    pub(crate) fn accumulator(&self) -> Result<Tensor> {
        let buffer = self.buffer()?;
        self.0.state.begin(&buffer)?;
        Ok(buffer)
    }

    /// The gradient, zeros if nothing was added.
    pub(crate) fn materialized(&self) -> Result<Tensor> {
        let buffer = self.buffer()?;
        self.0.state.materialize(&buffer)?;
        Ok(buffer)
    }

    /// What a convolution with the input `x` needs to add its weight's gradient to the buffer.
    pub(crate) fn weight<'a>(&'a self, x: &'a Tensor, into: &'a Tensor) -> WeightGrad<'a> {
        WeightGrad { x, into, state: Some(&self.0.state) }
    }

    /// Whether it is finite.
    pub(crate) fn finite(&self) -> Result<bool> {
        let tensor = self.0.tensor.lock().unwrap_or_else(PoisonError::into_inner);
        tensor.as_ref().map_or(Ok(true), |tensor| self.0.state.finite(tensor))
    }

    /// Forgets it.
    pub(crate) fn clear(&self) {
        self.0.state.clear();
        if !self.0.lasts {
            *self.0.tensor.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
    }
}
