//! From the elements of a safetensors file to a tensor.

use std::io::Read;

use candle_core::safetensors::Load;
use candle_core::{Device, Result, Tensor, WithDType};
use half::{bf16, f16};
use safetensors::Dtype;
use safetensors::tensor::{TensorInfo, TensorView};

use crate::raw::Built;
use crate::{ElementType, RawTensor};

/// Elements that are converted at a time, while their bytes are in the processor's cache.
const PIECE: usize = 1 << 15;

/// Reads the tensor that `info` describes, whose elements are the next bytes of `file`. Beside the tensor it takes a piece
/// of the file, or, for types that networks do not have, as much again.
pub(super) fn read(file: &mut dyn Read, info: &TensorInfo) -> Result<Built> {
    let shape = &info.shape;
    let tensor = match info.dtype {
        Dtype::U8 => decode(file, shape, u8::from_le_bytes),
        Dtype::U32 => decode(file, shape, u32::from_le_bytes),
        Dtype::I16 => decode(file, shape, i16::from_le_bytes),
        Dtype::I32 => decode(file, shape, i32::from_le_bytes),
        Dtype::I64 => decode(file, shape, i64::from_le_bytes),
        Dtype::BF16 => decode(file, shape, bf16::from_le_bytes),
        Dtype::F16 => decode(file, shape, f16::from_le_bytes),
        Dtype::F32 => decode(file, shape, f32::from_le_bytes),
        Dtype::F64 => decode(file, shape, f64::from_le_bytes),
        dtype => {
            let mut data = vec![0; info.data_offsets.1 - info.data_offsets.0];
            file.read_exact(&mut data)?;
            match ElementType::of_safetensors(dtype) {
                Some(element) => match RawTensor::new(element, shape.clone(), data) {
                    Some(raw) => return Ok(Built::Raw(raw)),
                    None => candle_core::bail!("its elements do not fill its shape"),
                },
                None => TensorView::new(dtype, shape.clone(), &data)?.load(&Device::Cpu),
            }
        }
    };
    tensor.map(Built::Tensor)
}

/// The tensor of the elements that `of` makes of `N` bytes each.
fn decode<T: WithDType, const N: usize>(
    file: &mut dyn Read,
    shape: &[usize],
    of: impl Fn([u8; N]) -> T,
) -> Result<Tensor> {
    let count = shape.iter().product();
    let mut elements = Vec::with_capacity(count);
    let mut piece = vec![[0; N]; PIECE.min(count)];
    while elements.len() < count {
        let piece = &mut piece[..PIECE.min(count - elements.len())];
        file.read_exact(piece.as_flattened_mut())?;
        elements.extend(piece.iter().map(|&bytes| of(bytes)));
    }
    Tensor::from_vec(elements, shape, &Device::Cpu)
}
