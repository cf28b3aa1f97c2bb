//! The bytes of a weight file, and what is made of them.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use gan_fs::{Durability, ReplaceError};

use crate::{Error, Result, StateDict, limits};

/// A state dict as it came from a file.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Loaded {
    /// The tensors.
    pub state: StateDict,
    /// What kind of file it was.
    pub format: Format,
    /// What the user should know: where the state dict was found, what was ignored.
    pub notes: Vec<String>,
}

/// A kind of weight file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// `torch.save` of PyTorch 1.6 and later.
    PthZip,
    /// `torch.save` of PyTorch before 1.6.
    PthLegacy,
    /// safetensors.
    Safetensors,
}

/// The bytes of the regular file at `path`, at most [`limits::MAX_FILE`].
pub(crate) fn read_file(path: &Path) -> Result<Vec<u8>> {
    gan_fs::read_regular(path, limits::MAX_FILE).map_err(|source| {
        let remedy = gan_fs::remedy(&source).unwrap_or(match source.kind() {
            io::ErrorKind::IsADirectory => "name the weight file in it",
            io::ErrorKind::FileTooLarge => "give a file of weights alone",
            _ => "check the path and its permissions",
        });
        Error::Io { path: path.to_owned(), action: "read", source, remedy }
    })
}

/// Creates or replaces the file at `path` by what `fill` writes; whatever fails, the old file or the new one is there. A
/// symbolic link is followed, so that it goes on pointing at the file.
pub(crate) fn write_file(path: &Path, fill: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<()> {
    // Fails where there is no file yet.
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    gan_fs::replace(&target, Durability::Flushed, fill).map_err(|ReplaceError { action, path, source }| {
        let remedy = gan_fs::remedy(&source).unwrap_or(match source.kind() {
            io::ErrorKind::InvalidInput | io::ErrorKind::IsADirectory => "give a file name",
            _ => "check the permissions and the space of its folder",
        });
        Error::Io { path, action, source, remedy }
    })
}

#[cfg(all(test, unix))]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_symbolic_link_stays_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        fs::write(&file, "old").unwrap();
        std::os::unix::fs::symlink("file", &link).unwrap();
        write_file(&link, |out| out.write_all(b"new")).unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"new");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    }
}
