//! Which element of a tensor is no finite number.

use candle_core::{CpuStorage, DType, Device, Result, Storage, Tensor, WithDType};

/// Elements that are looked at together: without a branch for each, the check keeps up with memory.
const CHUNK: usize = 4096;

/// The first NaN or infinity of `x`, of any shape and element type: its position in the flattened tensor, and its value.
/// `None` where all elements are finite, as those of integer tensors always are.
///
/// # Errors
/// An element type that candle cannot convert to F32, or a device that fails.
pub fn first_non_finite(x: &Tensor) -> Result<Option<(usize, f64)>> {
    if x.dtype().is_int() {
        return Ok(None);
    }
    let x = x.to_device(&Device::Cpu)?;
    let x = if x.dtype() == DType::F64 { x } else { x.to_dtype(DType::F32)? }.contiguous()?;
    let (storage, layout) = x.storage_and_layout();
    match (&*storage, layout.contiguous_offsets()) {
        (Storage::Cpu(CpuStorage::F32(x)), Some((start, end))) => Ok(first(&x[start..end], f32::is_finite)),
        (Storage::Cpu(CpuStorage::F64(x)), Some((start, end))) => Ok(first(&x[start..end], f64::is_finite)),
        _ => candle_core::bail!("{:?} is not contiguous in host memory", x.shape()),
    }
}

fn first<T: WithDType>(x: &[T], is_finite: impl Fn(T) -> bool) -> Option<(usize, f64)> {
    let chunk = x.chunks(CHUNK).position(|chunk| !chunk.iter().fold(true, |all, &x| all & is_finite(x)))?;
    let at = chunk * CHUNK + x[chunk * CHUNK..].iter().position(|&x| !is_finite(x))?;
    Some((at, x[at].to_f64()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_first_element_that_is_no_number_is_named() {
        const LONG: usize = 3 * CHUNK + 5;
        for dtype in [DType::F64, DType::F32, DType::F16, DType::BF16] {
            let mut input = vec![1.0; LONG];
            let of = |input: &[f64]| Tensor::new(input, &Device::Cpu).unwrap().to_dtype(dtype).unwrap();
            assert_eq!(first_non_finite(&of(&input)).unwrap(), None);
            for at in [LONG - 1, 2 * CHUNK, CHUNK - 1] {
                input[at] = f64::NAN;
                let found = first_non_finite(&of(&input)).unwrap().unwrap();
                assert!(found.0 == at && found.1.is_nan(), "{dtype:?}: {found:?}");
            }
            input[7] = f64::NEG_INFINITY;
            assert_eq!(first_non_finite(&of(&input)).unwrap(), Some((7, f64::NEG_INFINITY)));
            // Positions are those of the view.
            let part = of(&input).narrow(0, 5, 10).unwrap();
            assert_eq!(first_non_finite(&part).unwrap(), Some((2, f64::NEG_INFINITY)));
            let turned = of(&input[..12]).reshape((3, 4)).unwrap().t().unwrap();
            assert_eq!(first_non_finite(&turned).unwrap(), Some((10, f64::NEG_INFINITY)));
        }
        let integers = Tensor::new(&[i64::MAX, 0], &Device::Cpu).unwrap();
        assert_eq!(first_non_finite(&integers).unwrap(), None);
        assert_eq!(first_non_finite(&Tensor::zeros((0, 3), DType::F32, &Device::Cpu).unwrap()).unwrap(), None);
    }
}
