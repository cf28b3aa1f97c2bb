//! What helps against an answer of the system.

use std::io::{self, ErrorKind};

/// The system's number for a loop of symbolic links, which has no stable [`ErrorKind`].
const LOOP: i32 = if cfg!(any(target_os = "linux", target_os = "android")) {
    40
} else if cfg!(windows) {
    1921
} else {
    62
};

const ROOM: &str = "free some space or choose a folder on another disk";

/// What a user can do about an answer of the system, where that is the same whatever was tried.
pub fn remedy(error: &io::Error) -> Option<&'static str> {
    if error.raw_os_error() == Some(LOOP) {
        return Some("remove the link that leads to itself, or choose another path");
    }
    match error.kind() {
        ErrorKind::InvalidFilename => Some("choose another, shorter name"),
        ErrorKind::NotADirectory => Some("choose a path that leads through folders alone"),
        ErrorKind::ReadOnlyFilesystem => Some("choose a folder on a disk that can be written"),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Some(ROOM),
        // Without a number it is a limit of ours, on a file that is there.
        ErrorKind::FileTooLarge if error.raw_os_error().is_some() => Some(ROOM),
        _ => None,
    }
}

#[cfg(all(test, unix))]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::fs::File;

    #[test]
    fn what_is_wrong_with_a_path_has_a_remedy_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("loop", folder.path().join("loop")).unwrap();
        File::create(folder.path().join("file")).unwrap();
        let long = "x".repeat(300);
        for (name, wanted) in [("loop", "link"), (&long, "shorter name"), ("file/below", "through folders")] {
            let said = remedy(&File::open(folder.path().join(name)).unwrap_err());
            assert!(said.is_some_and(|said| said.contains(wanted)), "{name}: {said:?}");
        }
        assert_eq!(remedy(&File::open(folder.path().join("none")).unwrap_err()), None);
    }
}
