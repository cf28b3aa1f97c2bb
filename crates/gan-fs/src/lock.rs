//! One process at a time in a folder.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::{error, fmt};

/// Name of the lock file in the folder.
const FILE: &str = "lock";

/// The exclusive right to write a folder, held until dropped.
///
/// The locks are the operating system's: they end with the process, however that ends. Locked are the folder itself, which
/// cannot be deleted from under its owner as a file can, and a file `lock` in it, whose content tells others who holds it.
/// The file also serves where folders cannot be locked.
#[derive(Debug)]
pub struct FileLock {
    file: File,
    /// Held for its lock alone.
    folder: Option<File>,
    path: PathBuf,
}

/// Why a lock was not acquired.
#[derive(Debug)]
pub enum LockError {
    /// Another process, or this one, holds it.
    Held {
        /// The number of that process, where it is known.
        process: Option<u32>,
    },
    /// The system refused an operation on the lock file.
    Io(io::Error),
}

impl fmt::Display for LockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LockError::Held { process: Some(process) } => write!(f, "process {process} holds the lock"),
            LockError::Held { process: None } => f.write_str("another process holds the lock"),
            LockError::Io(error) => error.fmt(f),
        }
    }
}

impl error::Error for LockError {}

impl From<io::Error> for LockError {
    fn from(error: io::Error) -> Self {
        LockError::Io(error)
    }
}

impl FileLock {
    /// The lock file of `folder`.
    pub fn path_in(folder: &Path) -> PathBuf {
        folder.join(FILE)
    }

    /// Locks `folder`, which must exist.
    ///
    /// # Errors
    /// [`LockError::Held`] at once if another process (or this one) holds the lock; [`LockError::Io`] if the lock file cannot
    /// be opened or written.
    pub fn acquire(folder: &Path) -> Result<Self, LockError> {
        let path = Self::path_in(folder);
        match crate::regular_metadata(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e.into()),
            _ => {}
        }
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path)?;
        let folder = lock_folder(folder);
        let taken = if folder.is_err() { Err(TryLockError::WouldBlock) } else { file.try_lock() };
        match taken {
            Ok(()) => {}
            // On Windows the lock also keeps readers out: the error then does without the number.
            Err(TryLockError::WouldBlock) => return Err(LockError::Held { process: read_process(&mut file) }),
            // Some network file systems have no locks; refusing to work there would help nobody.
            Err(TryLockError::Error(e)) if e.kind() == io::ErrorKind::Unsupported => {}
            Err(TryLockError::Error(e)) => return Err(e.into()),
        }
        file.set_len(0)?;
        file.rewind()?;
        writeln!(file, "{}", std::process::id())?;
        Ok(FileLock { file, folder: folder.ok().flatten(), path })
    }

    /// The lock file.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for FileLock {
    fn drop(&mut self) {
        // The file stays: removing it could remove the lock of the next owner. Emptied, it does not
        // name us while the next owner has the lock but has not written its number yet.
        let _ = self.file.set_len(0);
        // Closing would not do: a program that is just being started may still have copies of the handles.
        let _ = self.file.unlock();
        let _ = self.folder.as_ref().map(File::unlock);
    }
}

/// The folder's handle with the lock on it; `None` where folders cannot be locked. An error: somebody else holds it.
fn lock_folder(folder: &Path) -> Result<Option<File>, ()> {
    // Elsewhere a folder cannot be opened as a file.
    let Some(folder) = cfg!(unix).then(|| File::open(folder).ok()).flatten() else { return Ok(None) };
    match folder.try_lock() {
        Ok(()) => Ok(Some(folder)),
        Err(TryLockError::WouldBlock) => Err(()),
        // Network file systems may lock nothing that is not open for writing.
        Err(TryLockError::Error(_)) => Ok(None),
    }
}

fn read_process(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.rewind().ok()?;
    file.take(32).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_second_learns_who_holds_it() {
        let folder = tempfile::tempdir().unwrap();
        let lock = FileLock::acquire(folder.path()).unwrap();
        for _ in 0..5 {
            let error = FileLock::acquire(folder.path()).unwrap_err();
            assert!(error.to_string().contains(&format!("process {}", std::process::id())), "{error}");
        }
        let path = lock.path().to_owned();
        drop(lock);
        assert_eq!(std::fs::read_to_string(path).unwrap(), "", "names nobody any more");
        FileLock::acquire(folder.path()).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn deleting_the_file_admits_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let lock = FileLock::acquire(folder.path()).unwrap();
        std::fs::remove_file(lock.path()).unwrap();
        for _ in 0..2 {
            assert!(matches!(FileLock::acquire(folder.path()), Err(LockError::Held { .. })));
        }
        drop(lock);
        FileLock::acquire(folder.path()).unwrap();
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_is_no_file_is_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = FileLock::path_in(folder.path());
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let error = FileLock::acquire(folder.path()).unwrap_err().to_string();
        assert!(error.contains("named pipe"), "{error}");
    }

    #[test]
    fn stale_and_foreign_content_does_not_matter() {
        let folder = tempfile::tempdir().unwrap();
        for content in [b"4242\n".to_vec(), vec![0xff; 100]] {
            std::fs::write(FileLock::path_in(folder.path()), content).unwrap();
            let lock = FileLock::acquire(folder.path()).unwrap();
            assert_eq!(std::fs::read_to_string(lock.path()).unwrap().trim(), std::process::id().to_string());
        }
        assert!(matches!(FileLock::acquire(&folder.path().join("nowhere")), Err(LockError::Io(_))));
    }
}
