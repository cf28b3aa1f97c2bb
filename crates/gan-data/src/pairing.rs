//! Which files of two folders belong together, by their names.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use unicode_normalization::UnicodeNormalization;

use crate::error::{Error, Result};
use crate::image_file::{ImageFile, shown};
use crate::listing::{Exclude, list_images};

/// The image in `folder` that belongs to the name `stem`: by the whole stem (in another Unicode form if need be), else by
/// the frame of a Cityscapes name.
///
/// # Errors
/// [`Error::Dataset`] if there is none or more than one; [`Error::Io`] if the folder cannot be read.
pub fn partner(folder: &Path, stem: impl AsRef<Path>) -> Result<PathBuf> {
    let stem = stem.as_ref();
    let files = list_images(folder, &Exclude::none())?.files;
    for key in [exact, normalized, frame] {
        let found: Vec<_> = files.iter().filter(|file| key(&file.stem) == key(stem)).collect();
        match found.as_slice() {
            [file] => return Ok(file.path.clone()),
            [] => {}
            _ => {
                let reason = format!("several files belong to {}", shown(stem));
                return Err(Error::dataset(folder, reason, "give each one a name of its own"));
            }
        }
    }
    let reason = format!("nothing in it belongs to {}", shown(stem));
    Err(Error::dataset(folder, reason, "give files the same names"))
}

/// Pairs the images of two listed folders by name, whatever their extensions, in the order of the first: by whole stems (in another
/// Unicode form if need be); if that leaves files over, by the frames of Cityscapes names, provided that all of them match.
///
/// # Errors
/// [`Error::Unmatched`] listing all names without a partner; [`Error::Dataset`] if a name occurs twice.
pub fn pair_images(first: (&Path, &[ImageFile]), second: (&Path, &[ImageFile])) -> Result<Vec<(ImageFile, ImageFile)>> {
    pair_by_stem(first, second, Names::OrFrames)
}

/// The stem as it is, with the same separator everywhere.
fn exact(stem: &Path) -> Vec<u8> {
    let parts: Vec<&[u8]> = stem.components().map(|part| part.as_os_str().as_encoded_bytes()).collect();
    parts.join(&b'/')
}

/// The stem in Unicode's composed form (NFC): macOS and archives made there spell `é` as two characters.
pub(crate) fn normalized(stem: &Path) -> Vec<u8> {
    let bytes = exact(stem);
    match std::str::from_utf8(&bytes) {
        Ok(text) if !text.is_ascii() => text.nfc().collect::<String>().into_bytes(),
        _ => bytes,
    }
}

/// The part of a Cityscapes name that label, photograph and instance map share: `city_000001_000019`. Names of fewer
/// than three parts have no such part and stay whole.
fn frame(stem: &Path) -> Vec<u8> {
    let whole = normalized(stem);
    let file = whole.rsplit(|&b| b == b'/').next().unwrap_or(&whole);
    let parts: Vec<&[u8]> = file.split(|&b| b == b'_').take(3).collect();
    if parts.len() == 3 { parts.join(&b'_') } else { whole }
}

/// How the names of two folders are matched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Names {
    /// By whole stems.
    Whole,
    /// By whole stems; if that leaves files over, by the frames of Cityscapes names, provided that all of them match.
    OrFrames,
}

/// Pairs the images of two folders by stem, whatever their extensions, in the order of `left`.
///
/// # Errors
/// [`Error::Unmatched`] listing all names without a partner; [`Error::Dataset`] if a name occurs twice.
pub(crate) fn pair_by_stem(
    (left_folder, left): (&Path, &[ImageFile]),
    (right_folder, right): (&Path, &[ImageFile]),
    names: Names,
) -> Result<Vec<(ImageFile, ImageFile)>> {
    let matched = match_names(left, right, names).map_err(|(first, second)| {
        let reason = format!("{} and {} have the same name", first.display(), second.display());
        Error::dataset(first.parent().unwrap_or(left_folder), reason, "remove or rename one of them")
    })?;
    if matched.is_complete() {
        return Ok(matched.pairs);
    }
    let shown = |files: &[ImageFile]| files.iter().map(ImageFile::name).collect();
    Err(Error::Unmatched {
        left: left_folder.to_path_buf(),
        right: right_folder.to_path_buf(),
        only_left: shown(&matched.only_left),
        only_right: shown(&matched.only_right),
    })
}

/// Outcome of pairing.
pub(crate) struct Matched {
    pub(crate) pairs: Vec<(ImageFile, ImageFile)>,
    pub(crate) only_left: Vec<ImageFile>,
    pub(crate) only_right: Vec<ImageFile>,
}

impl Matched {
    pub(crate) fn is_complete(&self) -> bool {
        self.only_left.is_empty() && self.only_right.is_empty()
    }
}

/// Pairs two lists; fails with two paths of one folder that have the same stem.
pub(crate) fn match_names(
    left: &[ImageFile],
    right: &[ImageFile],
    names: Names,
) -> Result<Matched, (PathBuf, PathBuf)> {
    for files in [left, right] {
        let mut seen = BTreeMap::new();
        for file in files {
            if let Some(other) = seen.insert(exact(&file.stem), file) {
                return Err((other.path.clone(), file.path.clone()));
            }
        }
    }
    let mut partners = vec![None; left.len()];
    // Exact names first: where two names of a folder differ in their Unicode form alone, both may have a partner.
    add_partners(left, right, exact, &mut partners);
    add_partners(left, right, normalized, &mut partners);
    let is_complete =
        |partners: &[Option<usize>]| left.len() == right.len() && partners.iter().all(|partner| partner.is_some());
    if names == Names::OrFrames && !is_complete(&partners) {
        let mut by_frame = vec![None; left.len()];
        add_partners(left, right, frame, &mut by_frame);
        if is_complete(&by_frame) {
            partners = by_frame;
        }
    }
    let mut matched = Matched { pairs: Vec::new(), only_left: Vec::new(), only_right: Vec::new() };
    let mut free = vec![true; right.len()];
    for (file, partner) in left.iter().zip(partners) {
        match partner {
            Some(at) => {
                free[at] = false;
                matched.pairs.push((file.clone(), right[at].clone()));
            }
            None => matched.only_left.push(file.clone()),
        }
    }
    matched.only_right.extend(right.iter().zip(free).filter(|(_, free)| *free).map(|(file, _)| file.clone()));
    Ok(matched)
}

/// Gives those that have no partner yet one with the same key, where the key belongs to one file on either side.
fn add_partners(left: &[ImageFile], right: &[ImageFile], key: fn(&Path) -> Vec<u8>, partners: &mut [Option<usize>]) {
    let mut free = vec![true; right.len()];
    partners.iter().flatten().for_each(|&at| free[at] = false);
    let mut waiting = BTreeMap::<Vec<u8>, (Vec<usize>, Vec<usize>)>::new();
    for (at, file) in left.iter().enumerate().filter(|(at, _)| partners[*at].is_none()) {
        waiting.entry(key(&file.stem)).or_default().0.push(at);
    }
    for (at, file) in right.iter().enumerate().filter(|(at, _)| free[*at]) {
        waiting.entry(key(&file.stem)).or_default().1.push(at);
    }
    for sides in waiting.into_values() {
        if let ([from], [to]) = (&sides.0[..], &sides.1[..]) {
            partners[*from] = Some(*to);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// `é` as one character, and as two.
    const FORMS: [&str; 2] = ["\u{e9}", "e\u{301}"];

    fn files(stems: &[&str]) -> Vec<ImageFile> {
        stems.iter().map(|s| ImageFile::below(Path::new(""), format!("{s}.png").into())).collect()
    }

    fn pair(left: &[&str], right: &[&str], names: Names) -> Result<Vec<(ImageFile, ImageFile)>> {
        pair_by_stem((Path::new("A"), &files(left)), (Path::new("B"), &files(right)), names)
    }

    #[test]
    fn pairs_go_by_name_not_by_position() {
        let pairs = pair(&["a", "b"], &["b", "a"], Names::Whole).unwrap();
        assert!(pairs.iter().all(|(l, r)| l.stem == r.stem));
    }

    #[test]
    fn names_without_partner_are_listed_on_both_sides() {
        let text = pair(&["a", "b", "only_here"], &["b", "a", "x", "y"], Names::Whole).unwrap_err().to_string();
        assert!(text.contains("only in the first: only_here; only in the second: x, y"), "{text}");
    }

    #[test]
    fn doubled_names_are_an_error() {
        assert!(pair(&["a", "a"], &["a"], Names::Whole).unwrap_err().to_string().contains("same name"));
        assert!(pair(&["a"], &["a", "a"], Names::Whole).unwrap_err().to_string().contains("same name"));
    }

    #[test]
    fn unicode_forms_of_a_name_match_and_exact_names_come_first() {
        let [nfc, nfd] = FORMS;
        // In the order of the left side, whichever rule found the partner.
        let pairs = pair(&[nfd, "z", "sub/\u{e9}"], &["sub/e\u{301}", nfc, "z"], Names::Whole).unwrap();
        assert_eq!(pairs.iter().map(|(l, _)| l.stem.to_str().unwrap()).collect::<Vec<_>>(), [nfd, "z", "sub/\u{e9}"]);
        let both = pair(&[nfc, nfd], &[nfd, nfc], Names::Whole).unwrap();
        assert!(both.iter().all(|(l, r)| l.stem == r.stem));
        // Nobody says which of the two the partner belongs to once the exact one is gone.
        assert!(matches!(pair(&[nfc, nfd], &[nfc], Names::Whole), Err(Error::Unmatched { .. })));
    }

    #[test]
    fn frames_match_only_as_a_whole() {
        let label = ["aachen_000000_000019_gtFine_labelIds", "aachen_000001_000019_gtFine_labelIds"];
        let photo = ["aachen_000000_000019_leftImg8bit", "aachen_000001_000019_leftImg8bit"];
        assert_eq!(pair(&label, &photo, Names::OrFrames).unwrap().len(), 2);
        assert!(pair(&label, &photo, Names::Whole).is_err());
        assert!(pair(&label, &photo[..1], Names::OrFrames).is_err());
        assert!(pair(&["x/1"], &["y/1"], Names::OrFrames).is_err(), "a number is no frame");
    }

    #[cfg(unix)]
    #[test]
    fn names_that_are_not_text_stay_apart() {
        use std::ffi::OsStr;
        use std::os::unix::ffi::OsStrExt;

        use crate::image_file::{distinct_names, with_suffix};
        let file = |bytes: &[u8]| ImageFile::below(Path::new(""), OsStr::from_bytes(bytes).into());
        let (one, two) = (file(b"\xff.png"), file(b"\xfe.png"));
        assert_eq!(one.name(), two.name());
        let left = [one.clone(), two.clone()];
        let matched = match_names(&left, &[two.clone(), one.clone()], Names::Whole).unwrap();
        assert_eq!(matched.pairs, [(one.clone(), one.clone()), (two.clone(), two)]);
        assert_eq!(distinct_names(&left), [one.stem.clone(), left[1].stem.clone()]);
        assert_eq!(with_suffix(Path::new("o"), &one.stem, "png").as_os_str().as_bytes(), b"o/\xff.png");
    }
}
