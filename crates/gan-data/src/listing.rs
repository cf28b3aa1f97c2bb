//! Which images lie below a folder, and what lies there that is not taken.
//!
//! Every command lists folders through [`list_images`], so that nothing is left out without a word.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, FileType};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use gan_fs::FileId;

use crate::decode::is_planes;
use crate::error::{Error, Result};
use crate::folder::{PictureFile, shown};
use crate::pages;
use crate::sniff::{Content, sniff};

/// File names that count as images, in lower case; the case of a name does not matter.
const EXTENSIONS: [&str; 14] =
    ["jpg", "jpeg", "jpe", "jfif", "jif", "png", "webp", "bmp", "ppm", "pgm", "pbm", "pnm", "tif", "tiff"];

/// Endings of images and films that cannot be read here.
const UNSUPPORTED: [&str; 46] = [
    "3fr", "arw", "avi", "avif", "bpg", "cr2", "cr3", "dds", "dng", "eps", "exr", "farbfeld", "gif", "hdr", "heic",
    "heics", "heif", "hif", "icns", "ico", "j2k", "jp2", "jpx", "jxl", "jxr", "kra", "m4v", "mkv", "mov", "mp4",
    "mpeg", "mpg", "nef", "orf", "pam", "pcx", "pdf", "pfm", "psd", "qoi", "raf", "rw2", "svg", "tga", "webm", "xcf",
];

/// Names of the parts into which datasets are divided, in lower case.
const PARTS: [&str; 10] =
    ["train", "training", "val", "valid", "validation", "test", "testing", "eval", "evaluation", "holdout"];

/// What may follow the name of a part in the name of its folder, in lower case; a year may, too.
const SIDES: [&str; 13] =
    ["", "a", "b", "label", "labels", "img", "imgs", "image", "images", "inst", "photos", "set", "data"];

/// At most this many names of a kind are spelt out in a note.
const NAMES_SHOWN: usize = 3;

/// The images below a folder, and what was left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// The images, in order of their paths (code points, so `10.jpg` comes before `2.jpg`).
    pub files: Vec<PictureFile>,
    /// Everything else.
    pub left_out: LeftOut,
}

impl Listing {
    /// What a user should know about this listing of `folder`: what was left out, and files of which only the first page
    /// is read. Looks into the headers of files that may have several pages.
    #[must_use]
    pub fn notes(&self, folder: &Path) -> Vec<String> {
        let notes = [self.left_out.note(), pages::note(&self.files)];
        notes.into_iter().flatten().map(|note| format!("{}: {note}", folder.display())).collect()
    }
}

/// Why an entry of a folder is not among the images.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Reason {
    /// An image or film whose format is not supported; its usual ending, in lower case.
    Format(String),
    /// An image whose name does not end like that of an image.
    NoImageName,
    /// A symbolic link to a folder, which is not followed.
    LinkedFolder,
    /// A symbolic link to nothing.
    DanglingLink,
    /// Neither file nor folder: what it is, with an article.
    Special(&'static str),
    /// A folder that may not be listed.
    Denied,
    /// A folder that was to be left out: results are written there.
    Output,
    /// The folder of a training run.
    Run,
    /// The gallery of a training run.
    Gallery,
    /// A folder whose name begins with a dot.
    HiddenFolder,
    /// A folder named like a part of a dataset, beside images that belong to no part.
    OtherPart,
    /// A file that is no image.
    Other,
}

/// What was found below a folder and is not among its images: paths within the folder, by reason.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LeftOut(BTreeMap<Reason, Vec<PathBuf>>);

impl LeftOut {
    /// The reasons that occur, each with what was left out for it, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&Reason, &[PathBuf])> {
        self.0.iter().map(|(reason, paths)| (reason, paths.as_slice()))
    }

    /// Number of files that are no images: notes, tables and the like. [`LeftOut::note`] passes over them.
    #[must_use]
    pub fn others(&self) -> usize {
        self.0.get(&Reason::Other).map_or(0, Vec::len)
    }

    /// One sentence about everything that somebody may miss: `4 files were left out: 2 .gif, 1 .avif (formats not
    /// supported), 1 link to a folder (more)`.
    #[must_use]
    pub fn note(&self) -> Option<String> {
        let mut formats: Vec<_> = self
            .iter()
            .filter_map(|(reason, paths)| match reason {
                Reason::Format(format) => Some((paths.len(), format)),
                _ => None,
            })
            .collect();
        formats.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(b.1)));
        let mut files: usize = formats.iter().map(|format| format.0).sum();
        let mut folders = 0;
        let (mut file_kinds, mut folder_kinds) = (Vec::new(), Vec::new());
        if !formats.is_empty() {
            let list = formats.iter().map(|(n, format)| format!("{n} .{format}")).collect::<Vec<_>>().join(", ");
            let noun = if formats.len() == 1 { "format" } else { "formats" };
            file_kinds.push(format!("{list} ({noun} not supported)"));
        }
        for (reason, paths) in self.iter() {
            let (count, kinds) = match reason {
                Reason::Format(_) | Reason::Other => continue,
                reason if reason.is_folder() => (&mut folders, &mut folder_kinds),
                _ => (&mut files, &mut file_kinds),
            };
            *count += paths.len();
            kinds.push(format!("{} ({})", reason.counted(paths.len()), names(paths)));
        }
        let sentences = [(files, "file", file_kinds), (folders, "folder", folder_kinds)];
        let sentences: Vec<_> = sentences
            .into_iter()
            .filter(|(count, ..)| *count > 0)
            .map(|(count, noun, kinds)| {
                let were = if count == 1 { format!("1 {noun} was") } else { format!("{count} {noun}s were") };
                format!("{were} left out: {}", kinds.join(", "))
            })
            .collect();
        (!sentences.is_empty()).then(|| sentences.join("; "))
    }

    fn add(&mut self, reason: Reason, path: &Path, folder: &Path) {
        let within = path.strip_prefix(folder).unwrap_or(path).to_path_buf();
        self.0.entry(reason).or_default().push(within);
    }
}

impl Reason {
    /// Whether whole folders are left out for this reason.
    fn is_folder(&self) -> bool {
        matches!(self, Self::Denied | Self::Output | Self::Run | Self::Gallery | Self::HiddenFolder | Self::OtherPart)
    }

    /// `count` entries left out for this reason, in words.
    pub(crate) fn counted(&self, count: usize) -> String {
        let (one, many) = match self {
            Self::Format(format) => return format!("{count} .{format}"),
            Self::Special(kind) => {
                let noun = kind.split_once(' ').map_or(*kind, |(_, noun)| noun);
                return format!("{count} {noun}{}", if count == 1 { "" } else { "s" });
            }
            Self::NoImageName => {
                ("image whose name does not end like an image's", "images whose names do not end like an image's")
            }
            Self::LinkedFolder => ("link to a folder", "links to folders"),
            Self::DanglingLink => ("link to nothing", "links to nothing"),
            Self::Denied => ("folder that may not be read", "folders that may not be read"),
            Self::Output => ("output folder", "output folders"),
            Self::Run => ("training run", "training runs"),
            Self::Gallery => ("gallery of a run", "galleries of runs"),
            Self::HiddenFolder => ("hidden folder", "hidden folders"),
            Self::OtherPart => ("other part of the dataset", "other parts of the dataset"),
            Self::Other => ("other file", "other files"),
        };
        format!("{count} {}", if count == 1 { one } else { many })
    }
}

fn names(paths: &[PathBuf]) -> String {
    let more = paths.len().saturating_sub(NAMES_SHOWN);
    let tail = if more > 0 { format!(" and {more} more") } else { String::new() };
    paths.iter().take(NAMES_SHOWN).map(|path| shown(path)).collect::<Vec<_>>().join(", ") + &tail
}

/// Folders below a listed folder that are not looked into.
#[derive(Debug, Clone, Default)]
pub struct Exclude {
    folders: Vec<FileId>,
    parts: bool,
}

impl Exclude {
    /// Nothing is excluded by its place.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Excludes folders that results are written to, by whatever path they are reached. Those that do not exist yet
    /// hold no images and may be named.
    #[must_use]
    pub fn outputs<P: AsRef<Path>>(folders: impl IntoIterator<Item = P>) -> Self {
        let folders = folders.into_iter().filter_map(|folder| FileId::of(folder.as_ref()).ok()).collect();
        Self { folders, parts: false }
    }

    /// Excludes folders named like a part of a dataset (`test`, …) directly below the listed one: what is listed has no
    /// parts, and images held back for testing must not be trained on.
    pub(crate) fn parts() -> Self {
        Self { folders: Vec::new(), parts: true }
    }
}

/// Lists all images below `folder` with the paths within it.
///
/// Only regular files and links to them are taken. Links to folders are not followed. A folder named `….planes` is one
/// image (see [`crate::decode`]). Hidden folders, training runs and their galleries are left out, and what `exclude`
/// names.
///
/// # Errors
/// [`Error::Io`] if the folder cannot be read. A folder below it that may not be read is left out.
pub fn list_images(folder: &Path, exclude: &Exclude) -> Result<Listing> {
    let mut listing = Listing::default();
    let mut pending = vec![folder.to_path_buf()];
    while let Some(current) = pending.pop() {
        let entries = match fs::read_dir(&current) {
            Err(error) if error.kind() == ErrorKind::PermissionDenied && current != folder => {
                listing.left_out.add(Reason::Denied, &current, folder);
                continue;
            }
            entries => entries.map_err(|e| Error::io("list", &current, e))?,
        };
        for entry in entries {
            let entry = entry.map_err(|e| Error::io("list", &current, e))?;
            let kind = entry.file_type().map_err(|e| Error::io("list", &entry.path(), e))?;
            let path = entry.path();
            match verdict(&path, kind, exclude, current == folder) {
                Verdict::Image => listing.files.push(PictureFile::below(folder, path)),
                Verdict::Enter => pending.push(path),
                Verdict::LeaveOut(reason) => listing.left_out.add(reason, &path, folder),
            }
        }
    }
    listing.files.sort_by(|a, b| bytes(&a.path).cmp(bytes(&b.path)));
    listing.left_out.0.values_mut().for_each(|paths| paths.sort_by(|a, b| bytes(a).cmp(bytes(b))));
    Ok(listing)
}

/// The images below `folder`: [`list_images`] without what was left out.
///
/// # Errors
/// As [`list_images`].
pub fn list_pictures(folder: &Path) -> Result<Vec<PictureFile>> {
    Ok(list_images(folder, &Exclude::none())?.files)
}

fn bytes(path: &Path) -> &[u8] {
    path.as_os_str().as_encoded_bytes()
}

enum Verdict {
    Image,
    Enter,
    LeaveOut(Reason),
}

/// What becomes of an entry; `kind` is its own, without following links.
fn verdict(path: &Path, kind: FileType, exclude: &Exclude, top: bool) -> Verdict {
    if is_planes(path) {
        return Verdict::Image;
    }
    if kind.is_dir() {
        return folder_verdict(path, exclude, top);
    }
    let kind = match kind.is_symlink().then(|| fs::metadata(path)) {
        None => kind,
        Some(Ok(target)) if target.is_dir() => return Verdict::LeaveOut(Reason::LinkedFolder),
        Some(Ok(target)) => target.file_type(),
        Some(Err(_)) => return Verdict::LeaveOut(Reason::DanglingLink),
    };
    if !kind.is_file() {
        return Verdict::LeaveOut(Reason::Special(gan_fs::kind(kind)));
    }
    if is_picture(path) { Verdict::Image } else { Verdict::LeaveOut(other_file(path)) }
}

fn folder_verdict(path: &Path, exclude: &Exclude, top: bool) -> Verdict {
    let name = path.file_name().unwrap_or_default();
    let excluded = || FileId::of(path).is_ok_and(|id| exclude.folders.contains(&id));
    Verdict::LeaveOut(if !exclude.folders.is_empty() && excluded() {
        Reason::Output
    } else if is_hidden(name) {
        Reason::HiddenFolder
    } else if exclude.parts && top && is_part(name) {
        Reason::OtherPart
    } else if is_run(path) {
        Reason::Run
    } else if path.join("gallery.json").is_file() {
        Reason::Gallery
    } else {
        return Verdict::Enter;
    })
}

/// Whether a name is that of an image. (`._x.jpg` holds a desktop's notes about `x.jpg`, not an image.)
pub(crate) fn is_picture(path: &Path) -> bool {
    !is_desktop_note(path) && extension(path).is_some_and(|e| EXTENSIONS.contains(&e.as_str()))
}

fn is_desktop_note(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"._"))
}

fn extension(path: &Path) -> Option<String> {
    path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase())
}

/// Why a regular file is no image.
fn other_file(path: &Path) -> Reason {
    if is_desktop_note(path) {
        return Reason::Other;
    }
    match extension(path).filter(|e| UNSUPPORTED.contains(&e.as_str())) {
        Some(format) => Reason::Format(format),
        None => match sniff(path) {
            Content::Image => Reason::NoImageName,
            Content::Unsupported(format) => Reason::Format(format.to_owned()),
            Content::Other => Reason::Other,
        },
    }
}

pub(crate) fn is_hidden(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".")
}

/// Whether a folder's name is that of a part of a dataset, or of one side of a part: `test`, `trainA`, `val_img`.
pub(crate) fn is_part(name: &OsStr) -> bool {
    let name = name.to_string_lossy().to_ascii_lowercase();
    PARTS.iter().any(|part| {
        name.strip_prefix(part).is_some_and(|rest| {
            let side = rest.trim_start_matches(['_', '-', ' ']);
            SIDES.contains(&side) || side.bytes().all(|b| b.is_ascii_digit())
        })
    })
}

/// Whether a folder is that of a training run.
pub(crate) fn is_run(folder: &Path) -> bool {
    let has = |name: &str| folder.join(name);
    has("config.toml").is_file() && (has("checkpoints").is_dir() || has("run.json").is_file())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// The listing of a folder with these files, made in this order, and its note.
    fn listed(names: &[(&str, &[u8])], exclude: impl Fn(&Path) -> Exclude) -> (Vec<String>, Option<String>, Listing) {
        let dir = tempfile::TempDir::new().unwrap();
        for (name, content) in names {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        let listing = list_images(dir.path(), &exclude(dir.path())).unwrap();
        (listing.files.iter().map(PictureFile::name).collect(), listing.left_out.note(), listing)
    }

    fn none(_: &Path) -> Exclude {
        Exclude::none()
    }

    #[test]
    fn listing_is_recursive_sorted_and_picky() {
        let names = ["10.jpg", "2.JPG", "Z.Png", "note.txt", "._2.jpg", "sub/a.tiff", "noextension", "j.jfif", "k.JPE"];
        let (stems, note, listing) = listed(&names.map(|name| (name, &b""[..])), none);
        assert_eq!(stems, ["10", "2", "Z", "j", "k", "sub/a"]);
        assert_eq!((note, listing.left_out.others()), (None, 3), "notes and tables are counted, not announced");
    }

    #[test]
    fn formats_are_counted_by_name_and_by_content() {
        let (stems, note, listing) = listed(
            &[
                ("a.gif", b""),
                ("b.GIF", b""),
                ("c.avif", b""),
                ("photo.dat", b"\xff\xd8\xff\xe0"),
                ("movie", b"\0\0\0\x20ftypheic"),
                ("P3.txt", b"P3 is a name"),
                ("BM.md", b"BMW"),
            ],
            none,
        );
        assert_eq!((stems.len(), listing.left_out.others()), (0, 2));
        let expected = "5 files were left out: 2 .gif, 1 .avif, 1 .heic (formats not supported), \
                        1 image whose name does not end like an image's (photo.dat)";
        assert_eq!(note.unwrap(), expected);
    }

    #[test]
    fn our_own_folders_are_left_out() {
        let files: &[(&str, &[u8])] = &[
            ("a.png", b""),
            ("run/config.toml", b""),
            ("run/run.json", b""),
            ("run/gallery/x.png", b""),
            ("old/gallery.json", b""),
            ("old/x.png", b""),
            (".thumbs/x.png", b""),
            ("out/deep/x.png", b""),
            ("out2/x.png", b""),
            ("config/config.toml", b""),
            ("config/x.png", b""),
        ];
        let (stems, note, _) = listed(files, |root| Exclude::outputs([root.join("out2/../out"), root.join("none")]));
        assert_eq!(stems, ["a", "config/x", "out2/x"]);
        let expected = "4 folders were left out: 1 output folder (out), 1 training run (run), 1 gallery of a run (old), \
                        1 hidden folder (.thumbs)";
        assert_eq!(note.unwrap(), expected);
        // What is named itself is listed, whatever it is.
        let (stems, note, _) = listed(&[("x.png", b""), ("gallery.json", b"")], |root| Exclude::outputs([root]));
        assert_eq!((stems, note), (vec!["x".to_owned()], None));
    }

    #[test]
    fn other_parts_are_left_out_of_what_has_no_parts() {
        let files = [("a.png", &b""[..]), ("Test/x.png", b""), ("sub/test/y.png", b""), ("testers/z.png", b"")];
        let (stems, note, _) = listed(&files, |_| Exclude::parts());
        assert_eq!(stems, ["a", "sub/test/y", "testers/z"]);
        assert_eq!(note.unwrap(), "1 folder was left out: 1 other part of the dataset (Test)");
        for name in ["train", "TrainA", "val_img", "test_B", "Validation", "val2017", "training_set"] {
            assert!(is_part(OsStr::new(name)), "{name}");
        }
        for name in ["trained", "horse", "latest", "testcard"] {
            assert!(!is_part(OsStr::new(name)), "{name}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn only_regular_files_are_taken() {
        use std::os::unix::fs::symlink;
        let dir = tempfile::TempDir::new().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::create_dir(at("sub")).unwrap();
        fs::write(at("sub/a.png"), "").unwrap();
        symlink(at("sub/a.png"), at("linked.png")).unwrap();
        symlink(at("sub"), at("more")).unwrap();
        symlink(at("sub"), at("folder.png")).unwrap();
        symlink(at("gone"), at("gone.png")).unwrap();
        symlink(at("loop.png"), at("loop.png")).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(at("pipe.png")).status().unwrap().success());
        symlink(at("pipe.png"), at("to_pipe.png")).unwrap();
        let _listener = std::os::unix::net::UnixListener::bind(at("s.png")).unwrap();
        let listing = list_images(dir.path(), &Exclude::none()).unwrap();
        assert_eq!(listing.files.iter().map(PictureFile::name).collect::<Vec<_>>(), ["linked", "sub/a"]);
        let expected = "7 files were left out: 2 links to folders (folder.png, more), 2 links to nothing (gone.png, \
                        loop.png), 2 named pipes (pipe.png, to_pipe.png), 1 socket (s.png)";
        assert_eq!(listing.left_out.note().unwrap(), expected);
    }
}
