//! Hashes of files and weights.

use crate::{Error, Result};
use gan_weights::StateDict;
use gan_weights::safetensors::write_elements;
use sha2::{Digest, Sha256};
use std::io::{self, Read, Write};
use std::path::Path;

/// A hash that is written into.
struct Hash(Sha256);

impl Write for Hash {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Hash {
    fn new() -> Self {
        Hash(Sha256::new())
    }

    fn text(self) -> String {
        self.0.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// SHA-256 of names, element types, shapes and elements of all tensors, in order: the same whatever file they come from.
pub(crate) fn digest_of(state: &StateDict) -> Result<String> {
    let mut hash = Hash::new();
    let mut write = || -> io::Result<()> {
        for (name, tensor) in state.iter() {
            writeln!(hash, "{name} {} {:?}", tensor.dtype().as_str(), tensor.dims())?;
            write_elements(&mut hash, tensor)?;
        }
        Ok(())
    };
    write().map_err(|error| Error::Tensor(candle_core::Error::wrap(error)))?;
    Ok(hash.text())
}

/// SHA-256 of a regular file.
///
/// # Errors
/// What the system answers.
pub(crate) fn digest_of_file(path: &Path) -> io::Result<String> {
    let ((mut file, _), mut hash, mut piece) = (gan_fs::open_regular(path)?, Hash::new(), vec![0; 1 << 20]);
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(hash.text()),
            n => hash.0.update(&piece[..n]),
        }
    }
}
