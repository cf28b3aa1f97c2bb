//! The optimizer's operations on whole buffers, and sums of tensors.

use crate::cuda::launch::{Arg, Launch};
use crate::cuda::module::{Module, module, typed};
use crate::cuda::operand::{MemoryFormat, Operand, Output, accumulator, device};
use crate::spec::adam::{AdamInputs, AdamStep, Average};
use candle_core::{DType, Result, Tensor, bail};
use std::ops::Range;

const BUFFER: Module = module!("buffer");

/// Adam on the elements of `range`, in one launch.
pub(crate) fn adam(
    state: &Tensor,
    grad: &Tensor,
    range: Range<usize>,
    hp: &AdamStep,
    inputs: &AdamInputs,
) -> Result<()> {
    let n = state.dim(1)?;
    let grad = Operand::new(grad)?;
    let width = grad.dtype().size_in_bytes();
    let name = match grad.dtype() {
        DType::F32 => "adam_f32",
        DType::F64 => "adam_f64",
        other => bail!("adam: parameters are F32 or F64, not {other:?}"),
    };
    let state = accumulator(state, grad.dtype())?;
    let part = |row: usize| state + ((row * n + range.start) * width) as u64;
    let factors = hp.factors();
    let average = inputs.average.map(|average| average_at(&average, grad.dtype(), range.start)).transpose()?;
    Launch::new(&grad.device, &BUFFER, name)?
        .arg(part(0))
        .arg(part(1))
        .arg(part(2))
        .arg(grad.address)
        .size(range.len())?
        .arg(hp.beta1)
        .arg(hp.beta2)
        .arg(hp.eps)
        .arg(factors[0])
        .arg(factors[1])
        .arg(average)
        .arg(inputs.average.map_or(0.0, |average| average.rest))
        .arg(inputs.factors.map(|f| accumulator(f, DType::F64)).transpose()?)
        .arg(inputs.bad.map(|b| accumulator(b, DType::U32)).transpose()?)
        .threads(range.len().div_ceil(grad.pack()))
}

/// The address of the average of the parameter `first`.
fn average_at(average: &Average, dtype: DType, first: usize) -> Result<u64> {
    Ok(accumulator(average.values, dtype)? + (first * dtype.size_in_bytes()) as u64)
}

/// Moves the average of parameters that are not updated.
pub(crate) fn follow(state: &Tensor, range: Range<usize>, average: Average, inputs: &AdamInputs) -> Result<()> {
    let dtype = state.dtype();
    let name = match dtype {
        DType::F32 => "follow_f32",
        DType::F64 => "follow_f64",
        other => bail!("adam: parameters are F32 or F64, not {other:?}"),
    };
    Launch::new(&device(state)?, &BUFFER, name)?
        .arg(accumulator(state, dtype)? + (range.start * dtype.size_in_bytes()) as u64)
        .arg(average_at(&average, dtype, range.start)?)
        .size(range.len())?
        .arg(average.rest)
        .arg(inputs.factors.map(|f| accumulator(f, DType::F64)).transpose()?)
        .arg(inputs.bad.map(|b| accumulator(b, DType::U32)).transpose()?)
        .threads(range.len().div_ceil(16 / dtype.size_in_bytes()))
}

/// Counts in `words` (see [`Skipped`](crate::optim::Skipped)) whether its first one is set, and clears that.
pub(crate) fn count_skipped(words: &Tensor) -> Result<()> {
    let words_at = accumulator(words, DType::U32)?;
    Launch::new(&device(words)?, &BUFFER, "count_skipped")?.arg(words_at).grid((1, 1), 32)
}

pub(crate) fn zero(x: &Tensor) -> Result<()> {
    // A zero is four bytes of zeros, whether of a float or of an integer.
    let name = match x.dtype() {
        DType::U32 => "zero_f32",
        other => typed!(other, "zero")?,
    };
    let n = x.elem_count();
    Launch::new(&device(x)?, &BUFFER, name)?
        .arg(accumulator(x, x.dtype())?)
        .size(n)?
        .threads(n.div_ceil(16 / x.dtype().size_in_bytes()))
}

/// `x ← x + y`; `x` may lie in pixels.
pub(crate) fn add_assign(x: &Tensor, y: &Tensor) -> Result<()> {
    let into = Operand::new(x)?;
    if !into.is(x) {
        bail!("add_assign: expected a dense tensor, got strides {:?}", x.stride())
    }
    let y = Operand::ordered(y, into.order)?;
    sum(&into, &y, into.address)
}

/// `x + y`, lying as `x` does.
pub(crate) fn add(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    let x = Operand::new(x)?;
    let y = Operand::ordered(y, x.order)?;
    let out = Output::like(&x, x.dims())?;
    sum(&x, &y, out.address)?;
    Ok(out.tensor())
}

fn sum(x: &Operand, y: &Operand, out: u64) -> Result<()> {
    Launch::new(&x.device, &BUFFER, typed!(x.dtype(), "add")?)?
        .arg(x.address)
        .arg(y.address)
        .arg(out)
        .size(x.len())?
        .threads(x.len().div_ceil(x.pack()))
}

/// Sets `flag` if an element of `x` is not finite.
pub(crate) fn mark_non_finite(x: &Tensor, flag: &Tensor) -> Result<()> {
    let x = Operand::new(x)?;
    Launch::new(&x.device, &BUFFER, typed!(x.dtype(), "mark_non_finite")?)?
        .arg(x.address)
        .size(x.len())?
        .arg(accumulator(flag, DType::U32)?)
        .threads(x.len().div_ceil(x.pack()))
}

/// Words of one launch, as `buffer.cu` has it.
const WORDS: usize = 8;

pub(crate) fn write_words(to: &Tensor, words: &[u64]) -> Result<()> {
    let (device, address) = (device(to)?, accumulator(to, DType::F64)?);
    for (i, part) in words.chunks(WORDS).enumerate() {
        let launch = Launch::new(&device, &BUFFER, "write_words")?
            .arg(address + (i * WORDS * size_of::<u64>()) as u64)
            .size(part.len())?;
        let word = |i: usize| Arg::U64(part.get(i).copied().unwrap_or(0));
        (0..WORDS).fold(launch, |launch, i| launch.arg(word(i))).grid((1, 1), 32)?;
    }
    Ok(())
}

/// The place of an exchanged image is not checked: the choices are known on the device alone.
pub(crate) fn exchange(images: &Tensor, store: &Tensor, choices: &Tensor) -> Result<Tensor> {
    let images = Operand::ordered(images, MemoryFormat::Nchw)?;
    let out = Output::like(&images, images.dims())?;
    let [n, c, h, w] = images.dims4()?;
    Launch::new(&images.device, &BUFFER, typed!(images.dtype(), "exchange")?)?
        .arg(images.address)
        .arg(accumulator(store, images.dtype())?)
        .arg(out.address)
        .size(n)?
        .size(c * h * w)?
        .arg(accumulator(choices, DType::F64)?)
        .threads(c * h * w)?;
    Ok(out.tensor())
}

/// Waits for the answer.
pub(crate) fn all_finite(x: &Tensor) -> Result<bool> {
    let flag = Output::new(&device(x)?, DType::U32, &[1], MemoryFormat::Nchw)?.tensor();
    zero(&flag)?;
    mark_non_finite(x, &flag)?;
    Ok(flag.to_vec1::<u32>()? == [0])
}
