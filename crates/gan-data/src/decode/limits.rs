//! Opening files within limits: nothing is allocated before the header was checked.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Most bytes of pixels that one byte of a file may stand for: deflate reaches 1032, and one bit may be expanded to
/// three bytes.
pub(super) const MOST_EXPANSION: u64 = 32_768;

/// What an image may take. Hostile or broken headers are refused before anything is allocated for the pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DecodeLimits {
    /// Most pixels (width times height).
    pub max_pixels: u64,
    /// Most bytes for a file, and for its decoded pixels.
    pub max_bytes: u64,
    /// Longest side in pixels.
    pub max_side: u32,
}

impl Default for DecodeLimits {
    fn default() -> Self {
        Self { max_pixels: 64 << 20, max_bytes: 512 << 20, max_side: 65_535 }
    }
}

impl DecodeLimits {
    /// Refuses a header of `width` x `height` pixels that decode to `bytes`.
    pub(super) fn check(&self, path: &Path, width: u32, height: u32, bytes: u64) -> Result<()> {
        let pixels = u64::from(width) * u64::from(height);
        let limit = if width == 0 || height == 0 {
            return Err(Error::decode(path, format!("its header says {width}x{height}"), "replace the file"));
        } else if width > self.max_side || height > self.max_side {
            format!("the longest side allowed is {} pixels", self.max_side)
        } else if pixels > self.max_pixels {
            format!("at most {} megapixels are allowed", self.max_pixels >> 20)
        } else if bytes > self.max_bytes {
            format!("its pixels take {} MiB and {} MiB are allowed", bytes >> 20, self.max_bytes >> 20)
        } else {
            return Ok(());
        };
        Err(Error::TooLarge { path: path.to_path_buf(), width, height, limit })
    }

    /// Refuses a header that announces more than any compression could have put into the file: a damaged or hostile
    /// header must not cost the memory of a large image. `length` is the file's, in bytes.
    pub(super) fn check_ratio(&self, path: &Path, length: u64, bytes: u64, most: u64) -> Result<()> {
        if bytes / most <= length {
            return Ok(());
        }
        let reason = format!("its header announces {} MiB of pixels and the file has {length} bytes", bytes >> 20);
        Err(Error::decode(path, reason, "copy or download it again"))
    }

    /// Reads a whole file within the limits.
    pub(crate) fn read(&self, path: &Path) -> Result<Vec<u8>> {
        let (file, length) = self.open(path)?;
        let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
        // A file that grows meanwhile is cut off, and then fails to decode.
        file.take(self.max_bytes).read_to_end(&mut bytes).map_err(|e| Error::io("read", path, e))?;
        Ok(bytes)
    }

    /// Opens a regular file whose length, in bytes, is within the limits.
    pub(super) fn open(&self, path: &Path) -> Result<(File, u64)> {
        let (file, metadata) = gan_fs::open_regular(path).map_err(|error| match error.kind() {
            io::ErrorKind::IsADirectory | io::ErrorKind::InvalidInput => {
                Error::decode(path, error, "name an image file")
            }
            _ => Error::io("open", path, error),
        })?;
        if metadata.len() == 0 {
            return Err(Error::decode(path, "the file is empty", "copy or download it again"));
        }
        if metadata.len() > self.max_bytes {
            let reason = format!("the file has {} MiB and {} are allowed", metadata.len() >> 20, self.max_bytes >> 20);
            return Err(Error::decode(path, reason, "scale it down, or raise the decoding limits"));
        }
        Ok((file, metadata.len()))
    }
}
