//! Adam and the other whole-buffer operations of an optimizer.
use crate::choice::isa;
use crate::cpu;
use crate::real::by_dtype;
use crate::storage::{apart, on_cuda, plain, same_shape, slices, update};
use candle_core::{Result, Tensor, bail};
use rayon::prelude::*;
use std::ops::Range;

/// One Adam update's numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamStep {
    /// Learning rate.
    pub lr: f64,
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub eps: f64,
    /// Number of this update, from 1 (bias correction).
    pub step: u64,
}

impl AdamStep {
    /// What of the step depends on its number and on the learning rate: its size lr / (1 − β1^step), and the root
    /// sqrt(1 − β2^step).
    pub fn factors(&self) -> [f64; 2] {
        let power = |beta: f64| beta.powf(self.step as f64);
        [self.lr / (1.0 - power(self.beta1)), (1.0 - power(self.beta2)).sqrt()]
    }
}

/// What [`adam_with`] reads from device memory at the time when the update runs, so that the host need not wait and a
/// captured launch can be replayed.
#[derive(Debug, Clone, Copy, Default)]
pub struct AdamInputs<'a> {
    /// [`AdamStep::factors`] as an F64 tensor `[2]`, in place of the argument's.
    pub factors: Option<&'a Tensor>,
    /// A flag (see [`mark_non_finite`]); once it is set, updates change nothing.
    pub bad: Option<&'a Tensor>,
}

/// PyTorch's Adam in place, without weight decay: `state` is `[3, n]` = parameters, first and second moments; `grads` are
/// flat tensors, each with the place of its first element among the n; only elements of `range` are updated, and gradients
/// for all of them must be there.
///
/// # Errors
/// `state` is not `[3, n]`, `range` ends behind the last parameter, or `hp.step` is 0. A gradient is not flat or
/// reaches beyond the parameters, or a parameter of `range` has none. The element types differ or are unsupported.
pub fn adam(state: &Tensor, grads: &[(usize, Tensor)], range: Range<usize>, hp: &AdamStep) -> Result<()> {
    adam_with(state, grads, range, hp, &AdamInputs::default())
}

/// [`adam`] with inputs in device memory (CUDA; on the CPU only without any).
///
/// # Errors
/// As [`adam`]; `inputs` are given for parameters that are not on CUDA.
pub fn adam_with(
    state: &Tensor,
    grads: &[(usize, Tensor)],
    range: Range<usize>,
    hp: &AdamStep,
    inputs: &AdamInputs,
) -> Result<()> {
    checked(state, grads, &range, hp)?;
    for (first, grad) in grads {
        // What of the range this gradient is for.
        let to = range.end.min(first + grad.elem_count());
        let from = range.start.max(*first).min(to);
        adam_of(state, &grad.narrow(0, from.saturating_sub(*first), to - from)?, from..to, hp, inputs)?;
    }
    Ok(())
}

/// Updates a range of the parameters from a gradient of its length.
fn adam_of(state: &Tensor, grad: &Tensor, at: Range<usize>, hp: &AdamStep, inputs: &AdamInputs) -> Result<()> {
    on_cuda!(state, buffer::adam(state, grad, at, hp, inputs));
    if inputs.factors.is_some() || inputs.bad.is_some() {
        bail!("adam_with: inputs in device memory need the parameters on CUDA")
    }
    let n = state.dim(1)?;
    let grad = plain(&apart(grad, state)?)?;
    by_dtype!(grad, T => {
        slices!(T; g = grad);
        update(state, |s: &mut [T]| {
            let (w, moments) = s.split_at_mut(n);
            let (m, v) = moments.split_at_mut(n);
            cpu::adam::adam(&mut w[at.clone()], &mut m[at.clone()], &mut v[at], g, hp);
            Ok(())
        })
    })
}

fn checked(state: &Tensor, grads: &[(usize, Tensor)], range: &Range<usize>, hp: &AdamStep) -> Result<()> {
    let &[3, n] = state.dims() else { bail!("adam: the state of n parameters is [3, n], got {:?}", state.dims()) };
    if range.start > range.end || range.end > n {
        bail!("adam: range {range:?} of {n} parameters")
    }
    let mut given = range.start;
    for (first, grad) in grads {
        if grad.dims().len() != 1 || first + grad.elem_count() > n {
            bail!("adam: a gradient {:?} of the parameters from {first} on, of which there are {n}", grad.dims())
        }
        if *first <= given {
            given = given.max(first + grad.elem_count());
        }
    }
    if given < range.end {
        bail!("adam: parameter {given} has no gradient")
    }
    if hp.step == 0 {
        bail!("adam: updates are counted from 1")
    }
    Ok(())
}

/// `x ← 0` in place. On CUDA also of flags (see [`mark_non_finite`]).
///
/// # Errors
/// `x` has an unsupported element type or is not contiguous.
pub fn zero(x: &Tensor) -> Result<()> {
    on_cuda!(x, buffer::zero(x));
    by_dtype!(x, T => update(x, |x: &mut [T]| {
        x.par_chunks_mut(cpu::elementwise::CHUNK).for_each(|x| x.fill(0.0));
        Ok(())
    }))
}

/// `x ← x + y` in place, equal shapes.
///
/// # Errors
/// The tensors differ in shape or element type, the type is unsupported, or `x` is not contiguous.
pub fn add_assign(x: &Tensor, y: &Tensor) -> Result<()> {
    same_shape("add_assign", x, y)?;
    on_cuda!(x, buffer::add_assign(x, y));
    let (y, isa) = (plain(&apart(y, x)?)?, isa());
    by_dtype!(y, T => {
        slices!(T; ys = y);
        update(x, |x: &mut [T]| {
            let chunk = cpu::elementwise::CHUNK;
            x.par_chunks_mut(chunk)
                .zip(ys.par_chunks(chunk))
                .for_each(|(x, y)| cpu::elementwise::add(isa, x, y));
            Ok(())
        })
    })
}

/// Sets a flag, a U32 tensor `[1]` on CUDA, if an element of `x` is not finite. It is never cleared here: the host resets it
/// with [`zero`] and reads it when it has time to wait.
///
/// # Errors
/// `flag` is not `[1]`, or `x` is not on CUDA.
pub fn mark_non_finite(x: &Tensor, flag: &Tensor) -> Result<()> {
    if flag.dims() != [1] {
        bail!("mark_non_finite: a flag is [1], got {:?}", flag.dims())
    }
    on_cuda!(x, buffer::mark_non_finite(x, flag));
    bail!("mark_non_finite: flags are for tensors on CUDA; all_finite answers for {:?}", x.device().location())
}

/// Whether every element is finite. On CUDA this waits for the device.
///
/// # Errors
/// `x` has an unsupported element type.
pub fn all_finite(x: &Tensor) -> Result<bool> {
    on_cuda!(x, buffer::all_finite(x));
    let (x, isa) = (plain(x)?, isa());
    by_dtype!(x, T => {
        slices!(T; xs = x);
        Ok(xs.par_chunks(cpu::elementwise::CHUNK).all(|x| cpu::elementwise::finite(isa, x)))
    })
}
