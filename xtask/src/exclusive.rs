//! One process at a time in a folder.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;

use anyhow::{Context, Result, bail};

/// Held while working; the system lets go of it when the process ends, however it ends.
#[derive(Debug)]
pub(crate) struct Exclusive {
    _file: File,
}

impl Exclusive {
    /// Takes the lock `folder/lock` for the command `command`, which works in `place`.
    ///
    /// # Errors
    /// When another process holds it.
    pub(crate) fn take(folder: &Path, command: &str, place: &str) -> Result<Self> {
        let path = folder.join("lock");
        let shown = path.display();
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .with_context(|| format!("cannot open {shown}"))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // On Windows the lock also keeps readers out: the message then does without the number.
                let _ = file.read_to_string(&mut holder);
                let holder = if holder.is_empty() { String::new() } else { format!(" (process {})", holder.trim()) };
                bail!("another {command}{holder} is at work in {place}; wait for it to end [{shown}]");
            }
            Err(TryLockError::Error(error)) => return Err(error).with_context(|| format!("cannot lock {shown}")),
        }
        file.set_len(0)?;
        file.rewind()?;
        writeln!(file, "{}", std::process::id())?;
        Ok(Self { _file: file })
    }
}
