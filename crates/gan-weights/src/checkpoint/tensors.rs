//! The tensor files of a checkpoint.

use std::io::Read;
use std::path::Path;

use candle_core::DType;

use super::{Error, Result};
use crate::raw::Built;
use crate::safetensors::{Failure, Listing};
use crate::{StateDict, first_non_finite};

/// Element types of the tensors of a checkpoint.
pub const ELEMENT_TYPES: [DType; 5] = [DType::U8, DType::U32, DType::I64, DType::F32, DType::F64];

/// Reads `bytes`, the whole safetensors file at `path`: tensors on the CPU, in the order of its header. Unlike
/// [`read_any`](crate::read_any) it refuses values that are not finite, as none are written into a checkpoint.
///
/// # Errors
/// [`Error::Damaged`], naming `path` and the tensor.
pub fn read_tensors(path: &Path, bytes: &[u8]) -> Result<StateDict> {
    read_from(path, &mut &*bytes, bytes.len())
}

/// [`read_tensors`] of the next `length` bytes of `file`.
pub(super) fn read_from(path: &Path, file: &mut dyn Read, length: usize) -> Result<StateDict> {
    let damaged = |reason: String| Error::damaged(path, reason);
    let failed = |failure| match failure {
        Failure::Io(error) => Error::io("read", path, error),
        Failure::Malformed(malformed) => damaged(format!("it is not a safetensors file ({malformed})")),
        Failure::Tensor(name, error) => damaged(format!("tensor `{name}`: {error}")),
    };
    let listing = Listing::read(file, length).map_err(failed)?;
    let tensors = listing.tensors(file).map_err(failed)?.into_iter();
    tensors
        .map(|(name, built)| {
            let tensor = match built {
                Built::Tensor(tensor) => tensor,
                Built::Raw(raw) => {
                    return Err(damaged(format!("tensor `{name}` has the element type {}", raw.element().name())));
                }
            };
            if !ELEMENT_TYPES.contains(&tensor.dtype()) {
                return Err(damaged(format!("tensor `{name}` has the element type {:?}", tensor.dtype())));
            }
            match first_non_finite(&tensor).map_err(|e| damaged(format!("tensor `{name}`: {e}")))? {
                Some((index, value)) => Err(damaged(format!("tensor `{name}` holds {value} at element {index}"))),
                None => Ok((name, tensor)),
            }
        })
        .collect()
}
