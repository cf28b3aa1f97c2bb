//! One process at a time in a folder.

use std::path::Path;

use anyhow::{Context, Result, bail};
use gan_fs::{FileLock, LockError};

/// Locks `folder` for the command `command`, which works in `place`.
///
/// # Errors
/// When another process holds the lock.
pub(crate) fn acquire(folder: &Path, command: &str, place: &str) -> Result<FileLock> {
    let path = FileLock::path_in(folder);
    let shown = path.display();
    match FileLock::acquire(folder) {
        Ok(lock) => Ok(lock),
        Err(LockError::Held { process }) => {
            let holder = process.map(|process| format!(" (process {process})")).unwrap_or_default();
            bail!("another {command}{holder} is at work in {place}; wait for it to end [{shown}]")
        }
        Err(LockError::Io(error)) => Err(error).with_context(|| format!("cannot lock {shown}")),
    }
}
