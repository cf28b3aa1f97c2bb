//! safetensors files: a JSON header that lists the tensors, then their elements.

mod contents;
#[cfg(test)]
mod tests;
mod write;

pub(crate) use contents::read_bytes_of;
pub use contents::{Contents, Malformed};
pub use write::{Header, HeaderError, write, write_elements};

/// The key of the header that is not a tensor.
const METADATA: &str = "__metadata__";

/// Bytes of the header's length, and the multiple the header is padded to.
const LENGTH: usize = 8;

/// Whether `file` starts like a safetensors file: a plausible length and a JSON object. No `.pth` file does.
pub(crate) fn is_safetensors(file: &[u8]) -> bool {
    file.get(LENGTH) == Some(&b'{') && file[LENGTH - 1] == 0
}
