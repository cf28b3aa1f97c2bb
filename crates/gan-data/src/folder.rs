//! Finding picture files and pairing them by name.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::decode::is_planes;
use crate::error::{Error, Result};

/// File names that count as pictures, in lower case; the case of a name does not matter.
const EXTENSIONS: [&str; 11] = ["jpg", "jpeg", "png", "webp", "bmp", "ppm", "pgm", "pbm", "pnm", "tif", "tiff"];

/// A picture file below a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PictureFile {
    /// Where it is.
    pub path: PathBuf,
    /// Its path within the folder, without extension and with `/` between parts: what pairs go by.
    pub stem: String,
}

/// All pictures below `folder`, in order of their paths (code points, so `10.jpg` comes before `2.jpg`). Links to
/// folders are not followed. A folder named `….planes` is one picture (see [`crate::decode`]).
///
/// # Errors
/// [`Error::Io`] if a folder cannot be read.
pub fn list_pictures(folder: &Path) -> Result<Vec<PictureFile>> {
    let mut found = Vec::new();
    let mut pending = vec![folder.to_path_buf()];
    while let Some(current) = pending.pop() {
        let entries = fs::read_dir(&current).map_err(|e| Error::io("list", &current, e))?;
        for entry in entries {
            let entry = entry.map_err(|e| Error::io("list", &current, e))?;
            let kind = entry.file_type().map_err(|e| Error::io("list", &entry.path(), e))?;
            let path = entry.path();
            if is_planes(&path) {
                found.push(PictureFile { stem: stem(&path, folder), path });
            } else if kind.is_dir() {
                pending.push(path);
            } else if is_picture(&path) && (kind.is_file() || path.is_file()) {
                found.push(PictureFile { stem: stem(&path, folder), path });
            }
        }
    }
    found.sort_by(|a, b| a.path.as_os_str().as_encoded_bytes().cmp(b.path.as_os_str().as_encoded_bytes()));
    Ok(found)
}

/// The picture in `folder` that belongs to the name `stem`: by the whole stem, else by its first three `_` parts (the
/// frame of a Cityscapes name).
///
/// # Errors
/// [`Error::Dataset`] if there is none or more than one.
pub fn partner(folder: &Path, stem: &str) -> Result<PathBuf> {
    let files = list_pictures(folder)?;
    let frame = |stem: &str| stem.split('_').take(3).map(str::to_owned).collect::<Vec<_>>();
    let exact = files.iter().filter(|file| file.stem == stem);
    let by_frame = files.iter().filter(|file| frame(&file.stem) == frame(stem));
    let found: Vec<_> = if exact.clone().next().is_some() { exact.collect() } else { by_frame.collect() };
    match found.as_slice() {
        [file] => Ok(file.path.clone()),
        [] => Err(Error::dataset(folder, format!("nothing in it belongs to {stem}"), "give files the same names")),
        _ => Err(Error::dataset(folder, format!("several files belong to {stem}"), "give each one a name of its own")),
    }
}

/// Whether a name is that of a picture. (`._x.jpg` holds a desktop's notes about `x.jpg`, not a picture.)
pub(crate) fn is_picture(path: &Path) -> bool {
    let notes = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"._"));
    let extension = path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase());
    !notes && extension.is_some_and(|e| EXTENSIONS.contains(&e.as_str()))
}

fn stem(path: &Path, folder: &Path) -> String {
    let relative = path.strip_prefix(folder).unwrap_or(path).with_extension("");
    relative.components().map(|c| c.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/")
}

/// Pairs the pictures of two folders by stem, whatever their extensions. Files whose whole stem has no partner may
/// be paired by a shorter name: see `fallback`.
///
/// # Errors
/// [`Error::Unmatched`] listing all names without a partner; [`Error::Dataset`] if a name occurs twice.
pub(crate) fn pair_by_stem(
    (left_folder, left): (&Path, &[PictureFile]),
    (right_folder, right): (&Path, &[PictureFile]),
    fallback: Option<fn(&str) -> String>,
) -> Result<Vec<(PictureFile, PictureFile)>> {
    let whole = |stem: &str| stem.to_owned();
    let shortened = || fallback.and_then(|shorter| match_names(left, right, shorter).ok()).filter(Matched::is_complete);
    let attempt = match match_names(left, right, whole) {
        Ok(matched) if !matched.is_complete() => Ok(shortened().unwrap_or(matched)),
        other => other,
    };
    let matched = attempt.map_err(|(first, second)| {
        let reason = format!("{} and {} have the same name", first.display(), second.display());
        Error::dataset(first.parent().unwrap_or(left_folder), reason, "remove or rename one of them")
    })?;
    if matched.is_complete() {
        return Ok(matched.pairs);
    }
    Err(Error::Unmatched {
        left: left_folder.to_path_buf(),
        right: right_folder.to_path_buf(),
        only_left: matched.only_left,
        only_right: matched.only_right,
    })
}

/// Outcome of pairing.
pub(crate) struct Matched {
    pub(crate) pairs: Vec<(PictureFile, PictureFile)>,
    pub(crate) only_left: Vec<String>,
    pub(crate) only_right: Vec<String>,
}

impl Matched {
    pub(crate) fn is_complete(&self) -> bool {
        self.only_left.is_empty() && self.only_right.is_empty()
    }
}

/// Pairs by the name that `name` makes of a stem; fails with two paths that get the same name in one folder.
pub(crate) fn match_names(
    left: &[PictureFile],
    right: &[PictureFile],
    name: impl Fn(&str) -> String,
) -> Result<Matched, (PathBuf, PathBuf)> {
    let mut waiting: BTreeMap<String, &PictureFile> = BTreeMap::new();
    for file in right {
        if let Some(other) = waiting.insert(name(&file.stem), file) {
            return Err((other.path.clone(), file.path.clone()));
        }
    }
    let mut seen: BTreeMap<String, &PictureFile> = BTreeMap::new();
    let mut matched = Matched { pairs: Vec::new(), only_left: Vec::new(), only_right: Vec::new() };
    for file in left {
        let key = name(&file.stem);
        match waiting.remove(&key) {
            Some(partner) => matched.pairs.push((file.clone(), partner.clone())),
            None => matched.only_left.push(file.stem.clone()),
        }
        if let Some(other) = seen.insert(key, file) {
            return Err((other.path.clone(), file.path.clone()));
        }
    }
    matched.only_right.extend(waiting.into_values().map(|file| file.stem.clone()));
    Ok(matched)
}

/// The names under which a phase is looked for: `test` falls back to `val`, as several published sets have no `test`.
pub(crate) fn phase_names(phase: &str) -> Vec<&str> {
    if phase == "test" { vec!["test", "val"] } else { vec![phase] }
}

/// The note to give when another phase than the one asked for is used.
pub(crate) fn phase_note(asked: &str, used: &str) -> Option<String> {
    (asked != used).then(|| format!("there is no `{asked}` part; `{used}` is used instead"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn files(stems: &[&str]) -> Vec<PictureFile> {
        stems.iter().map(|s| PictureFile { path: format!("{s}.png").into(), stem: (*s).to_owned() }).collect()
    }

    fn pair(left: &[&str], right: &[&str]) -> Result<Vec<(PictureFile, PictureFile)>> {
        pair_by_stem((Path::new("A"), &files(left)), (Path::new("B"), &files(right)), None)
    }

    #[test]
    fn pairs_go_by_name_not_by_position() {
        let pairs = pair(&["a", "b"], &["b", "a"]).unwrap();
        assert!(pairs.iter().all(|(l, r)| l.stem == r.stem));
    }

    #[test]
    fn names_without_partner_are_listed_on_both_sides() {
        let text = pair(&["a", "b", "only_here"], &["b", "a", "x", "y"]).unwrap_err().to_string();
        assert!(text.contains("only in the first: only_here; only in the second: x, y"), "{text}");
    }

    #[test]
    fn doubled_names_are_an_error() {
        assert!(pair(&["a", "a"], &["a"]).unwrap_err().to_string().contains("same name"));
        assert!(pair(&["a"], &["a", "a"]).unwrap_err().to_string().contains("same name"));
    }

    #[test]
    fn listing_is_recursive_sorted_and_picky() {
        let dir = tempfile::TempDir::new().unwrap();
        fs::create_dir(dir.path().join("sub")).unwrap();
        for name in ["10.jpg", "2.JPG", "Z.Png", "note.txt", "._2.jpg", "sub/a.tiff", "noextension"] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        let stems: Vec<_> = list_pictures(dir.path()).unwrap().into_iter().map(|f| f.stem).collect();
        assert_eq!(stems, ["10", "2", "Z", "sub/a"]);
    }
}
