//! Adam, skipping what is not finite.

use crate::AdamStep;
use crate::cuda::launch::Launch;
use crate::cuda::module::{Module, module, typed};
use crate::cuda::operand::{Operand, accumulator};
use candle_core::{DType, Result, Tensor, bail};
use std::ops::Range;

const ADAM: Module = module!("adam");

/// Adam in place on the elements of `range`: `state` `[3, n]`, `grad` `[n]`. The arguments were checked.
pub(crate) fn adam(state: &Tensor, grad: &Tensor, range: Range<usize>, hp: &AdamStep) -> Result<()> {
    update(state, grad, range, hp, None)
}

/// The same unless `first` (`[1]` U32) holds a number; it gets that of this update if an element of `grad` is not finite.
pub(crate) fn watched(state: &Tensor, grad: &Tensor, range: Range<usize>, hp: &AdamStep, first: &Tensor) -> Result<()> {
    let g = dense(grad)?;
    let first = accumulator(first, DType::U32)?;
    Launch::new(&g.device, &ADAM, typed!(g.dtype(), "watch")?)?
        .arg(g.address)
        .size(g.len())?
        .arg(u32::try_from(hp.step).unwrap_or(u32::MAX))
        .arg(first)
        .threads(g.len().div_ceil(pack(g.dtype())))?;
    update(state, grad, range, hp, Some(first))
}

fn update(state: &Tensor, grad: &Tensor, range: Range<usize>, hp: &AdamStep, first: Option<u64>) -> Result<()> {
    let g = dense(grad)?;
    let (n, width) = (g.len(), g.dtype().size_in_bytes());
    let state = accumulator(state, g.dtype())?;
    let power = |beta: f64| beta.powf(hp.step as f64);
    // Rows of the state; the range starts at the same place in each, and in the gradients.
    let row = |row: usize| state + ((row * n + range.start) * width) as u64;
    Launch::new(&g.device, &ADAM, typed!(g.dtype(), "adam")?)?
        .arg(row(0))
        .arg(row(1))
        .arg(row(2))
        .arg(g.address + (range.start * width) as u64)
        .size(range.len())?
        .arg(hp.beta1)
        .arg(1.0 - hp.beta1)
        .arg(hp.beta2)
        .arg(1.0 - hp.beta2)
        .arg(hp.eps)
        .arg(hp.lr / (1.0 - power(hp.beta1)))
        .arg((1.0 - power(hp.beta2)).sqrt())
        .arg(first)
        .threads(range.len().div_ceil(pack(g.dtype())))
}

/// Elements that one thread treats: 16 bytes.
fn pack(dtype: DType) -> usize {
    16 / dtype.size_in_bytes()
}

fn dense(grad: &Tensor) -> Result<Operand> {
    if !matches!(grad.dtype(), DType::F32 | DType::F64) {
        bail!("adam: parameters are F32 or F64, not {:?}", grad.dtype())
    }
    Operand::new(grad)
}
