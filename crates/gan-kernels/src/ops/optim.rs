//! Adam.
use crate::cpu;
use crate::cpu::real::by_dtype;
use crate::dispatch::on_cuda;
pub use crate::ops::non_finite::{NonFiniteGuard, Skipped};
use crate::ops::storage::{apart, plain, slices, update};
pub use crate::spec::adam::{AdamInputs, AdamStep, Average};
use candle_core::{Result, Tensor, bail};
use std::ops::Range;

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

/// [`adam`] with inputs in device memory (CUDA; on the CPU only without any), and an average that follows in the same pass.
///
/// # Errors
/// As [`adam`]; inputs in device memory are given for parameters that are not on CUDA; the average has not one value for each
/// parameter.
pub fn adam_with(
    state: &Tensor,
    grads: &[(usize, Tensor)],
    range: Range<usize>,
    hp: &AdamStep,
    inputs: &AdamInputs,
) -> Result<()> {
    checked(state, grads, &range, hp)?;
    let n = state.dim(1)?;
    if let Some(Average { values, .. }) = inputs.average
        && values.dims() != [n]
    {
        bail!("adam: an average {:?} of {n} parameters", values.dims())
    }
    let updated = without(&range, inputs.frozen);
    for (first, grad) in grads {
        for updated in &updated {
            // What of them this gradient is for.
            let to = updated.end.min(first + grad.elem_count());
            let from = updated.start.max(*first).min(to);
            adam_of(state, &grad.narrow(0, from.saturating_sub(*first), to - from)?, from..to, hp, inputs)?;
        }
    }
    if let Some(average) = inputs.average {
        for at in without(&(0..n), &updated) {
            follow(state, at, average, inputs)?;
        }
    }
    Ok(())
}

/// What is left of a range without these parts of it, which ascend.
fn without(range: &Range<usize>, parts: &[Range<usize>]) -> Vec<Range<usize>> {
    let (mut left, mut from) = (Vec::new(), range.start);
    for part in parts.iter().chain([&(range.end..range.end)]) {
        left.push(from..part.start.min(range.end));
        from = from.max(part.end);
    }
    left.retain(|at| !at.is_empty());
    left
}

/// Moves the average of a range of parameters that are not updated.
fn follow(state: &Tensor, at: Range<usize>, average: Average, inputs: &AdamInputs) -> Result<()> {
    on_cuda!(state, buffer::follow(state, at, average, inputs));
    on_host(inputs)?;
    let w = plain(&state.get(0)?.narrow(0, at.start, at.len())?)?;
    by_dtype!(w, T => {
        slices!(T; w = w);
        update(average.values, |a: &mut [T]| {
            cpu::adam::follow(&mut a[at], w, average.rest);
            Ok(())
        })
    })
}

/// Updates a range of the parameters from a gradient of its length.
fn adam_of(state: &Tensor, grad: &Tensor, at: Range<usize>, hp: &AdamStep, inputs: &AdamInputs) -> Result<()> {
    on_cuda!(state, buffer::adam(state, grad, at, hp, inputs));
    on_host(inputs)?;
    let n = state.dim(1)?;
    let grad = plain(&apart(grad, state)?)?;
    by_dtype!(grad, T => {
        slices!(T; g = grad);
        update(state, |s: &mut [T]| {
            let (w, moments) = s.split_at_mut(n);
            let (m, v) = moments.split_at_mut(n);
            let (w, m, v) = (&mut w[at.clone()], &mut m[at.clone()], &mut v[at.clone()]);
            let Some(Average { values, rest }) = inputs.average else {
                cpu::adam::adam(w, m, v, g, None, hp);
                return Ok(());
            };
            update(values, |a: &mut [T]| {
                cpu::adam::adam(w, m, v, g, Some((&mut a[at], rest)), hp);
                Ok(())
            })
        })
    })
}

fn on_host(inputs: &AdamInputs) -> Result<()> {
    if inputs.factors.is_some() || inputs.bad.is_some() {
        bail!("adam_with: inputs in device memory need the parameters on CUDA")
    }
    Ok(())
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

/// Sets a flag, a U32 tensor `[1]` on CUDA, if an element of `x` is not finite. It is never cleared here: the host resets it
/// with [`zero`](crate::elementwise::zero) and reads it when it has time to wait.
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
