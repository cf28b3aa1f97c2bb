//! The bytes of a weight file, and what is made of them.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use gan_fs::{Durability, ReplaceError};

use crate::source::Source;
use crate::{Error, Result, StateDict};

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

/// What `read` makes of the file at `path`, which nobody may write to meanwhile.
pub(crate) fn read_file<T>(path: &Path, read: impl FnOnce(&Source<'_>) -> Result<T>) -> Result<T> {
    let source = Source::open(path).map_err(|error| Error::unreadable(path, error))?;
    let result = read(&source);
    // Whatever is wrong with such a file, this is why.
    source.check_unchanged().map_err(|error| Error::unreadable(path, error))?;
    result
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
    fn what_changes_while_it_is_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (file, other) = (folder.path().join("file"), folder.path().join("other"));
        let read = |change: &dyn Fn()| {
            fs::write(&file, [7; 10]).unwrap();
            read_file(&file, |source| {
                change();
                source.read(0..10).map(|bytes| bytes.into_owned()).map_err(|error| Error::unreadable(&file, error))
            })
        };
        for content in [&[7; 5][..], &[8; 11]] {
            let error = read(&|| fs::write(&file, content).unwrap()).unwrap_err().to_string();
            assert!(error.contains("it was written to while it was read; try again"), "{error}");
        }
        // Another file of that name is another file.
        let replace = || {
            fs::write(&other, [8; 10]).unwrap();
            fs::rename(&other, &file).unwrap();
        };
        assert_eq!(read(&replace).unwrap(), [7; 10]);
    }

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
