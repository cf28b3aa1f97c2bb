//! The file system as the trainer sees it: few operations, each of which can fail.
//!
//! Everything a run writes goes through [`Storage`], so that tests can make the N-th operation fail or pull the plug
//! between two of them. [`Disk`] is the real one. What is only read needs its supertrait [`Files`].

mod disk;
#[cfg(test)]
pub(crate) mod fault;
#[cfg(test)]
pub(crate) mod volatile;

use std::io::{self, Write};
use std::path::Path;

pub use gan_fs::Durability;
use gan_fs::{is_temporary, parent, temporary_beside};
pub use gan_weights::checkpoint::{Disk, Entry, Files, read_limited};

use crate::{Error, Result};

/// A file being written. Its content survives a power cut only after [`StorageFile::sync`].
pub trait StorageFile: Write + Send {
    /// Flushes the content to the device.
    ///
    /// # Errors
    /// What the system answers; the content may be lost then.
    fn sync(&mut self) -> io::Result<()>;
}

/// A file system that is also written. Creating, renaming and removing entries survive a power cut only after
/// [`sync_dir`](Storage::sync_dir) on the folder that holds them.
pub trait Storage: Files {
    /// Creates a folder and its missing parents; an existing one is fine.
    ///
    /// # Errors
    /// What the system answers, as where a file has the name.
    fn create_dir_all(&self, dir: &Path) -> io::Result<()>;
    /// Creates a file for writing, emptying an existing one.
    ///
    /// # Errors
    /// What the system answers; on [`Disk`] also where anything but a regular file has the name.
    fn create(&self, file: &Path) -> io::Result<Box<dyn StorageFile>>;
    /// Opens a file for appending, after cutting it to its first `length` bytes. A missing file is created if `length`
    /// is 0.
    ///
    /// # Errors
    /// [`UnexpectedEof`](io::ErrorKind::UnexpectedEof) if the file is shorter than `length`,
    /// [`NotFound`](io::ErrorKind::NotFound) if it is missing and `length` is not 0; otherwise as
    /// [`create`](Storage::create).
    fn append(&self, file: &Path, length: u64) -> io::Result<Box<dyn StorageFile>>;
    /// Renames a file over another, or a folder to a free name, atomically.
    ///
    /// # Errors
    /// What the system answers, as where `to` is a folder with entries or lies on another file system.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Makes the entries of a folder durable.
    ///
    /// # Errors
    /// What the system answers; the entries may be lost then.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// Removes a file.
    ///
    /// # Errors
    /// What the system answers, as where there is no such file.
    fn remove_file(&self, file: &Path) -> io::Result<()>;
    /// Removes a folder with everything in it.
    ///
    /// # Errors
    /// What the system answers; a part of the folder may be gone then.
    fn remove_dir_all(&self, dir: &Path) -> io::Result<()>;
}

/// Replaces a file as a whole: readers see the old content or the new one, never a part. What [`gan_fs::replace`] does, with
/// its names of temporary files, but through a [`Storage`], so that tests can make each of its steps fail.
///
/// # Errors
/// [`Error::Files`] naming the path; the old file is then untouched and the temporary one removed.
pub fn replace_file(storage: &dyn Storage, path: &Path, content: &[u8], durability: Durability) -> Result<()> {
    let temp = temporary_beside(path);
    let write = || -> Result<()> {
        let mut file = storage.create(&temp).map_err(|e| Error::io("create", &temp, e))?;
        file.write_all(content).map_err(|e| Error::io("write", &temp, e))?;
        file.flush().map_err(|e| Error::io("write", &temp, e))?;
        if durability == Durability::Flushed {
            file.sync().map_err(|e| Error::io("flush", &temp, e))?;
        }
        drop(file);
        storage.rename(&temp, path).map_err(|e| Error::io("replace", path, e))
    };
    if let Err(error) = write() {
        let _ = storage.remove_file(&temp);
        return Err(error);
    }
    if durability == Durability::Flushed {
        let parent = parent(path);
        storage.sync_dir(parent).map_err(|e| Error::io("flush", parent, e))?;
    }
    Ok(())
}

/// Removes what [`replace_file`] left in a folder when it was interrupted: nobody else may write there. What cannot be
/// removed stays.
pub(crate) fn remove_temporary(storage: &dyn Storage, dir: &Path) {
    for entry in storage.list(dir).unwrap_or_default() {
        if !entry.is_dir && is_temporary(&entry.name) {
            let _ = storage.remove_file(&dir.join(&entry.name));
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::fault::{Fault, FaultyStorage};
    use super::volatile::VolatileStorage;
    use super::*;

    #[test]
    fn replaced_files_are_old_or_new_whatever_fails() {
        let path = Path::new("/d/config.toml");
        let (old, new) = (vec![1u8; 300], vec![2u8; 400]);
        for (fault, forever) in
            [(Fault::Eio, false), (Fault::Enospc, false), (Fault::ShortWrite, false), (Fault::Eio, true)]
        {
            for at in 1..10 {
                let storage = VolatileStorage::new();
                storage.create_dir_all(Path::new("/d")).unwrap();
                storage.sync_dir(Path::new("/")).unwrap();
                replace_file(&storage, path, &old, Durability::Flushed).unwrap();
                let faulty = if forever {
                    FaultyStorage::from(storage.clone(), fault, at)
                } else {
                    FaultyStorage::once(storage.clone(), fault, at)
                };
                let done = replace_file(&faulty, path, &new, Durability::Flushed);
                assert!(done.is_ok() || storage.content(path) == old || storage.content(path) == new);
                if !forever {
                    assert_eq!(
                        storage.list(Path::new("/d")).unwrap().len(),
                        1,
                        "{fault:?} at {at}: temporary file left"
                    );
                }
                storage.power_cut(&mut gan_rng::Key::new(at, gan_rng::Purpose::Test).stream());
                let content = storage.content(path);
                assert!(content == new || done.is_err() && content == old, "{fault:?} at {at}");
            }
        }
    }

    #[test]
    fn appending_cuts_first() {
        let folder = tempfile::tempdir().unwrap();
        let disk = folder.path().join("log");
        let volatile = VolatileStorage::new();
        let storages: [(&dyn Storage, &Path); 2] = [(&Disk, &disk), (&volatile, Path::new("/log"))];
        for (storage, path) in storages {
            assert!(storage.append(path, 3).is_err(), "a missing file has no bytes to keep");
            storage.append(path, 0).unwrap().write_all(b"one two").unwrap();
            storage.append(path, 4).unwrap().write_all(b"three").unwrap();
            assert_eq!(read_limited(storage, path, 9).unwrap(), b"one three");
            assert_eq!(storage.append(path, 10).err().unwrap().kind(), io::ErrorKind::UnexpectedEof);
            assert!(read_limited(storage, path, 8).unwrap_err().to_string().contains("larger than 8 bytes"));
        }
    }
}
