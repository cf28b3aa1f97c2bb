//! Where the gradients of parameters are gathered.

use crate::gradients::Watch;
use crate::store::copy_of;
use candle_core::{DType, Result, Shape, Tensor};
use gan_kernels::conv::WeightGrad;
use gan_kernels::elementwise::{add_assign, zero};
use gan_kernels::grad::GradState;
use gan_kernels::storage::undefined;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
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
    /// Additions and zeroings.
    changes: AtomicU64,
    /// The memory is somebody else's, who reads it. On the CPU.
    lent: AtomicBool,
    watch: Watch,
}

impl Grad {
    /// On the CPU, for a parameter of this shape and element type.
    pub(crate) fn new(shape: impl Into<Shape>, dtype: DType, watch: Watch) -> Self {
        Self::of(shape.into(), dtype, None, GradState::default(), watch)
    }

    /// In memory that lasts and holds zeros.
    pub(crate) fn lasting(tensor: Tensor, watch: Watch) -> Self {
        Self::of(tensor.shape().clone(), tensor.dtype(), Some(tensor), GradState::unknown(), watch)
    }

    fn of(shape: Shape, dtype: DType, tensor: Option<Tensor>, state: GradState, watch: Watch) -> Self {
        let (lasts, tensor, total) = (tensor.is_some(), Mutex::new(tensor), Mutex::default());
        let (changes, lent) = (AtomicU64::default(), AtomicBool::default());
        Grad(Arc::new(Slot { shape, dtype, lasts, tensor, state, total, changes, lent, watch }))
    }

    /// The memory, to be added to; the state tells what is in it.
    pub(crate) fn buffer(&self) -> Result<Tensor> {
        self.changed();
        let mut tensor = lock(&self.0.tensor);
        match &mut *tensor {
            Some(tensor) if self.0.lent.swap(false, Ordering::Relaxed) => {
                *tensor = copy_of(tensor)?;
                Ok(tensor.clone())
            }
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

    /// Writes the gradient into a flat tensor from `offset` on, zeros if nothing was added, and lies there until something is added. On the CPU.
    pub(crate) fn lend(&self, flat: &Tensor, offset: usize) -> Result<()> {
        let mut tensor = lock(&self.0.tensor);
        let place = flat.narrow(0, offset, self.0.shape.elem_count())?;
        let Some(gradient) = &mut *tensor else { return zero(&place) };
        self.0.state.materialize(gradient)?;
        flat.slice_set(&gradient.flatten_all()?, 0, offset)?;
        *gradient = place.reshape(&self.0.shape)?;
        self.0.lent.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Makes these values, flat, the gradient, in the memory where they lie. They are read for the finite check unless all are `known_finite`. On
    /// the CPU.
    pub(crate) fn set(&self, values: &Tensor, known_finite: bool) -> Result<()> {
        let values = values.reshape(&self.0.shape)?;
        match known_finite {
            true => self.0.state.set_finite(true),
            false => self.0.state.set_unknown(),
        }
        *lock(&self.0.tensor) = Some(values);
        self.0.lent.store(false, Ordering::Relaxed);
        Ok(())
    }

    /// Forgets it, where its memory does not last.
    pub(crate) fn forget(&self) {
        if !self.0.lasts {
            self.0.state.clear();
            *lock(&self.0.tensor) = None;
            self.0.lent.store(false, Ordering::Relaxed);
        }
    }

    /// Counts what is done to it.
    pub(crate) fn changed(&self) {
        self.0.changes.fetch_add(1, Ordering::Relaxed);
    }

    /// How often something was added, or it was set to zero.
    pub(crate) fn changes(&self) -> u64 {
        self.0.changes.load(Ordering::Relaxed)
    }

    /// Who watches the backward passes that add to it.
    pub(crate) fn watch(&self) -> &Watch {
        &self.0.watch
    }
}

fn lock(tensor: &Mutex<Option<Tensor>>) -> MutexGuard<'_, Option<Tensor>> {
    tensor.lock().unwrap_or_else(PoisonError::into_inner)
}
