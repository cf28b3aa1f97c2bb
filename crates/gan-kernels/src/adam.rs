//! Adam and the other whole-buffer operations of an optimizer.
use crate::choice::isa;
use crate::cpu;
use crate::real::by_dtype;
use crate::storage::{apart, plain, same_shape, slices, update};
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

/// PyTorch's Adam in place, without weight decay: `state` is `[3, n]` = parameters, first and second moments; `grad` is
/// `[n]`; only elements of `range` are updated.
pub fn adam(state: &Tensor, grad: &Tensor, range: Range<usize>, hp: &AdamStep) -> Result<()> {
    let n = grad.elem_count();
    if state.dims() != [3, n] {
        bail!("adam: the state of {n} parameters is [3, {n}], got {:?}", state.dims())
    }
    if range.start > range.end || range.end > n {
        bail!("adam: range {range:?} of {n} parameters")
    }
    if hp.step == 0 {
        bail!("adam: updates are counted from 1")
    }
    let grad = plain(&apart(grad, state)?)?;
    by_dtype!(grad, T => {
        slices!(T; g = grad);
        update(state, |s: &mut [T]| {
            let (w, moments) = s.split_at_mut(n);
            let (m, v) = moments.split_at_mut(n);
            cpu::adam::adam(&mut w[range.clone()], &mut m[range.clone()], &mut v[range.clone()], &g[range], hp);
            Ok(())
        })
    })
}

/// `x ← 0` in place.
pub fn zero(x: &Tensor) -> Result<()> {
    by_dtype!(x, T => update(x, |x: &mut [T]| {
        x.par_chunks_mut(cpu::elementwise::CHUNK).for_each(|x| x.fill(0.0));
        Ok(())
    }))
}

/// `x ← x + y` in place, equal shapes.
pub fn add_assign(x: &Tensor, y: &Tensor) -> Result<()> {
    same_shape("add_assign", x, y)?;
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

/// Whether every element is finite.
pub fn all_finite(x: &Tensor) -> Result<bool> {
    let (x, isa) = (plain(x)?, isa());
    by_dtype!(x, T => {
        slices!(T; xs = x);
        Ok(xs.par_chunks(cpu::elementwise::CHUNK).all(|x| cpu::elementwise::finite(isa, x)))
    })
}
