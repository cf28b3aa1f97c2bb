//! Files that vanish with the program.

use crate::replace::temporary_beside;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::Path;

/// A new, empty file in `folder`, to write to and read from. It has no name any more: the system takes its space back when it is
/// closed, however the program ends.
///
/// # Errors
/// What the system answers: there is no such folder, it may not be written to, or names cannot be taken from open files.
pub fn unnamed_file(folder: &Path) -> io::Result<File> {
    let path = temporary_beside(&folder.join("scratch"));
    let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path)?;
    fs::remove_file(&path)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::io::{Read, Seek, Write};

    #[test]
    fn nothing_is_to_be_seen_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = unnamed_file(folder.path()).unwrap();
        file.write_all(b"scratch").unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        file.rewind().unwrap();
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text, "scratch");
        assert!(unnamed_file(&folder.path().join("none")).is_err());
    }
}
