//! A half-fetched file: `NAME.part`, and beside it `NAME.part.json`, which says what it is half of.
//!
//! The bytes are worth keeping only together with a validator: without one, nothing says that the server would
//! continue the same file.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use gan_fs::read_regular;
use serde::{Deserialize, Serialize};

/// The most bytes that a note may have.
const MAX_NOTE: u64 = 1 << 16;

/// Contents of `NAME.part.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Origin {
    /// The mirror's address, before redirects.
    pub(crate) url: String,
    /// Strong entity tag or date of the last change.
    pub(crate) validator: Option<String>,
    /// Size of the whole file, where the server said it.
    pub(crate) total: Option<u64>,
    /// The sha256 that the host announced.
    pub(crate) announced: Option<String>,
}

/// The pair of files.
#[derive(Debug)]
pub(crate) struct Part {
    path: PathBuf,
    origin: PathBuf,
}

impl Part {
    pub(crate) fn new(folder: &Path, name: &str) -> Self {
        Self { path: folder.join(format!("{name}.part")), origin: folder.join(format!("{name}.part.json")) }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The folder of both files.
    pub(crate) fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("."))
    }

    /// What can be continued from that mirror: its origin, and how many bytes are here.
    ///
    /// Anything that does not fit together (no validator, more bytes than the file has, unreadable) is no start.
    pub(crate) fn resumable(&self, url: &str) -> Option<(Origin, u64)> {
        let origin: Origin = serde_json::from_slice(&read_regular(&self.origin, MAX_NOTE).ok()?).ok()?;
        let length = fs::metadata(&self.path).ok()?.len();
        let fits = origin.url == url
            && origin.validator.is_some()
            && length > 0
            && origin.total.is_none_or(|total| length <= total);
        fits.then_some((origin, length))
    }

    /// Begins anew; the old bytes are gone.
    pub(crate) fn begin(&self, origin: &Origin) -> io::Result<File> {
        self.discard()?;
        fs::create_dir_all(self.folder())?;
        // The file first: a note without its bytes must not vouch for bytes that come later.
        let file = File::create(&self.path)?;
        fs::write(&self.origin, serde_json::to_vec(origin)?)?;
        Ok(file)
    }

    /// Opens the file to append to it.
    pub(crate) fn reopen(&self) -> io::Result<File> {
        OpenOptions::new().append(true).open(&self.path)
    }

    /// Flushes the file to the disk.
    pub(crate) fn flush(&self) -> io::Result<()> {
        self.reopen()?.sync_all()
    }

    /// Removes both files, the note first.
    pub(crate) fn discard(&self) -> io::Result<()> {
        for path in [&self.origin, &self.path] {
            match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::io::Write;

    fn origin(validator: Option<&str>) -> Origin {
        Origin { url: "http://h/a".into(), validator: validator.map(str::to_owned), total: Some(4), announced: None }
    }

    #[test]
    fn only_bytes_with_a_validator_are_a_start() {
        let dir = tempfile::tempdir().unwrap();
        let part = Part::new(dir.path(), "a");
        assert!(part.resumable("http://h/a").is_none());
        part.begin(&origin(None)).unwrap().write_all(b"ab").unwrap();
        assert!(part.resumable("http://h/a").is_none());
        part.begin(&origin(Some("\"v\""))).unwrap();
        assert!(part.resumable("http://h/a").is_none(), "no bytes yet");
        part.reopen().unwrap().write_all(b"ab").unwrap();
        assert_eq!(part.resumable("http://h/a").unwrap(), (origin(Some("\"v\"")), 2));
        assert!(part.resumable("http://other/a").is_none());
        part.reopen().unwrap().write_all(b"cde").unwrap();
        assert!(part.resumable("http://h/a").is_none(), "longer than the file");
        part.discard().unwrap();
        part.discard().unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_damaged_note_is_no_start() {
        let dir = tempfile::tempdir().unwrap();
        let part = Part::new(dir.path(), "a");
        part.begin(&origin(Some("\"v\""))).unwrap().write_all(b"ab").unwrap();
        fs::write(dir.path().join("a.part.json"), "{\"url\":").unwrap();
        assert!(part.resumable("http://h/a").is_none());
    }
}
