//! Tensors of F32 on the CPU as the bytes that they are, for who keeps them in files.
#![allow(unsafe_code)]
use crate::cpu::elementwise::for_overwrite;
use crate::ops::storage::{plain, slices, tensor};
use candle_core::{Result, Shape, Tensor};

/// Calls `f` with the bytes of a tensor of F32, in the machine's order.
///
/// # Errors
/// It is not F32 on the CPU.
pub fn with_bytes<R>(t: &Tensor, f: impl FnOnce(&[u8]) -> R) -> Result<R> {
    let t = plain(t)?;
    slices!(f32; values = t);
    // SAFETY: every byte of a float may be read, and the slice lives as long as its tensor.
    Ok(f(unsafe { std::slice::from_raw_parts(values.as_ptr().cast(), size_of_val(values)) }))
}

/// The tensor whose bytes `fill` writes, all of them, in the machine's order.
///
/// # Errors
/// Those of `fill`.
pub fn from_bytes<E: Into<candle_core::Error>>(
    shape: impl Into<Shape>,
    fill: impl FnOnce(&mut [u8]) -> std::result::Result<(), E>,
) -> Result<Tensor> {
    let shape = shape.into();
    let mut values = for_overwrite::<f32>(shape.elem_count());
    // SAFETY: all bytes of the values, each of which may be any byte: every bit pattern is a float.
    fill(unsafe { std::slice::from_raw_parts_mut(values.as_mut_ptr().cast(), size_of_val(&values[..])) })
        .map_err(Into::into)?;
    tensor(values, shape)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use candle_core::{DType, Device};

    #[test]
    fn there_and_back() {
        let values = [1.5f32, f32::MIN_POSITIVE / 2.0, -0.0, f32::INFINITY, 7.0, 8.0];
        let t = Tensor::new(&values, &Device::Cpu).unwrap().reshape((2, 3)).unwrap();
        let bytes = with_bytes(&t.narrow(1, 1, 2).unwrap(), <[u8]>::to_vec).unwrap();
        let back = from_bytes((2, 2), |to| {
            to.copy_from_slice(&bytes);
            Ok::<(), std::io::Error>(())
        });
        let bits = |t: &Tensor| {
            t.flatten_all().unwrap().to_vec1::<f32>().unwrap().iter().map(|v| v.to_bits()).collect::<Vec<_>>()
        };
        assert_eq!(bits(&back.unwrap()), bits(&t.narrow(1, 1, 2).unwrap()));
        assert!(with_bytes(&t.to_dtype(DType::F64).unwrap(), |_| ()).is_err());
        assert!(from_bytes(4, |_| Err(std::io::Error::other("no disk"))).unwrap_err().to_string().contains("no disk"));
    }
}
