//! Where the sides of a dataset lie, and which images they hold.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::image_file::ImageFile;
use crate::image_name::{is_image, is_planes};
use crate::listing::{Exclude, is_hidden, is_part, is_run, list_images};

/// What to do where the sides of a dataset are not found, and where label maps are not.
const SIDES: &str = "name the folders with folder_a and folder_b, or rename them";
const MAPS: &str = "name the folders with label_folder, image_folder and instance_folder, or rename them";

/// How pairs are stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Layout {
    /// One file a pair, A left and B right.
    SideBySide(PathBuf),
    /// One folder a side.
    TwoFolders(PathBuf, PathBuf),
}

/// A layout, and what the user should know about how it was found.
#[derive(Debug)]
pub(crate) struct Located<T> {
    pub(crate) layout: T,
    /// What is left out when the folders are listed.
    pub(crate) exclude: Exclude,
    pub(crate) notes: Vec<String>,
}

impl<T> Located<T> {
    /// Folders of the phase itself.
    fn phase(layout: T, asked: &str, used: &str) -> Self {
        Self { layout, exclude: Exclude::none(), notes: phase_note(asked, used).into_iter().collect() }
    }

    /// Folders that are not divided into phases.
    fn whole(layout: T, note: String) -> Self {
        Self { layout, exclude: Exclude::parts(), notes: vec![note] }
    }
}

/// The names under which a phase is looked for: `test` falls back to `val`, as several published sets have no `test`.
pub(crate) fn phase_names(phase: &str) -> Vec<&str> {
    if phase == "test" { vec!["test", "val"] } else { vec![phase] }
}

/// The note to give when another phase than the one asked for is used.
pub(crate) fn phase_note(asked: &str, used: &str) -> Option<String> {
    (asked != used).then(|| format!("there is no `{asked}` part; `{used}` is used instead"))
}

/// The pairs of folders that may hold the two sides of a phase.
fn two_folders(root: &Path, phase: &str) -> [(PathBuf, PathBuf); 4] {
    [
        (root.join(format!("{phase}A")), root.join(format!("{phase}B"))),
        (root.join(format!("{phase}_A")), root.join(format!("{phase}_B"))),
        (root.join(phase).join("A"), root.join(phase).join("B")),
        (root.join("A").join(phase), root.join("B").join(phase)),
    ]
}

/// Finds pairs: `{root}/{phase}` with side-by-side files, or one folder a side.
pub(crate) fn locate_pairs(root: &Path, phase: &str) -> Result<Located<Layout>> {
    let mut looked = Vec::new();
    for name in phase_names(phase) {
        let joint = root.join(name);
        let split_inside = joint.join("A").is_dir() && joint.join("B").is_dir();
        if joint.is_dir() && !split_inside {
            return Ok(Located::phase(Layout::SideBySide(joint), phase, name));
        }
        if let Some((a, b)) = two_folders(root, name).into_iter().find(|(a, b)| a.is_dir() && b.is_dir()) {
            return Ok(Located::phase(Layout::TwoFolders(a, b), phase, name));
        }
        looked.extend([format!("{name}/ (A and B side by side)"), format!("{name}A/ + {name}B/")]);
        looked.extend([format!("{name}_A/ + {name}_B/"), format!("A/{name}/ + B/{name}/")]);
    }
    if let Some(([a, b], note)) = without_phase(root, phase) {
        return Ok(Located::whole(Layout::TwoFolders(a, b), note));
    }
    if let Some(note) = flat(root, phase) {
        return Ok(Located::whole(Layout::SideBySide(root.to_path_buf()), format!("{note}, as pairs side by side")));
    }
    looked.push("A/ + B/".to_owned());
    Err(missing(root, &looked, SIDES))
}

/// Finds two collections: one folder a side.
pub(crate) fn locate_collections(root: &Path, phase: &str) -> Result<Located<[PathBuf; 2]>> {
    let mut looked = Vec::new();
    for name in phase_names(phase) {
        if let Some((a, b)) = two_folders(root, name).into_iter().find(|(a, b)| a.is_dir() && b.is_dir()) {
            return Ok(Located::phase([a, b], phase, name));
        }
        looked.extend([format!("{name}A/ + {name}B/"), format!("{name}_A/ + {name}_B/")]);
        looked.extend([format!("{name}/A/ + {name}/B/"), format!("A/{name}/ + B/{name}/")]);
    }
    if let Some((folders, note)) = without_phase(root, phase) {
        return Ok(Located::whole(folders, note));
    }
    let domains = domains(root);
    if let [a, b] = &domains[..] {
        let note = format!("domain A is {}, domain B is {}; there is no `{phase}` part", a.display(), b.display());
        return Ok(Located::whole([a.clone(), b.clone()], note));
    }
    if domains.len() > 2 {
        let names: Vec<_> = domains.iter().filter_map(|path| path.file_name()).map(|n| n.to_string_lossy()).collect();
        let reason = format!("{} folders hold images: {}", domains.len(), names.join(", "));
        return Err(Error::dataset(root, reason, "name the two that are meant: folder_a and folder_b"));
    }
    looked.extend(["A/ + B/".to_owned(), "any two folders with images".to_owned()]);
    Err(missing(root, &looked, SIDES))
}

/// Finds photographs: `{root}/{phase}`, or all of a folder that has no phases.
pub(crate) fn locate_photographs(root: &Path, phase: &str) -> Result<Located<PathBuf>> {
    match locate_folder(root, phase, &[""]) {
        Ok((folder, used)) => Ok(Located::phase(folder, phase, &used)),
        Err(error) => match flat(root, phase) {
            Some(note) => Ok(Located::whole(root.to_path_buf(), note)),
            None => Err(error),
        },
    }
}

fn without_phase(root: &Path, phase: &str) -> Option<([PathBuf; 2], String)> {
    let folders = [root.join("A"), root.join("B")];
    let note = format!("no `{phase}` part found; using all of A/ and B/");
    folders.iter().all(|folder| folder.is_dir()).then_some((folders, note))
}

/// The note to give when a folder that holds images itself is used as a whole.
fn flat(root: &Path, phase: &str) -> Option<String> {
    holds_images(root).then(|| format!("no `{phase}` part found; using all images of the folder"))
}

/// Folders that may be the two domains: those that hold images and are not parts of a dataset, runs or hidden.
pub(crate) fn domains(root: &Path) -> Vec<PathBuf> {
    let ours = |path: &Path| {
        let name = path.file_name().unwrap_or_default();
        is_hidden(name) || is_part(name) || is_run(path) || path.join("gallery.json").is_file()
    };
    let mut folders = subfolders(root);
    folders.retain(|path| !ours(path) && holds_images(path));
    folders
}

/// Folders in `root`, links to folders included, in order of their names.
fn subfolders(root: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut folders: Vec<_> = entries.filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}

/// The names of the folders in `root`, in order.
pub(crate) fn subfolder_names(root: &Path) -> Vec<String> {
    subfolders(root)
        .iter()
        .filter_map(|path| path.file_name())
        .map(|name| name.to_string_lossy().into_owned())
        .collect()
}

pub(crate) fn holds_images(folder: &Path) -> bool {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).any(|path| is_planes(&path) || (is_image(&path) && path.is_file()))
}

/// The first of `{root}/{name}{suffix}` that exists, for each name that the phase may have; and that name.
pub(crate) fn locate_folder(root: &Path, phase: &str, suffixes: &[&str]) -> Result<(PathBuf, String)> {
    locate_under(root, &phase_names(phase), suffixes)
}

/// As [`locate_folder`], under the very name that another part of the dataset was found: parts of two phases do not
/// belong together.
pub(crate) fn locate_beside(root: &Path, name: &str, suffixes: &[&str]) -> Result<PathBuf> {
    locate_under(root, &[name], suffixes).map(|(folder, _)| folder)
}

fn locate_under(root: &Path, names: &[&str], suffixes: &[&str]) -> Result<(PathBuf, String)> {
    let mut looked = Vec::new();
    for name in names {
        for suffix in suffixes {
            let folder = root.join(format!("{name}{suffix}"));
            if folder.is_dir() {
                return Ok((folder, (*name).to_owned()));
            }
            looked.push(format!("{name}{suffix}/"));
        }
    }
    let remedy = if suffixes == [""] { "rename the folder, or name it as the dataset" } else { MAPS };
    Err(missing(root, &looked, remedy))
}

/// The error for a dataset whose folders are not there; `looked` names those that were looked for.
pub(crate) fn missing(root: &Path, looked: &[String], remedy: &str) -> Error {
    match std::fs::metadata(root) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Error::dataset(root, "the folder does not exist", "check the path");
        }
        Err(error) => return Error::io("read", root, error),
        Ok(metadata) if !metadata.is_dir() => {
            let reason = format!("it is {}", gan_fs::kind(metadata.file_type()));
            return Error::dataset(root, reason, "name the folder of the dataset");
        }
        Ok(_) => {}
    }
    let names = subfolder_names(root);
    let there = if names.is_empty() { "it has no folders".to_owned() } else { format!("it has {}", names.join(", ")) };
    let reason = format!("looked for {}; {there}", looked.join(", "));
    Error::dataset(root, reason, remedy)
}

/// The images of a folder; what is to be said about the listing is added to `notes`.
pub(crate) fn images(folder: &Path, exclude: &Exclude, notes: &mut Vec<String>) -> Result<Vec<ImageFile>> {
    let listing = list_images(folder, exclude)?;
    notes.extend(listing.notes(folder));
    Ok(listing.files)
}

/// Keeps the first `limit` of a sorted list and refuses an empty one; `notes` may say why it is empty.
pub(crate) fn limited<T>(mut items: Vec<T>, limit: Option<usize>, folder: &Path, notes: &[String]) -> Result<Vec<T>> {
    if items.is_empty() {
        let mut reason = "there is not one image in it (png, jpg, webp, gif, bmp, ppm, tiff)".to_owned();
        notes.iter().for_each(|note| reason += &format!("; {note}"));
        return Err(Error::dataset(folder, reason, "put images there, or name another folder"));
    }
    if limit == Some(0) {
        return Err(Error::config("max_dataset_size is 0", "leave it out to use everything"));
    }
    items.truncate(limit.unwrap_or(usize::MAX));
    Ok(items)
}
