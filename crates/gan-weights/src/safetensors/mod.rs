//! safetensors files: a JSON header that lists the tensors, then their elements.

use std::io;

use crate::source::Source;

mod contents;
mod elements;
#[cfg(test)]
mod tests;
mod write;

pub use contents::{Contents, Malformed};
pub(crate) use contents::{Failure, Listing, read_of};
pub use write::{Header, HeaderError, write, write_elements};

/// The key of the header that is not a tensor.
const METADATA: &str = "__metadata__";

/// Bytes of the header's length, and the multiple the header is padded to.
const LENGTH: usize = 8;

/// Whether `file` starts like a safetensors file: a plausible length and a JSON object. No `.pth` file does.
pub(crate) fn is_safetensors(file: &Source<'_>) -> io::Result<bool> {
    Ok(matches!(*file.head(LENGTH + 1)?, [.., 0, b'{'] if file.len() > LENGTH))
}
