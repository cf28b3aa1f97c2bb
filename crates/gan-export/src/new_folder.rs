//! A folder that appears at once and whole.

use crate::{Error, Result};
use std::fs;
use std::path::{Path, PathBuf};

/// Lets `fill` write into a temporary folder, which then becomes `folder`. What is there already is left alone, but for an empty folder.
///
/// # Errors
/// [`Error::Folder`] if there is something at `folder`, [`Error::Io`] where the disk refuses, and what `fill` returns.
pub(crate) fn write(folder: &Path, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    if folder.symlink_metadata().is_ok() && !is_empty(folder) {
        return Err(Error::Folder { path: folder.to_owned(), reason: "exists: name a folder that does not" });
    }
    let parent = gan_fs::parent(folder);
    fs::create_dir_all(parent).map_err(|source| Error::io("create", parent, source))?;
    let temporary = Temporary::beside(folder)?;
    fill(&temporary.0)?;
    // An empty folder gives way; not every system lets it.
    if folder.is_dir() {
        fs::remove_dir(folder).map_err(|source| Error::io("replace", folder, source))?;
    }
    fs::rename(&temporary.0, folder).map_err(|source| Error::io("create", folder, source))?;
    gan_fs::sync_folder(parent).map_err(|source| Error::io("create", parent, source))
}

fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none())
}

/// A folder that is removed when dropped, unless it has another name by then.
struct Temporary(PathBuf);

impl Temporary {
    fn beside(folder: &Path) -> Result<Self> {
        let path = gan_fs::temporary_beside(folder);
        fs::create_dir(&path).map_err(|source| Error::io("create", &path, source))?;
        Ok(Temporary(path))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // After renaming there is nothing left to remove.
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_folder_appears_whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let names = || fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>();
        let folder = dir.path().join("folder");
        let put =
            |place: &Path| fs::write(place.join("file"), "text").map_err(|source| Error::io("create", place, source));
        let stopped = write(&folder, |place| {
            put(place)?;
            Err(Error::NoPreprocessing { reason: "in the middle" })
        });
        assert!(stopped.is_err() && names().is_empty(), "{:?}", names());
        // An empty folder gives way.
        fs::create_dir(&folder).unwrap();
        write(&folder, put).unwrap();
        assert_eq!(fs::read_to_string(folder.join("file")).unwrap(), "text");
        let refused = write(&folder, |_| panic!("nothing is written over what is there"));
        assert!(matches!(refused, Err(Error::Folder { .. })));
        assert_eq!(names(), ["folder"]);
    }
}
