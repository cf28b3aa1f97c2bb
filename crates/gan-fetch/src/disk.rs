//! What the disk has room for, and what makes written folders outlast a power cut.

use std::fs::File;
use std::io;
use std::path::Path;

use crate::error::{Error, Result};

/// Refuses to begin what the disk of `folder` has no room for. Where the system does not say how much is free, it passes.
///
/// # Errors
/// [`Error::NoRoom`] when fewer than `bytes` are free.
pub(crate) fn require_room(folder: &Path, bytes: u64) -> Result<()> {
    match free(folder) {
        Some(free) if bytes > free => Err(Error::NoRoom { folder: folder.to_path_buf(), needed: bytes, free }),
        _ => Ok(()),
    }
}

/// Bytes that this user may still write.
#[cfg(unix)]
fn free(folder: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(folder).ok()?;
    Some(disk.f_bavail.saturating_mul(disk.f_frsize))
}

#[cfg(not(unix))]
fn free(_: &Path) -> Option<u64> {
    None
}

/// Flushes every file and folder below `folder`, and the folder.
///
/// # Errors
/// When the disk refuses.
pub(crate) fn sync_tree(folder: &Path) -> io::Result<()> {
    // One call for the whole file system: a call for each of 100,000 files takes minutes.
    #[cfg(target_os = "linux")]
    return Ok(rustix::fs::syncfs(File::open(folder)?)?);
    #[cfg(not(target_os = "linux"))]
    {
        for child in std::fs::read_dir(folder)? {
            let child = child?;
            if child.file_type()?.is_dir() {
                sync_tree(&child.path())?;
            } else {
                std::fs::OpenOptions::new().append(true).open(child.path())?.sync_all()?;
            }
        }
        gan_fs::sync_folder(folder)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::fs;

    #[cfg(unix)]
    #[test]
    fn room() {
        let dir = tempfile::tempdir().unwrap();
        require_room(dir.path(), 1).unwrap();
        let error = require_room(dir.path(), u64::MAX).unwrap_err();
        assert!(error.is_disk_full() && error.to_string().contains("its disk has"), "{error}");
        require_room(&dir.path().join("none"), u64::MAX).unwrap();
    }

    #[test]
    fn trees_are_flushed() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("a/b")).unwrap();
        fs::write(dir.path().join("a/b/c"), "x").unwrap();
        sync_tree(dir.path()).unwrap();
        assert!(sync_tree(&dir.path().join("none")).is_err());
    }
}
