//! Which element of a tensor is not a finite number.
use crate::real::{Real, by_dtype};
use crate::storage::slices;
use crate::{adam::all_finite, storage::plain};
use candle_core::{DType, Device, Result, Tensor};

/// The first NaN or infinity of `x`, of any shape and element type: its position in the flattened tensor, and its value.
/// `None` where all elements are finite, as those of integer tensors always are.
///
/// # Errors
/// An element type that candle cannot convert to F32, or a device that fails. On CUDA this waits for the device.
pub fn first_non_finite(x: &Tensor) -> Result<Option<(usize, f64)>> {
    if x.dtype().is_int() {
        return Ok(None);
    }
    let x = match x.dtype() {
        DType::F32 | DType::F64 => x.clone(),
        _ => x.to_device(&Device::Cpu)?.to_dtype(DType::F32)?,
    };
    if all_finite(&x)? {
        return Ok(None);
    }
    let x = plain(&x.to_device(&Device::Cpu)?)?;
    by_dtype!(x, T => {
        slices!(T; xs = x);
        Ok(xs.iter().position(|x| !x.is_finite()).map(|at| (at, xs[at].f64())))
    })
}
