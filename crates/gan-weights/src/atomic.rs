//! Files that appear at once and whole.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::{Error, Result};

/// Distinguishes the unfinished files of one process.
static SERIAL: AtomicU64 = AtomicU64::new(0);

/// Creates or replaces the file at `path` by what `fill` writes: into a new file beside it, which is flushed to the
/// disk and takes the name only then. Whatever fails, and whenever the machine stops, the name leads to the old file
/// or to the new one. A symbolic link is followed, so that it goes on pointing at the file.
///
/// # Errors
/// [`Error::Io`]; the unfinished file is removed.
pub(crate) fn write_atomically(path: &Path, fill: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<()> {
    let failed = |action: &'static str, at: &Path, remedy: &'static str| {
        let path = at.to_owned();
        move |source: io::Error| Error::Io { path, action, source, remedy }
    };
    // Fails where there is no file yet.
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let Some(name) = target.file_name() else {
        return Err(failed("write", path, "give a file name")(io::ErrorKind::InvalidInput.into()));
    };
    let folder = match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut unfinished_name = OsString::from(".");
    unfinished_name.push(name);
    unfinished_name.push(format!(".{}-{}.part", std::process::id(), SERIAL.fetch_add(1, Ordering::Relaxed)));
    let unfinished = Unfinished { path: folder.join(unfinished_name) };
    let space = "check the permissions and the space of its folder";

    let file = OpenOptions::new().write(true).create_new(true).open(&unfinished.path).map_err(failed(
        "create",
        &unfinished.path,
        space,
    ))?;
    let mut out = BufWriter::with_capacity(1 << 20, file);
    fill(&mut out).and_then(|()| out.flush()).map_err(failed("write", &target, space))?;
    out.get_ref().sync_all().map_err(failed("flush", &target, space))?;
    drop(out);
    fs::rename(&unfinished.path, &target).map_err(failed("replace", &target, space))?;
    // Without this a power cut could undo the renaming. Not every system can open folders.
    if let Ok(folder) = File::open(folder) {
        folder.sync_all().map_err(failed("flush", &target, space))?;
    }
    Ok(())
}

/// Removes the file when dropped; after renaming there is nothing left to remove.
struct Unfinished {
    path: PathBuf,
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        // It may be gone, and there is nobody to tell where it is not.
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn a_failure_leaves_the_old_file_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("weights");
        write_atomically(&path, |out| out.write_all(b"old")).unwrap();
        let failure = write_atomically(&path, |out| {
            out.write_all(b"half of the n")?;
            Err(io::ErrorKind::StorageFull.into())
        });
        assert!(failure.unwrap_err().to_string().contains("weights"));
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(names(folder.path()), ["weights"]);
        write_atomically(&path, |out| out.write_all(b"new")).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(names(folder.path()), ["weights"]);
    }

    #[test]
    fn a_missing_folder_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = write_atomically(&folder.path().join("absent/weights"), |_| Ok(())).unwrap_err();
        assert!(error.to_string().contains("absent"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn a_symbolic_link_stays_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        fs::write(&file, "old").unwrap();
        std::os::unix::fs::symlink("file", &link).unwrap();
        write_atomically(&link, |out| out.write_all(b"new")).unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"new");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    }
}
