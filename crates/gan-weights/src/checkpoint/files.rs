//! The file system as a reader sees it: two operations, each of which can fail.

use std::fmt::Debug;
use std::fs;
use std::io::{self, Read};
use std::path::Path;

use super::{Error, Result};

/// One entry of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The name, without the folder. Names that are not UTF-8 are shown lossily.
    pub name: String,
    /// Whether it is a folder.
    pub is_dir: bool,
    /// Size in bytes (0 for folders).
    pub bytes: u64,
}

/// A file system that is read. Tests of a trainer put another one in its place, whose operations fail.
pub trait Files: Debug + Send + Sync {
    /// Opens a file for reading.
    ///
    /// # Errors
    /// What the system answers; on [`Disk`] also for anything but a regular file.
    fn open(&self, file: &Path) -> io::Result<Box<dyn Read + Send>>;
    /// Lists a folder, sorted by name.
    ///
    /// # Errors
    /// What the system answers, as where there is no such folder.
    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>>;
}

/// The file system of the machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct Disk;

impl Files for Disk {
    fn open(&self, file: &Path) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(gan_fs::open_regular(file)?.0))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            // Follows links: a checkpoint folder moved to another disk and linked here is still a folder.
            let Ok(meta) = fs::metadata(entry.path()) else {
                entries.push(Entry { name, is_dir: false, bytes: 0 });
                continue;
            };
            entries.push(Entry { name, is_dir: meta.is_dir(), bytes: if meta.is_dir() { 0 } else { meta.len() } });
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }
}

/// Reads a file of at most `limit` bytes; a larger one is found before it is held in memory.
///
/// # Errors
/// [`Error::Io`] if the file cannot be opened or read, [`Error::Damaged`] if it is larger than `limit`.
pub fn read_limited(files: &dyn Files, path: &Path, limit: u64) -> Result<Vec<u8>> {
    let file = files.open(path).map_err(|e| Error::io("open", path, e))?;
    let mut bytes = Vec::new();
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(|e| Error::io("read", path, e))?;
    if bytes.len() as u64 > limit {
        return Err(Error::damaged(path, format!("it is larger than {limit} bytes")));
    }
    Ok(bytes)
}
