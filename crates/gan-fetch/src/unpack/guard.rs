//! What an archive may ask for: names that stay inside, a bounded number of entries and of bytes.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use super::Result;
use crate::refusal::{Refusal, refuse, require};

/// Bounds of one archive.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) entries: u64,
    pub(crate) bytes: u64,
}

/// The most that compressed bytes may grow, once more than [`RATIO_GRACE`] bytes have come out.
const MAX_RATIO: u64 = 200;
/// Small files may compress as well as they like.
const RATIO_GRACE: u64 = 1 << 20;
/// Names longer than this fail on some file systems anyway.
const MAX_NAME: usize = 512;

impl Limits {
    /// From what the catalogue knows; where it does not, from the size of the archive. Images hardly compress, so an
    /// honest archive unpacks to about its own size.
    pub(crate) fn new(archive_bytes: u64, files: Option<u64>, unpacked_bytes: Option<u64>) -> Self {
        Self {
            entries: files.map_or(400_000, |files| files.saturating_mul(2)),
            bytes: unpacked_bytes.map_or(archive_bytes.saturating_mul(6).saturating_add(64 << 20), |bytes| {
                bytes.saturating_add(bytes / 20)
            }),
        }
    }
}

/// Watches over the unpacking of one archive into one folder.
pub(crate) struct Guard<'a> {
    limits: Limits,
    /// Is told of the bytes written.
    written: &'a mut dyn FnMut(u64),
    entries: u64,
    bytes: u64,
    /// Each path and parent seen so far: folded to lower case, as it was spelt, and whether it is a file.
    seen: HashMap<String, (String, bool)>,
}

impl<'a> Guard<'a> {
    pub(crate) fn new(limits: Limits, written: &'a mut dyn FnMut(u64)) -> Self {
        Self { limits, written, entries: 0, bytes: 0, seen: HashMap::new() }
    }

    /// The most that a tar with such contents takes, with room for two header blocks and padding for each entry.
    pub(crate) fn most_tar_bytes(&self) -> u64 {
        self.limits.bytes.saturating_add(self.limits.entries.saturating_add(64).saturating_mul(4 * 512))
    }

    /// Counts an entry.
    pub(crate) fn count_entry(&mut self) -> Result<()> {
        self.entries += 1;
        self.check_entries(self.entries)
    }

    /// Checks a number of entries that the archive announces.
    pub(crate) fn check_entries(&self, entries: u64) -> Result<()> {
        let most = self.limits.entries;
        require!(entries <= most, "the archive has more than the {most} entries that are allowed for it");
        Ok(())
    }

    /// Checks a name and returns it as a relative path.
    ///
    /// # Errors
    /// On anything that could leave the folder, mean a device, or collide on a file system that folds case.
    pub(crate) fn admit(&mut self, raw: &[u8], is_folder: bool) -> Result<PathBuf> {
        let shown = String::from_utf8_lossy(raw).escape_debug().to_string();
        let Ok(name) = std::str::from_utf8(raw) else { refuse!("the name `{shown}` is not UTF-8") };
        require!(name.len() <= MAX_NAME, "a name of {} bytes", name.len());
        require!(!name.contains('\0'), "the name `{shown}` contains a NUL");
        require!(!name.chars().any(char::is_control), "the name `{shown}` contains a control character");
        require!(!name.contains('\\'), "the name `{shown}` contains a backslash");
        require!(!name.contains(':'), "the name `{shown}` contains a colon (a drive letter, or a stream)");
        require!(!name.starts_with('/'), "the name `{shown}` is absolute");
        let (mut path, mut spelt) = (PathBuf::new(), String::new());
        let parts: Vec<_> = name.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
        for (i, part) in parts.iter().enumerate() {
            require!(*part != "..", "the name `{shown}` climbs out of the folder");
            require!(!reserved(part), "the name `{shown}` means a device, or changes on some systems");
            path.push(part);
            if !spelt.is_empty() {
                spelt.push('/');
            }
            spelt.push_str(part);
            let is_file = i + 1 == parts.len() && !is_folder;
            match self.seen.get(&spelt.to_lowercase()) {
                Some((before, _)) if *before != spelt => {
                    refuse!("the names `{before}` and `{spelt}` differ in case only");
                }
                Some((_, was_file)) if is_file || *was_file => refuse!("the name `{spelt}` comes twice"),
                Some(_) => {}
                None => {
                    self.seen.insert(spelt.to_lowercase(), (spelt.clone(), is_file));
                }
            }
        }
        Ok(path)
    }

    /// Writes one file of `declared` bytes, which must be what comes. `compressed` is its share of the archive.
    pub(crate) fn write(
        &mut self,
        folder: &Path,
        path: &Path,
        from: &mut dyn Read,
        declared: u64,
        compressed: u64,
    ) -> Result<()> {
        let name = path.display();
        require!(!path.as_os_str().is_empty(), "a file without a name");
        self.check_bytes(declared)?;
        check_ratio(&name.to_string(), declared, compressed)?;
        let target = folder.join(path);
        let parent = gan_fs::parent(&target);
        fs::create_dir_all(parent).map_err(Refusal::disk("create", parent))?;
        let mut file = File::create_new(&target).map_err(Refusal::disk("create", &target))?;
        let mut left = declared;
        let mut chunk = vec![0; 1 << 16];
        loop {
            let n = match from.read(&mut chunk) {
                Ok(0) => break,
                Ok(n) => n,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => refuse!("`{name}` is damaged: {error}"),
            };
            require!(n as u64 <= left, "`{name}` is longer than the {declared} bytes that it declares");
            left -= n as u64;
            file.write_all(&chunk[..n]).map_err(Refusal::disk("write", &target))?;
            (self.written)(n as u64);
        }
        require!(left == 0, "`{name}` is {left} bytes shorter than the {declared} bytes that it declares");
        self.bytes += declared;
        Ok(())
    }

    fn check_bytes(&self, more: u64) -> Result<()> {
        let most = self.limits.bytes;
        let all = self.bytes.saturating_add(more);
        require!(all <= most, "the archive unpacks to more than the {most} bytes that are allowed for it");
        Ok(())
    }
}

/// # Errors
/// When bytes, up to those of the entry `name`, grow more than [`MAX_RATIO`] times.
pub(crate) fn check_ratio(name: &str, unpacked: u64, compressed: u64) -> Result<()> {
    let fits = unpacked <= RATIO_GRACE || unpacked <= compressed.saturating_mul(MAX_RATIO);
    require!(fits, "`{name}`: {compressed} bytes unpack to {unpacked}: more than {MAX_RATIO} times");
    Ok(())
}

/// Names that Windows takes for devices, and names whose ends it strips.
fn reserved(part: &str) -> bool {
    let stem = part.split('.').next().unwrap_or_default().trim_end().to_ascii_uppercase();
    let numbered = |prefix: &str| {
        stem.strip_prefix(prefix).is_some_and(|rest| rest.len() == 1 && rest.bytes().all(|b| b.is_ascii_digit()))
    };
    matches!(stem.as_str(), "CON" | "PRN" | "AUX" | "NUL")
        || numbered("COM")
        || numbered("LPT")
        || part.ends_with('.')
        || part.ends_with(' ')
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn with_guard<T>(check: impl FnOnce(&mut Guard<'_>) -> T) -> T {
        check(&mut Guard::new(Limits { entries: 10, bytes: 100 }, &mut |_| {}))
    }

    fn reason(refused: Result<impl std::fmt::Debug>) -> String {
        match refused.unwrap_err() {
            Refusal::Content(reason) => reason,
            Refusal::Disk(error) => panic!("{error}"),
        }
    }

    #[test]
    fn names_that_stay_inside() {
        with_guard(|guard| {
            assert_eq!(guard.admit(b"a/b.png", false).unwrap(), Path::new("a/b.png"));
            assert_eq!(guard.admit(b"./a//c..png", false).unwrap(), Path::new("a/c..png"));
            assert_eq!(guard.admit(b"a/", true).unwrap(), Path::new("a"));
            assert_eq!(guard.admit("ä/ß.png".as_bytes(), false).unwrap(), Path::new("ä/ß.png"));
            assert_eq!(guard.admit(b"./", true).unwrap(), Path::new(""));
            assert_eq!(guard.admit(b"com10/console.png", false).unwrap(), Path::new("com10/console.png"));
        });
    }

    #[test]
    fn names_that_do_not() {
        for name in [
            &b"../a"[..],
            b"a/../../b",
            b"..",
            b"/a",
            b"//h/a",
            b"C:/a",
            b"C:a",
            b"a\\b",
            b"a\0b",
            b"a\nb",
            b"\xff",
            b"nul",
            b"a/COM1.png",
            b"lpt9",
            b"a./b",
            b"a ",
            &[b'a'; 600],
        ] {
            assert!(with_guard(|guard| guard.admit(name, false)).is_err(), "{}", name.escape_ascii());
        }
    }

    #[test]
    fn names_that_collide() {
        for (first, second, reason) in [
            ("A/x", "a/y", "differ in case"),
            ("a/x", "a/X", "differ in case"),
            ("a/x", "a/x", "twice"),
            ("a", "a/x", "twice"),
            ("a/x", "a", "twice"),
        ] {
            let error = self::reason(with_guard(|guard| {
                guard.admit(first.as_bytes(), false).unwrap();
                guard.admit(second.as_bytes(), false)
            }));
            assert!(error.contains(reason), "{first} {second}: {error}");
        }
    }

    #[test]
    fn sizes_are_bounded() {
        assert!(check_ratio("a", 1 << 20, 1).is_ok());
        assert!(check_ratio("a", (1 << 20) + 200, 5244).is_ok());
        assert!(check_ratio("a", 2 << 20, 1).is_err());
        let known = Limits::new(10, Some(7), Some(1000));
        assert_eq!((known.entries, known.bytes), (14, 1050));
        let dir = tempfile::tempdir().unwrap();
        with_guard(|guard| {
            let mut write = |name: &str, data: &[u8], declared| {
                guard.write(dir.path(), Path::new(name), &mut { data }, declared, declared)
            };
            write("a", &[0; 60], 60).unwrap();
            assert!(reason(write("b", &[0; 10], 9)).contains("longer"));
            assert!(reason(write("c", &[0; 8], 9)).contains("shorter"));
            assert!(reason(write("d", &[0; 41], 41)).contains("unpacks to more"));
        });
    }
}
