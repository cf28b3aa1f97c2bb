//! Files for readers that take a path. `TMPDIR` on a file system in memory makes them quick.

use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

thread_local! {
    static FOLDER: RefCell<Option<TempDir>> = const { RefCell::new(None) };
}

/// A folder of this thread, which keeps what was written to it.
pub(crate) fn folder() -> PathBuf {
    FOLDER.with_borrow_mut(|folder| folder.get_or_insert_with(|| TempDir::new().unwrap()).path().to_owned())
}

/// Such a folder in it, made anew.
pub(crate) fn empty(name: &str) -> PathBuf {
    let folder = folder().join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir(&folder).unwrap();
    folder
}

/// A file in it.
pub(crate) fn file(name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder().join(name);
    fs::write(&path, bytes).unwrap();
    path
}

/// Names and sizes of the files below a folder.
pub(crate) fn tree(folder: &Path) -> Vec<(PathBuf, u64)> {
    let mut files = Vec::new();
    for child in fs::read_dir(folder).unwrap().map(|child| child.unwrap()) {
        let kind = child.file_type().unwrap();
        if kind.is_dir() {
            files.extend(tree(&child.path()));
        } else {
            assert!(kind.is_file(), "{:?} is no file", child.path());
            files.push((child.path(), child.metadata().unwrap().len()));
        }
    }
    files
}
