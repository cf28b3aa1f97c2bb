//! Reading a weight file of any format.

use std::path::Path;

use crate::file::read_file;
use crate::{Error, Loaded, Origin, Result, pth, safetensors};

/// Reads the weight file at `path`, whichever of the formats it has; the name does not matter.
///
/// # Errors
/// [`Error::Io`] where it cannot be read, [`Error::BadWeights`] or [`Error::ForbiddenImport`] where it is damaged,
/// hostile or of another format. See [`pth::read`].
pub fn read_any(path: impl AsRef<Path>) -> Result<Loaded> {
    let path = path.as_ref();
    let file = read_file(path)?;
    let origin = Origin::from(path);
    if safetensors::is_safetensors(&file) {
        safetensors::read_bytes_of(&file, origin)
    } else {
        pth::read_bytes_of(&file, None, origin)
    }
}

/// Reads the state dict at `entry` of the `.pth` file at `path`: `"netD"`, or `"models.generator"` for a dict in a
/// dict. For files with several state dicts.
///
/// # Errors
/// As [`read_any`]; where there is no state dict at `entry`, the message lists those that there are.
pub fn read_entry(path: impl AsRef<Path>, entry: &str) -> Result<Loaded> {
    let path = path.as_ref();
    let file = read_file(path)?;
    if safetensors::is_safetensors(&file) {
        return Err(Error::BadWeights {
            origin: Origin::from(path),
            reason: "a safetensors file holds one state dict, which has no name".into(),
            remedy: "leave the entry out",
        });
    }
    pth::read_bytes_of(&file, Some(entry), Origin::from(path))
}
