//! Named tensors to safetensors, streamed.
//!
//! The keys are bare state-dict keys, so that the files load in PyTorch and candle. Wide element types come first
//! (the data of each tensor is then aligned); within a type the given order is kept.

use std::collections::HashSet;
use std::io::{self, Write};
use std::path::Path;

use candle_core::{CpuStorage, DType, Device, Storage as TensorStorage, Tensor};

use super::NamedTensors;
use crate::{Error, Result};

/// Largest header that is written, well below what is read: about 100 bytes a tensor, so some 80 000 tensors.
const MAX_HEADER: u64 = 8 << 20;

/// Elements that are converted to bytes at a time.
const CHUNK: usize = 1 << 16;

fn unsavable(reason: String) -> Error {
    Error::Unsavable { reason }
}

fn dtype_name(dtype: DType) -> Option<&'static str> {
    Some(match dtype {
        DType::U8 => "U8",
        DType::U32 => "U32",
        DType::I64 => "I64",
        DType::F32 => "F32",
        DType::F64 => "F64",
        _ => return None,
    })
}

/// The header, padded to 8 bytes, without its length.
fn header(file: &str, tensors: &[&(String, Tensor)]) -> Result<Vec<u8>> {
    let mut header = String::from("{\"__metadata__\":{\"format\":\"pt\"}");
    let mut names = HashSet::new();
    let mut offset = 0usize;
    for (name, tensor) in tensors {
        if !names.insert(name) || name == "__metadata__" {
            return Err(unsavable(format!("the name `{name}` occurs twice in {file}, or is reserved")));
        }
        let Some(dtype) = dtype_name(tensor.dtype()) else {
            return Err(unsavable(format!("tensor `{name}` of {file} has the element type {:?}", tensor.dtype())));
        };
        let end = offset + tensor.elem_count() * tensor.dtype().size_in_bytes();
        let key = serde_json::Value::from(name.as_str());
        header.push_str(&format!(
            ",{key}:{{\"dtype\":\"{dtype}\",\"shape\":{:?},\"data_offsets\":[{offset},{end}]}}",
            tensor.dims()
        ));
        offset = end;
    }
    header.push('}');
    while header.len() % 8 != 0 {
        header.push(' ');
    }
    if header.len() as u64 > MAX_HEADER {
        return Err(unsavable(format!("the names of {file} take {} bytes, more than {MAX_HEADER}", header.len())));
    }
    Ok(header.into_bytes())
}

/// Why writing stopped.
enum Stop {
    Io(io::Error),
    NonFinite { index: usize, value: f64 },
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Stop::Io(error)
    }
}

fn stream<T: Copy, const N: usize>(
    out: &mut dyn Write,
    data: &[T],
    bytes: impl Fn(T) -> [u8; N],
    bad: impl Fn(T) -> Option<f64>,
) -> Result<(), Stop> {
    let mut buffer = Vec::with_capacity(CHUNK.min(data.len()) * N);
    for (chunk_index, chunk) in data.chunks(CHUNK).enumerate() {
        buffer.clear();
        for (i, &x) in chunk.iter().enumerate() {
            if let Some(value) = bad(x) {
                return Err(Stop::NonFinite { index: chunk_index * CHUNK + i, value });
            }
            buffer.extend_from_slice(&bytes(x));
        }
        out.write_all(&buffer)?;
    }
    Ok(())
}

fn write_tensor(out: &mut dyn Write, data: &CpuStorage, start: usize, end: usize) -> Result<(), Stop> {
    match data {
        CpuStorage::U8(x) => stream(out, &x[start..end], |x| [x], |_| None),
        CpuStorage::U32(x) => stream(out, &x[start..end], u32::to_le_bytes, |_| None),
        CpuStorage::I64(x) => stream(out, &x[start..end], i64::to_le_bytes, |_| None),
        CpuStorage::F32(x) => {
            stream(out, &x[start..end], f32::to_le_bytes, |x| (!x.is_finite()).then_some(f64::from(x)))
        }
        CpuStorage::F64(x) => stream(out, &x[start..end], f64::to_le_bytes, |x| (!x.is_finite()).then_some(x)),
        _ => Err(Stop::Io(io::ErrorKind::Unsupported.into())),
    }
}

/// Writes the file `file` to `out`, which stands for `path` in messages.
pub(crate) fn write(out: &mut dyn Write, path: &Path, file: &str, tensors: &NamedTensors) -> Result<()> {
    let mut ordered: Vec<_> = tensors.iter().collect();
    ordered.sort_by_key(|(_, tensor)| std::cmp::Reverse(tensor.dtype().size_in_bytes()));
    let header = header(file, &ordered)?;
    let io = |e| Error::io("write", path, e);
    out.write_all(&(header.len() as u64).to_le_bytes()).map_err(io)?;
    out.write_all(&header).map_err(io)?;
    for (name, tensor) in ordered {
        // One tensor at a time: the copy from a GPU, or of a transposed view, is dropped before the next is made.
        let tensor = tensor.to_device(&Device::Cpu)?.contiguous()?;
        let (data, layout) = tensor.storage_and_layout();
        let (TensorStorage::Cpu(data), Some((start, end))) = (&*data, layout.contiguous_offsets()) else {
            return Err(unsavable(format!("tensor `{name}` of {file} is not a plain tensor")));
        };
        write_tensor(out, data, start, end).map_err(|stop| match stop {
            Stop::Io(e) => io(e),
            Stop::NonFinite { index, value } => {
                Error::NonFinite { file: file.to_owned(), tensor: name.clone(), index, value }
            }
        })?;
    }
    Ok(())
}
