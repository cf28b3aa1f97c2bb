//! Sums, element types, and operations on whole buffers.
use crate::cpu::elementwise as kernel;
use crate::cpu::real::{Real, by_dtype};
use crate::dispatch::{isa, on_cuda};
use crate::ops::storage::{apart, plain, same_shape, slices, tensor, update};
use candle_core::{DType, Result, Tensor};
use rayon::prelude::*;

/// `x + y`, equal shapes; lies in memory as `x` does.
///
/// # Errors
/// The tensors differ in shape or element type.
pub fn add(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    same_shape("add", x, y)?;
    on_cuda!(x, buffer::add(x, y));
    // candle's threads spin between its operators, beside those that compute here.
    let (x, y, isa) = (plain(x)?, plain(y)?, isa());
    by_dtype!(x, T => {
        slices!(T; xs = x, ys = y);
        let mut sum = xs.to_vec();
        let chunk = kernel::CHUNK;
        sum.par_chunks_mut(chunk).zip(ys.par_chunks(chunk)).for_each(|(sum, y)| kernel::add(isa, sum, y));
        tensor(sum, x.shape())
    })
}

/// `x` as another element type. On CUDA, BF16 images `[N, C, H, W]` come with their channels last in memory, F32 ones
/// row-major; both changes are one pass.
///
/// # Errors
/// There is no conversion from the type of `x` to `dtype` on its device.
pub fn convert(x: &Tensor, dtype: DType) -> Result<Tensor> {
    on_cuda!(x, layout::convert(x, dtype));
    x.detach().to_dtype(dtype)
}

/// `x ← 0` in place. On CUDA also of flags (see [`mark_non_finite`](crate::optim::mark_non_finite)).
///
/// # Errors
/// `x` has an unsupported element type or is not contiguous.
pub fn zero(x: &Tensor) -> Result<()> {
    on_cuda!(x, buffer::zero(x));
    by_dtype!(x, T => update(x, |x: &mut [T]| {
        x.par_chunks_mut(kernel::CHUNK).for_each(|x| x.fill(0.0));
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
            let chunk = kernel::CHUNK;
            x.par_chunks_mut(chunk)
                .zip(ys.par_chunks(chunk))
                .for_each(|(x, y)| kernel::add(isa, x, y));
            Ok(())
        })
    })
}

/// `x ← factor · x` in place, on the CPU; tells whether every result is finite.
///
/// # Errors
/// `x` has an unsupported element type, is not contiguous or is not on the CPU.
pub fn scale(x: &Tensor, factor: f64) -> Result<bool> {
    let isa = isa();
    by_dtype!(x, T => update(x, |x: &mut [T]| {
        let factor = T::of(factor);
        let parts = x.par_chunks_mut(kernel::CHUNK).map(|x| kernel::scale(isa, x, factor));
        Ok(parts.reduce(|| true, |a, b| a & b))
    }))
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
        Ok(xs.par_chunks(kernel::CHUNK).all(|x| kernel::finite(isa, x)))
    })
}
