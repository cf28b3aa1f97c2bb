//! The tensor files of a checkpoint, streamed.
//!
//! The keys are bare state-dict keys, so that the files load in PyTorch and candle.

use std::io::Write;
use std::path::Path;

use candle_core::{Device, Tensor};
use gan_weights::checkpoint::ELEMENT_TYPES;
use gan_weights::first_non_finite;
use gan_weights::safetensors::{Header, write_elements};

use crate::{Error, Result};

/// Writes the file `file` to `out`, which stands for `path` in messages. The header lists wide element types first.
pub(crate) fn write(out: &mut dyn Write, path: &Path, file: &str, tensors: &[(String, Tensor)]) -> Result<()> {
    let unsavable = |reason: String| Error::Unsavable { reason: format!("{file}: {reason}") };
    if let Some((name, tensor)) = tensors.iter().find(|(_, tensor)| !ELEMENT_TYPES.contains(&tensor.dtype())) {
        return Err(unsavable(format!("tensor `{name}` has the element type {:?}", tensor.dtype())));
    }
    let mut ordered = tensors.to_vec();
    ordered.sort_by_key(|(_, tensor)| std::cmp::Reverse(tensor.dtype().size_in_bytes()));
    let header = Header::of(&ordered, &[("format", "pt")]).map_err(|error| unsavable(error.reason))?;
    let io = |e| Error::io("write", path, e);
    out.write_all(&header.bytes).map_err(io)?;
    for (name, tensor) in ordered {
        // One tensor at a time: the copy from a GPU, or of a transposed view, is dropped before the next is made.
        let tensor = tensor.to_device(&Device::Cpu)?.contiguous()?;
        if let Some((index, value)) = first_non_finite(&tensor)? {
            return Err(Error::NonFinite { file: file.to_owned(), tensor: name, index, value });
        }
        write_elements(out, &tensor).map_err(io)?;
    }
    Ok(())
}
