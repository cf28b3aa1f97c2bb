//! An image file below a folder, and the names that results get from it.
//!
//! Names are bytes. They become text only where people read them.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// An image file below a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageFile {
    /// Where it is.
    pub path: PathBuf,
    /// Its path within the folder, without extension, byte for byte: what pairs go by.
    pub stem: PathBuf,
}

impl ImageFile {
    /// The file at `path` as one found below `folder`.
    pub(crate) fn below(folder: &Path, path: PathBuf) -> Self {
        let stem = path.strip_prefix(folder).unwrap_or(&path).with_extension("");
        Self { stem, path }
    }

    /// The stem for people, with `/` between parts; bytes that are not text are replaced.
    #[must_use]
    pub fn name(&self) -> String {
        shown(&self.stem)
    }
}

/// A path for people, with `/` between parts.
pub(crate) fn shown(path: &Path) -> String {
    path.components().map(|c| c.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/")
}

/// The path within a folder of results, without extension, that each of `files` gets there: its stem, byte for byte.
/// Files that share a stem (`a.jpg` beside `a.png`) keep their own extension in it (`a.jpg`, `a.png`), so that no two
/// files get the same name.
#[must_use]
pub fn distinct_names(files: &[ImageFile]) -> Vec<PathBuf> {
    let mut names: Vec<PathBuf> = files.iter().map(|file| file.stem.clone()).collect();
    loop {
        let mut taken = BTreeMap::<&PathBuf, usize>::new();
        names.iter().for_each(|name| *taken.entry(name).or_default() += 1);
        let whole = |file: &ImageFile| match file.path.file_name() {
            Some(name) => file.stem.with_file_name(name),
            None => file.stem.clone(),
        };
        let longer: Vec<PathBuf> = files
            .iter()
            .zip(&names)
            .map(|(file, name)| if taken[name] > 1 { whole(file) } else { name.clone() })
            .collect();
        // Whole names differ from one another; one of them may still meet the stem of a third file.
        if longer == names {
            return names;
        }
        names = longer;
    }
}

/// `{folder}/{name}.{extension}`; dots in the name stay.
pub fn with_suffix(folder: &Path, name: &Path, extension: &str) -> PathBuf {
    let mut path = OsString::from(folder.join(name));
    path.push(".");
    path.push(extension);
    path.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_results_share_a_name() {
        let named = |names: &[&str]| -> Vec<String> {
            let files: Vec<_> =
                names.iter().map(|n| ImageFile::below(Path::new("in"), Path::new("in").join(n))).collect();
            distinct_names(&files).iter().map(|name| shown(name)).collect()
        };
        assert_eq!(named(&["a.jpg", "a.png", "b.v2.png"]), ["a.jpg", "a.png", "b.v2"]);
        assert_eq!(named(&["s/a.jpg", "s/a.webp", "a.jpg"]), ["s/a.jpg", "s/a.webp", "a"]);
        // The second name of the first file is the first name of the third.
        assert_eq!(named(&["a.jpg", "a.png", "a.jpg.bmp"]), ["a.jpg", "a.png", "a.jpg.bmp"]);
        assert_eq!(with_suffix(Path::new("o"), Path::new("b.v2"), "png"), Path::new("o/b.v2.png"));
    }
}
