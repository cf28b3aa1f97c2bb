//! Where the gradients of parameters are gathered.

use candle_core::{DType, Result, Shape, Tensor};
use gan_kernels::conv::WeightGrad;
use gan_kernels::elementwise::{add_assign, zero};
use gan_kernels::grad::GradState;
use gan_kernels::storage::undefined;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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
    /// The sum over micro-batches, on the CPU; on a device the store has one for all parameters.
    total: Mutex<Option<Tensor>>,
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
        let (lasts, tensor, total) = (tensor.is_some(), Mutex::new(tensor), Mutex::default());
        Grad(Arc::new(Slot { shape, dtype, lasts, tensor, state, total }))
    }

    /// The memory; the state tells what is in it.
    pub(crate) fn buffer(&self) -> Result<Tensor> {
        let mut tensor = lock(&self.0.tensor);
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
        let tensor = lock(&self.0.tensor);
        tensor.as_ref().map_or(Ok(true), |tensor| self.0.state.finite(tensor))
    }

    /// Adds the gradient times `weight` to the total, and forgets it. On the CPU.
    pub(crate) fn add_to_total(&self, weight: f64) -> Result<()> {
        let Some(gradient) = lock(&self.0.tensor).take() else { return Ok(()) };
        self.0.state.materialize(&gradient)?;
        self.0.state.clear();
        let gradient = if weight == 1.0 { gradient } else { (gradient * weight)? };
        let mut total = lock(&self.0.total);
        match &*total {
            Some(total) => add_assign(total, &gradient),
            None => {
                *total = Some(gradient);
                Ok(())
            }
        }
    }

    /// Makes the total times `scale` the gradient, and forgets the total. On the CPU.
    pub(crate) fn take_total(&self, scale: f64) -> Result<()> {
        let Some(total) = lock(&self.0.total).take() else { return Ok(()) };
        self.0.state.scale(&total, scale)?;
        *lock(&self.0.tensor) = Some(total);
        Ok(())
    }

    /// Writes the gradient into a flat tensor from `offset` on, zeros if nothing was added, and forgets it. On the CPU.
    pub(crate) fn take_into(&self, flat: &Tensor, offset: usize) -> Result<()> {
        let Some(gradient) = lock(&self.0.tensor).take() else {
            return zero(&flat.narrow(0, offset, self.0.shape.elem_count())?);
        };
        self.0.state.materialize(&gradient)?;
        self.0.state.clear();
        flat.slice_set(&gradient.flatten_all()?, 0, offset)
    }

    /// Makes these values, flat, the gradient, in the memory where they lie. On the CPU.
    pub(crate) fn set(&self, values: &Tensor) -> Result<()> {
        let values = values.reshape(&self.0.shape)?;
        self.0.state.set_unknown();
        *lock(&self.0.tensor) = Some(values);
        Ok(())
    }

    /// Forgets it.
    pub(crate) fn clear(&self) {
        self.0.state.clear();
        if !self.0.lasts {
            *lock(&self.0.tensor) = None;
        }
    }
}

fn lock(tensor: &Mutex<Option<Tensor>>) -> MutexGuard<'_, Option<Tensor>> {
    tensor.lock().unwrap_or_else(PoisonError::into_inner)
}
