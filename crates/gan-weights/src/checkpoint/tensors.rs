//! The tensor files of a checkpoint.

use std::path::Path;

use candle_core::DType;

use super::{Error, Result};
use crate::safetensors::Contents;
use crate::{StateDict, first_non_finite};

/// Element types of the tensors of a checkpoint.
pub const ELEMENT_TYPES: [DType; 5] = [DType::U8, DType::U32, DType::I64, DType::F32, DType::F64];

/// Reads `bytes`, the whole safetensors file at `path`: tensors on the CPU, in the order of its header. Unlike
/// [`read_any`](crate::read_any) it refuses values that are not finite, as none are written into a checkpoint.
///
/// # Errors
/// [`Error::Damaged`], naming `path` and the tensor.
pub fn read_tensors(path: &Path, bytes: &[u8]) -> Result<StateDict> {
    let damaged = |reason: String| Error::damaged(path, reason);
    let file = Contents::parse(bytes).map_err(|e| damaged(format!("it is not a safetensors file ({e})")))?;
    file.names()
        .map(|name| {
            let bad = |e: candle_core::Error| damaged(format!("tensor `{name}`: {e}"));
            let tensor = file.tensor(name).map_err(bad)?;
            if !ELEMENT_TYPES.contains(&tensor.dtype()) {
                return Err(damaged(format!("tensor `{name}` has the element type {:?}", tensor.dtype())));
            }
            match first_non_finite(&tensor).map_err(bad)? {
                Some((index, value)) => Err(damaged(format!("tensor `{name}` holds {value} at element {index}"))),
                None => Ok((name.to_owned(), tensor)),
            }
        })
        .collect()
}
