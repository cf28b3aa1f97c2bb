//! Which images lie below a folder, and what lies there that is not taken.
//!
//! Every command lists folders through [`list_images`], so that nothing is left out without a word.

mod folders;
mod left_out;

use std::fs::{self, FileType};
use std::io::ErrorKind;
use std::path::Path;

use gan_fs::FileId;

pub(crate) use self::folders::{is_hidden, is_part, is_run};
pub use self::left_out::{LeftOut, Reason};
use crate::error::{Error, Result};
use crate::image_file::ImageFile;
use crate::image_name::{UNSUPPORTED, extension, is_desktop_note, is_image, is_planes};
use crate::pages;
use crate::sniff::{Content, sniff};

/// The images below a folder, and what was left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// The images, in order of their paths (code points, so `10.jpg` comes before `2.jpg`).
    pub files: Vec<ImageFile>,
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

    /// Whether folders named like a part are excluded.
    pub(crate) fn excludes_parts(&self) -> bool {
        self.parts
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
                Verdict::Image => listing.files.push(ImageFile::below(folder, path)),
                Verdict::Enter => pending.push(path),
                Verdict::LeaveOut(reason) => listing.left_out.add(reason, &path, folder),
            }
        }
    }
    listing.files.sort_by(|a, b| bytes(&a.path).cmp(bytes(&b.path)));
    listing.left_out.sort_by(|a, b| bytes(a).cmp(bytes(b)));
    Ok(listing)
}

/// The images below `folder`: [`list_images`] without what was left out.
///
/// # Errors
/// As [`list_images`].
pub fn image_files(folder: &Path) -> Result<Vec<ImageFile>> {
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
    if is_image(path) { Verdict::Image } else { Verdict::LeaveOut(other_file(path)) }
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
        (listing.files.iter().map(ImageFile::name).collect(), listing.left_out.note(), listing)
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
                ("a.psd", b""),
                ("b.PSD", b""),
                ("c.avif", b""),
                ("photo.dat", b"\xff\xd8\xff\xe0"),
                ("movie", b"\0\0\0\x20ftypheic"),
                ("P3.txt", b"P3 is a name"),
                ("BM.md", b"BMW"),
            ],
            none,
        );
        assert_eq!((stems.len(), listing.left_out.others()), (0, 2));
        let expected = "5 files were left out: 2 .psd, 1 .avif, 1 .heic (formats not supported), \
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
        assert_eq!(listing.files.iter().map(ImageFile::name).collect::<Vec<_>>(), ["linked", "sub/a"]);
        let expected = "7 files were left out: 2 links to folders (folder.png, more), 2 links to nothing (gone.png, \
                        loop.png), 2 named pipes (pipe.png, to_pipe.png), 1 socket (s.png)";
        assert_eq!(listing.left_out.note().unwrap(), expected);
    }
}
