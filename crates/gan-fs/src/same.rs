//! Telling whether two paths lead to the same file or folder.

use std::io;
use std::path::{Component, Path, PathBuf};

/// Identity of an existing file or folder: equal for all names of it, through symbolic and hard links.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(Id);

#[cfg(unix)]
type Id = (u64, u64);
#[cfg(not(unix))]
type Id = PathBuf;

impl FileId {
    /// The identity of what `path` leads to.
    ///
    /// # Errors
    /// What the system answers; [`io::ErrorKind::NotFound`] where there is nothing.
    pub fn of(path: &Path) -> io::Result<Self> {
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt;
            let metadata = std::fs::metadata(path)?;
            Ok(FileId((metadata.dev(), metadata.ino())))
        }
        // Hard links are not seen there: the standard library does not tell them.
        #[cfg(not(unix))]
        std::fs::canonicalize(path).map(FileId)
    }
}

/// Whether both paths lead to the same existing file or folder.
pub fn is_same(a: &Path, b: &Path) -> bool {
    matches!((FileId::of(a), FileId::of(b)), (Ok(a), Ok(b)) if a == b)
}

/// Whether `path` is `folder` or lies below it, or would once it is created. Symbolic links are followed.
pub fn is_within(path: &Path, folder: &Path) -> bool {
    resolve(path).starts_with(resolve(folder))
}

/// The absolute path without symbolic links, `.` and `..`, also of what does not exist yet: then the part that exists is
/// resolved, and the rest is taken by its names.
pub fn resolve(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut resolved = PathBuf::new();
    for part in absolute.components() {
        match part {
            Component::ParentDir => {
                resolved.pop();
            }
            Component::CurDir => {}
            other => {
                resolved.push(other);
                // Resolved part by part: `..` after a link leads to the parent of the link's target.
                if let Ok(real) = std::fs::canonicalize(&resolved) {
                    resolved = real;
                }
            }
        }
    }
    resolved
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::fs;

    #[test]
    fn all_names_of_a_file_are_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("sub")).unwrap();
        fs::write(at("a"), "x").unwrap();
        fs::write(at("b"), "x").unwrap();
        fs::hard_link(at("a"), at("hard")).unwrap();
        assert!(is_same(&at("a"), &at("hard")) && is_same(&at("a"), &at("sub/../a")));
        assert!(!is_same(&at("a"), &at("b")) && !is_same(&at("none"), &at("none")));
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(at("a"), at("link")).unwrap();
            assert!(is_same(&at("a"), &at("link")));
        }
    }

    #[cfg(unix)]
    #[test]
    fn what_does_not_exist_yet_is_placed_too() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir_all(at("real/deep")).unwrap();
        std::os::unix::fs::symlink(at("real/deep"), at("link")).unwrap();
        assert!(is_within(&at("link/new/out"), &at("real")));
        assert!(is_within(&at("link/../new"), &at("real")), "`..` is taken from the target of a link");
        assert!(is_within(&at("real"), &at("real")) && !is_within(&at("real2"), &at("real")));
        assert!(!is_within(&at("real/../other"), &at("real")));
    }
}
