//! Files that appear at once and whole.

use std::fs::{self, File, OpenOptions};
use std::io::ErrorKind::{AlreadyExists, InvalidInput, PermissionDenied, Unsupported};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::{error, fmt};

/// What is left of a replaced file after a power cut. Without one, readers always see the old file or the new one, never a
/// part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Nothing is promised. Enough for what can be made again.
    Visible,
    /// Content and name have been flushed to the device: the new file is there.
    Flushed,
}

/// Why a file could not be replaced. The old one is as it was, unless only flushing its folder failed.
#[derive(Debug)]
pub struct ReplaceError {
    /// What was tried: "create", "write", "flush" or "replace".
    pub action: &'static str,
    /// The file concerned: the one to replace, or the temporary one beside it.
    pub path: PathBuf,
    /// What the system answered.
    pub source: io::Error,
}

impl fmt::Display for ReplaceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {} {}", self.action, self.path.display())
    }
}

impl error::Error for ReplaceError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        Some(&self.source)
    }
}

/// Creates or replaces the file at `path` by what `fill` writes: into a temporary file in the same folder, which then takes
/// the name. A symbolic link of that name gives way; what it leads to stays.
///
/// # Errors
/// [`ReplaceError`]: what `fill` or the system answers, or that something has the name that is neither a regular file nor a link. The
/// temporary file is removed.
pub fn replace(
    path: &Path,
    durability: Durability,
    fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), ReplaceError> {
    let mut out = Replacement::begin(path)?;
    fill(&mut out).map_err(failed("write", path))?;
    out.finish(durability)
}

/// A file that is being written and takes its name when it is finished: what [`replace`] does, for who writes in pieces. Dropped before, it
/// leaves nothing behind.
#[derive(Debug)]
pub struct Replacement {
    path: PathBuf,
    out: BufWriter<File>,
    /// Behind the file: it is closed before its name is removed.
    temporary: Temporary,
}

impl Replacement {
    /// Makes the temporary file beside `path`.
    ///
    /// # Errors
    /// As [`replace`].
    pub fn begin(path: &Path) -> Result<Self, ReplaceError> {
        match fs::symlink_metadata(path) {
            Ok(metadata) if !metadata.is_symlink() => {
                crate::regular::require_regular(&metadata).map_err(failed("replace", path))?;
            }
            _ if path.file_name().is_none() => return Err(failed("create", path)(InvalidInput.into())),
            _ => {}
        }
        let (temporary, file) = create_temporary(path)?;
        Ok(Replacement { path: path.to_owned(), out: BufWriter::with_capacity(1 << 20, file), temporary })
    }

    /// Gives the file its name.
    ///
    /// # Errors
    /// What the system answers; the old file stays then.
    pub fn finish(mut self, durability: Durability) -> Result<(), ReplaceError> {
        let path = self.path.as_path();
        self.out.flush().map_err(failed("write", path))?;
        if durability == Durability::Flushed {
            self.out.get_ref().sync_all().map_err(failed("flush", path))?;
        }
        drop(self.out);
        fs::rename(&self.temporary.0, path).map_err(failed("replace", path))?;
        if durability == Durability::Flushed {
            sync_folder(parent(path)).map_err(failed("flush", path))?;
        }
        Ok(())
    }
}

impl Write for Replacement {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> ReplaceError {
    let path = path.to_owned();
    move |source| ReplaceError { action, path, source }
}

/// Makes the names in a folder durable: those of new, renamed and removed files. Does nothing where the system cannot flush a
/// folder.
///
/// # Errors
/// What the system answers; the names may be lost then.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    // Elsewhere folders cannot be opened as files, and the file system journals renames itself.
    if !cfg!(unix) {
        return Ok(());
    }
    match File::open(folder).and_then(|folder| folder.sync_all()) {
        // A folder that may be written and not read, or a file system that flushes no folders.
        Err(e) if matches!(e.kind(), PermissionDenied | InvalidInput | Unsupported) => Ok(()),
        other => other,
    }
}

/// The folder that holds `path`.
pub fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// What stands between the name of a file and the numbers in the name of its temporary one.
const TEMPORARY: &str = ".tmp-";

/// A name beside `path` for a file that will replace it: hidden, and different at every call and in every process.
pub fn temporary_beside(path: &Path) -> PathBuf {
    /// Of the name, so that the whole is not too long for a file system.
    const CHARACTERS: usize = 32;
    static CALLS: AtomicU64 = AtomicU64::new(0);
    let name: String = path.file_name().unwrap_or_default().to_string_lossy().chars().take(CHARACTERS).collect();
    let call = CALLS.fetch_add(1, Ordering::Relaxed);
    path.with_file_name(format!(".{name}{TEMPORARY}{}-{call}", std::process::id()))
}

/// Whether a file has a name of [`temporary_beside`]: what is left if writing was interrupted.
pub fn is_temporary(name: &str) -> bool {
    let numbers = name.strip_prefix('.').and_then(|name| name.rsplit_once(TEMPORARY));
    numbers.is_some_and(|(name, numbers)| {
        !name.is_empty() && numbers.split('-').all(|number| number.parse::<u64>().is_ok())
    })
}

/// Removes the file when dropped; after renaming there is nothing left to remove.
#[derive(Debug)]
struct Temporary(PathBuf);

/// The temporary files that there are.
static TEMPORARIES: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

fn temporaries() -> MutexGuard<'static, Vec<PathBuf>> {
    // The list is whole at every point where a panic could happen.
    TEMPORARIES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Removes the temporary files of this process, whose writing has not come to its end: for who is about to leave because of a signal.
pub fn remove_temporaries() {
    for path in temporaries().drain(..) {
        // It may be gone, and there is nobody to tell where it is not.
        let _ = fs::remove_file(path);
    }
}

impl Temporary {
    fn new(path: PathBuf) -> Self {
        temporaries().push(path.clone());
        Temporary(path)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        temporaries().retain(|path| *path != self.0);
        // As above.
        let _ = fs::remove_file(&self.0);
    }
}

fn create_temporary(target: &Path) -> Result<(Temporary, File), ReplaceError> {
    loop {
        let path = temporary_beside(target);
        match OpenOptions::new().write(true).create_new(true).open(&path) {
            Ok(file) => return Ok((Temporary::new(path), file)),
            // Left by an earlier process of the same number.
            Err(e) if e.kind() == AlreadyExists => {}
            Err(source) => return Err(ReplaceError { action: "create", path, source }),
        }
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
        for durability in [Durability::Visible, Durability::Flushed] {
            replace(&path, durability, |out| out.write_all(b"old")).unwrap();
            let failure = replace(&path, durability, |out| {
                out.write_all(b"half of the n")?;
                Err(io::ErrorKind::StorageFull.into())
            });
            let failure = failure.unwrap_err();
            assert_eq!((failure.action, failure.source.kind()), ("write", io::ErrorKind::StorageFull));
            assert!(failure.to_string().contains("weights"));
            assert_eq!(fs::read(&path).unwrap(), b"old");
            assert_eq!(names(folder.path()), ["weights"]);
            replace(&path, durability, |out| out.write_all(b"new")).unwrap();
            assert_eq!(fs::read(&path).unwrap(), b"new");
            assert_eq!(names(folder.path()), ["weights"]);
        }
    }

    #[test]
    fn what_is_written_in_pieces_has_no_name_before_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("image");
        fs::write(&path, b"old").unwrap();
        let mut begun = Replacement::begin(&path).unwrap();
        begun.write_all(b"half").unwrap();
        drop(begun);
        assert_eq!(names(folder.path()), ["image"]);
        let mut begun = Replacement::begin(&path).unwrap();
        for piece in [b"ne", b"w."] {
            begun.write_all(piece).unwrap();
        }
        assert_eq!(fs::read(&path).unwrap(), b"old");
        begun.finish(Durability::Visible).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new.");
        assert_eq!(names(folder.path()), ["image"]);
    }

    #[test]
    fn what_cannot_become_a_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let refused = |path: &Path| replace(path, Durability::Visible, |_| Ok(())).unwrap_err();
        assert!(refused(&folder.path().join("absent/weights")).to_string().contains("absent"));
        assert_eq!(refused(folder.path()).source.kind(), io::ErrorKind::IsADirectory);
        assert!(refused(Path::new("/")).to_string().contains('/'));
        assert_eq!(names(folder.path()), [""; 0]);
    }

    #[cfg(unix)]
    #[test]
    fn a_symbolic_link_gives_way() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        fs::write(&file, "old").unwrap();
        std::os::unix::fs::symlink("file", &link).unwrap();
        replace(&link, Durability::Flushed, |out| out.write_all(b"new")).unwrap();
        assert_eq!((fs::read(&file).unwrap(), fs::read(&link).unwrap()), (b"old".to_vec(), b"new".to_vec()));
    }

    #[test]
    fn temporary_names_are_short_and_recognized() {
        let folder = Path::new("/folder");
        for name in ["a.png", "é", &"long".repeat(60)] {
            let (first, second) = (temporary_beside(&folder.join(name)), temporary_beside(&folder.join(name)));
            assert_ne!(first, second);
            assert_eq!(first.parent().unwrap(), folder);
            let name = first.file_name().unwrap().to_str().unwrap();
            assert!(is_temporary(name) && name.len() < 200, "{name}");
        }
        assert!(is_temporary(".config.toml.tmp-7"), "as older versions named it");
        for name in [".hidden", ".tmp-7", ".tmp-note.txt", "a.tmp-7", ".a.tmp-", ".a.tmp-7x"] {
            assert!(!is_temporary(name), "{name}");
        }
    }
}
