//! One writer for a run folder.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// Name of the lock file in the run folder.
const FILE: &str = "lock";

/// The exclusive right to write a run folder, held until dropped.
///
/// The locks are the operating system's: they end with the process, however that ends. Locked are the folder itself, which
/// cannot be deleted from under its owner as a file can, and a file in it, whose content tells others who holds it. The
/// file also serves where folders cannot be locked.
#[derive(Debug)]
pub struct RunLock {
    file: File,
    /// Held for its lock alone.
    _folder: Option<File>,
    path: PathBuf,
}

impl RunLock {
    /// Locks the run folder `run`, which must exist.
    ///
    /// # Errors
    /// [`Error::Busy`] at once if another process (or this one) holds the lock, with its process number.
    pub fn acquire(run: &Path) -> Result<Self> {
        let path = run.join(FILE);
        match gan_fs::regular_metadata(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(Error::io("lock", &path, e)),
            _ => {}
        }
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|e| Error::io("lock", &path, e))?;
        let folder = lock_folder(run);
        let taken = if folder.is_err() { Err(TryLockError::WouldBlock) } else { file.try_lock() };
        match taken {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let owner = match read_pid(&mut file) {
                    Some(pid) => format!("process {pid}"),
                    None => "another process".to_owned(),
                };
                return Err(Error::Busy { path: run.to_owned(), owner });
            }
            // Some network file systems have no locks; refusing to train there would help nobody.
            Err(TryLockError::Error(e)) if e.kind() == io::ErrorKind::Unsupported => {}
            Err(TryLockError::Error(e)) => return Err(Error::io("lock", &path, e)),
        }
        let write = |file: &mut File| -> io::Result<()> {
            file.set_len(0)?;
            file.rewind()?;
            writeln!(file, "{}", std::process::id())
        };
        write(&mut file).map_err(|e| Error::io("write", &path, e))?;
        Ok(RunLock { file, _folder: folder.ok().flatten(), path })
    }

    /// The lock file.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for RunLock {
    fn drop(&mut self) {
        // The file stays: removing it could remove the lock of the next owner. Emptied, it does not
        // name us while the next owner has the lock but has not written its number yet.
        let _ = self.file.set_len(0);
        let _ = self.file.unlock();
    }
}

/// The folder's handle with the lock on it; `None` where folders cannot be locked. An error: somebody else holds it.
fn lock_folder(run: &Path) -> Result<Option<File>, ()> {
    // Elsewhere a folder cannot be opened as a file.
    let Some(folder) = cfg!(unix).then(|| File::open(run).ok()).flatten() else { return Ok(None) };
    match folder.try_lock() {
        Ok(()) => Ok(Some(folder)),
        Err(TryLockError::WouldBlock) => Err(()),
        // Network file systems may lock nothing that is not open for writing.
        Err(TryLockError::Error(_)) => Ok(None),
    }
}

fn read_pid(file: &mut File) -> Option<u32> {
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
    fn second_writer_learns_who_holds_it() {
        let run = tempfile::tempdir().unwrap();
        let lock = RunLock::acquire(run.path()).unwrap();
        for _ in 0..5 {
            let error = RunLock::acquire(run.path()).unwrap_err();
            assert!(error.to_string().contains(&format!("process {}", std::process::id())), "{error}");
        }
        drop(lock);
        assert_eq!(std::fs::read_to_string(run.path().join(FILE)).unwrap(), "", "names nobody any more");
        RunLock::acquire(run.path()).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn deleting_the_file_admits_nobody() {
        let run = tempfile::tempdir().unwrap();
        let lock = RunLock::acquire(run.path()).unwrap();
        std::fs::remove_file(lock.path()).unwrap();
        for _ in 0..2 {
            assert!(matches!(RunLock::acquire(run.path()), Err(Error::Busy { .. })));
        }
        drop(lock);
        RunLock::acquire(run.path()).unwrap();
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_is_no_file_is_refused_at_once() {
        let run = tempfile::tempdir().unwrap();
        let pipe = run.path().join(FILE);
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let error = RunLock::acquire(run.path()).unwrap_err().to_string();
        assert!(error.contains("named pipe"), "{error}");
    }

    #[test]
    fn stale_lock_is_taken_over() {
        let run = tempfile::tempdir().unwrap();
        std::fs::write(run.path().join(FILE), "4242\n").unwrap();
        let lock = RunLock::acquire(run.path()).unwrap();
        assert_eq!(std::fs::read_to_string(lock.path()).unwrap().trim(), std::process::id().to_string());
    }

    #[test]
    fn foreign_content_does_not_matter() {
        let run = tempfile::tempdir().unwrap();
        std::fs::write(run.path().join(FILE), [0xff; 100]).unwrap();
        RunLock::acquire(run.path()).unwrap();
        let missing = RunLock::acquire(&run.path().join("nowhere")).unwrap_err().to_string();
        assert!(missing.contains("nowhere"), "{missing}");
    }
}
