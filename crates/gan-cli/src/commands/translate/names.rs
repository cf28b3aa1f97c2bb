//! Names of results, each its own.

use gan_data::ImageFile;
use gan_fs::resolve;
use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// What messages call an input that is no file.
pub(super) const STANDARD_INPUT: &str = "standard input";

/// A file to translate, before its result has a name.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) input: PathBuf,
    /// Which page of it, counted from 0.
    pub(super) page: usize,
    /// Its path within the folder that was given, without extension.
    pub(super) stem: PathBuf,
    /// The same with extension, byte by byte, and with the page where a file has several results.
    pub(super) relative: PathBuf,
    /// The folder that was given, or the file's.
    folder: PathBuf,
}

impl Source {
    /// A file that was listed in a folder.
    pub(super) fn within(folder: &Path, file: ImageFile) -> Self {
        let relative = file.path.strip_prefix(folder).unwrap_or(&file.path).to_owned();
        Source { input: file.path, page: 0, stem: file.stem, relative, folder: folder.to_owned() }
    }

    /// A file that was named itself.
    pub(super) fn alone(path: &Path) -> Self {
        Source {
            input: path.to_owned(),
            page: 0,
            stem: path.file_stem().map(PathBuf::from).unwrap_or_default(),
            relative: path.file_name().map(PathBuf::from).unwrap_or_default(),
            folder: path.parent().unwrap_or(Path::new("")).to_owned(),
        }
    }

    /// The image on standard input.
    pub(super) fn standard_input() -> Self {
        let name = PathBuf::from("stdin");
        Source { input: STANDARD_INPUT.into(), page: 0, stem: name.clone(), relative: name, folder: PathBuf::new() }
    }

    #[cfg(test)]
    pub(super) fn below(folder: &str, name: &str) -> Self {
        let (relative, folder) = (PathBuf::from(name), PathBuf::from(folder));
        Source { input: folder.join(name), page: 0, stem: relative.with_extension(""), relative, folder }
    }

    /// One source for each page, with names that end in the page, counted from 1.
    pub(super) fn pages(self, count: usize) -> Vec<Self> {
        let width = count.to_string().len();
        let page = |page: usize| {
            let relative = numbered(&self.relative, &format!("{:0width$}", page + 1));
            Source { input: self.input.clone(), page, stem: self.stem.clone(), relative, folder: self.folder.clone() }
        };
        (0..count).map(page).collect()
    }

    /// The name of the result: without the extension, with it, in a folder of the folder's name, with a number.
    fn name(&self, distinction: u8, number: usize, extension: &dyn Fn(&Path) -> OsString) -> PathBuf {
        let mut name = match distinction {
            0 => self.relative.with_extension(""),
            1 => self.relative.clone(),
            _ => PathBuf::from(resolve(&self.folder).file_name().unwrap_or_default()).join(&self.relative),
        }
        .into_os_string();
        if distinction > 2 {
            name.push(format!("-{number}"));
        }
        name.push(".");
        name.push(extension(&self.input));
        name.into()
    }
}

/// Names of the results, `STEM.png` (or another extension) where that belongs to one file only. Files that would share a name keep their
/// extension (`a.jpg.png`), and if that is not enough, come into a folder of their folder's name (`photos/a.jpg.png`).
/// The same sources get the same names. The second value is what the user should know.
pub(super) fn unique(sources: &[Source], extension: &dyn Fn(&Path) -> OsString) -> (Vec<PathBuf>, Option<String>) {
    let mut distinctions = vec![0u8; sources.len()];
    loop {
        let named = sources.iter().zip(&distinctions).enumerate();
        let names: Vec<PathBuf> =
            named.map(|(i, (source, &distinction))| source.name(distinction, i + 1, extension)).collect();
        let mut sharing: HashMap<OsString, Vec<usize>> = HashMap::new();
        for (i, name) in names.iter().enumerate() {
            sharing.entry(distinct_key(name)).or_default().push(i);
        }
        sharing.retain(|_, files| files.len() > 1);
        if sharing.is_empty() {
            let note = note(&names, &distinctions);
            return (names, note);
        }
        for files in sharing.values() {
            // A file that was called `a.jpg.png` from the start makes way for `a.jpg`, not the other way round.
            let least = files.iter().map(|&i| distinctions[i]).min().unwrap_or(0);
            for &i in files {
                distinctions[i] += u8::from(distinctions[i] == least);
            }
        }
    }
}

/// What two names of different files differ in.
pub(super) fn distinct_key(name: &Path) -> OsString {
    // These systems do not tell A.png from a.png.
    let folds = cfg!(any(windows, target_os = "macos"));
    if folds { name.as_os_str().to_ascii_lowercase() } else { name.as_os_str().to_owned() }
}

/// `a-2.png` of `a.png`.
pub(super) fn numbered(name: &Path, number: &str) -> PathBuf {
    let mut file = name.file_stem().unwrap_or_default().to_owned();
    file.push(format!("-{number}"));
    if let Some(extension) = name.extension() {
        file.push(".");
        file.push(extension);
    }
    name.with_file_name(file)
}

fn note(names: &[PathBuf], distinctions: &[u8]) -> Option<String> {
    let changed: Vec<String> =
        names.iter().zip(distinctions).filter(|(_, d)| **d > 0).map(|(name, _)| name.display().to_string()).collect();
    let shown = changed.iter().take(4).map(String::as_str).collect::<Vec<_>>().join(", ");
    let more = if changed.len() > 4 { ", …" } else { "" };
    (!changed.is_empty()).then(|| format!("{} inputs share a name: their results are {shown}{more}", changed.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(files: &[&str]) -> (Vec<String>, Option<String>) {
        let sources: Vec<_> = files.iter().map(|file| Source::alone(Path::new(file))).collect();
        let (names, note) = unique(&sources, &|_| "png".into());
        (names.iter().map(|name| name.to_string_lossy().replace('\\', "/")).collect(), note)
    }

    #[test]
    fn names_are_short_where_they_can_be() {
        assert_eq!(
            named(&["x/a.jpg", "x/b.tar.gz.png", "x/c"]),
            (vec!["a.png".into(), "b.tar.gz.png".into(), "c.png".into()], None)
        );
    }

    #[test]
    fn shared_names_keep_their_extension() {
        let (names, note) = named(&["x/a.jpg", "x/b.jpg", "x/a.png"]);
        assert_eq!(names, ["a.jpg.png", "b.png", "a.png.png"]);
        assert_eq!(note.as_deref(), Some("2 inputs share a name: their results are a.jpg.png, a.png.png"));
        // The order of the files does not matter.
        assert_eq!(named(&["x/a.png", "x/a.jpg", "x/b.jpg"]).0, ["a.png.png", "a.jpg.png", "b.png"]);
    }

    #[test]
    fn a_new_name_does_not_take_that_of_another_file() {
        let (names, _) = named(&["x/a.jpg", "x/a.png", "x/a.jpg.png"]);
        assert_eq!(names, ["a.jpg.png", "a.png.png", "a.jpg.png.png"]);
    }

    #[test]
    fn folders_tell_equal_names_apart() {
        assert_eq!(named(&["x/a.jpg", "y/a.jpg", "y/b.jpg"]).0, ["x/a.jpg.png", "y/a.jpg.png", "b.png"]);
        let (names, _) = named(&["p/x/a.jpg", "q/x/a.jpg", "q/x/a.png"]);
        assert_eq!(names, ["x/a.jpg-1.png", "x/a.jpg-2.png", "a.png.png"]);
    }
}
