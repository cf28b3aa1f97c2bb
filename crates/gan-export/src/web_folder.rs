//! Writing the folder of a page that translates in the browser.

use crate::onnx::OnnxModel;
use crate::{Error, Result, new_folder};
use gan_fs::Durability;
use std::fs;
use std::path::Path;

/// Writes the model as `model.onnx` and the other files beside it, named by relative paths with `/`. The folder appears at once and whole: what
/// is there already is left alone.
///
/// # Errors
/// [`Error::Folder`] if there is something at `folder`; [`Error::Io`] and [`Error::Write`] where the disk refuses.
pub fn write_web_folder(folder: &Path, model: &OnnxModel, files: &[(&str, &[u8])]) -> Result<()> {
    new_folder::write(folder, |temporary| {
        gan_fs::replace(&temporary.join(WEB_MODEL), Durability::Flushed, |out| model.write_to(out))?;
        for (name, bytes) in files {
            let path = temporary.join(name);
            let place = gan_fs::parent(&path);
            fs::create_dir_all(place).map_err(|source| Error::io("create", place, source))?;
            gan_fs::replace(&path, Durability::Flushed, |out| out.write_all(bytes))?;
        }
        Ok(())
    })
}

/// Name of the model in a folder of [`write_web_folder`].
pub const WEB_MODEL: &str = "model.onnx";
