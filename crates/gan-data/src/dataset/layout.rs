//! Where the two sides of a dataset lie.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::folder::{is_picture, phase_names, phase_note};

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
pub(crate) struct Located {
    pub(crate) layout: Layout,
    pub(crate) notes: Vec<String>,
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
pub(crate) fn locate_pairs(root: &Path, phase: &str) -> Result<Located> {
    let mut looked = Vec::new();
    for name in phase_names(phase) {
        let notes = phase_note(phase, name).into_iter().collect();
        let joint = root.join(name);
        let split_inside = joint.join("A").is_dir() && joint.join("B").is_dir();
        if joint.is_dir() && !split_inside {
            return Ok(Located { layout: Layout::SideBySide(joint), notes });
        }
        if let Some((a, b)) = two_folders(root, name).into_iter().find(|(a, b)| a.is_dir() && b.is_dir()) {
            return Ok(Located { layout: Layout::TwoFolders(a, b), notes });
        }
        looked.extend([format!("{name}/ (A and B side by side)"), format!("{name}A/ + {name}B/")]);
        looked.extend([format!("{name}_A/ + {name}_B/"), format!("A/{name}/ + B/{name}/")]);
    }
    if let Some(([a, b], note)) = without_phase(root, phase) {
        return Ok(Located { layout: Layout::TwoFolders(a, b), notes: vec![note] });
    }
    if holds_pictures(root) {
        let note = format!("no `{phase}` part: all pictures of the folder are used, as pairs side by side");
        return Ok(Located { layout: Layout::SideBySide(root.to_path_buf()), notes: vec![note] });
    }
    looked.push("A/ + B/".to_owned());
    Err(missing(root, &looked))
}

/// Finds two collections: one folder a side.
pub(crate) fn locate_collections(root: &Path, phase: &str) -> Result<([PathBuf; 2], Vec<String>)> {
    let mut looked = Vec::new();
    for name in phase_names(phase) {
        if let Some((a, b)) = two_folders(root, name).into_iter().find(|(a, b)| a.is_dir() && b.is_dir()) {
            return Ok(([a, b], phase_note(phase, name).into_iter().collect()));
        }
        looked.extend([format!("{name}A/ + {name}B/"), format!("{name}_A/ + {name}_B/")]);
        looked.extend([format!("{name}/A/ + {name}/B/"), format!("A/{name}/ + B/{name}/")]);
    }
    if let Some((folders, note)) = without_phase(root, phase) {
        return Ok((folders, vec![note]));
    }
    if let [a, b] = &folders_with_pictures(root)[..] {
        let note = format!("domain A is {}, domain B is {}; there is no `{phase}` part", a.display(), b.display());
        return Ok(([a.clone(), b.clone()], vec![note]));
    }
    looked.extend(["A/ + B/".to_owned(), "any two folders with pictures".to_owned()]);
    Err(missing(root, &looked))
}

fn without_phase(root: &Path, phase: &str) -> Option<([PathBuf; 2], String)> {
    let folders = [root.join("A"), root.join("B")];
    let note = format!("no `{phase}` part: all of A/ and B/ is used");
    folders.iter().all(|folder| folder.is_dir()).then_some((folders, note))
}

fn folders_with_pictures(root: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut folders: Vec<_> = entries.filter(|path| path.is_dir() && holds_pictures(path)).collect();
    folders.sort();
    folders
}

fn holds_pictures(folder: &Path) -> bool {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).any(|path| is_picture(&path) && path.is_file())
}

/// The first of `{root}/{name}` (for each name that the phase may have) that exists.
pub(crate) fn locate_folder(root: &Path, phase: &str, suffixes: &[&str]) -> Result<(PathBuf, Option<String>)> {
    let mut looked = Vec::new();
    for name in phase_names(phase) {
        for suffix in suffixes {
            let folder = root.join(format!("{name}{suffix}"));
            if folder.is_dir() {
                return Ok((folder, phase_note(phase, name)));
            }
            looked.push(format!("{name}{suffix}/"));
        }
    }
    Err(missing(root, &looked))
}

pub(crate) fn missing(root: &Path, looked: &[String]) -> Error {
    if !root.is_dir() {
        let remedy = "check the path; `fetch-data` downloads the published sets";
        return Error::dataset(root, "the folder does not exist", remedy);
    }
    let mut names: Vec<String> = std::fs::read_dir(root)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    let there = if names.is_empty() { "it has no folders".to_owned() } else { format!("it has {}", names.join(", ")) };
    let reason = format!("looked for {}; {there}", looked.join(", "));
    Error::dataset(root, reason, "name the folders like this, or set phase, root and mode to suit them")
}
