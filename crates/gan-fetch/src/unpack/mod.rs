//! Unpacks a fetched archive into a fresh folder and lays it out as the catalogue says.
//!
//! The archive is distrusted although its hash may be known: a hash that was recorded on the first fetch says nothing
//! about the first fetch.

pub(crate) mod guard;
#[cfg(test)]
mod mutations;
mod tar_entries;
mod zip_entries;

use std::fs;
use std::path::{Path, PathBuf};

use crate::catalog::{Entry, Format};
use crate::refusal::{Refusal, refuse};
use guard::{Guard, Limits};

type Result<T, E = Refusal> = std::result::Result<T, E>;

/// Unpacks `archive` below `staging` (an empty folder) and returns the folder that is to become the entry. `seen` is told of the
/// bytes that come out.
///
/// # Errors
/// When the archive is damaged or asks for something it may not, and when it does not hold what the catalogue says.
/// Nothing is written outside `staging`.
pub(crate) fn unpack(entry: &Entry, archive: &Path, staging: &Path, seen: &mut dyn FnMut(u64)) -> Result<PathBuf> {
    let size = fs::metadata(archive).map_err(Refusal::disk("read", archive))?.len();
    let mut guard = Guard::new(Limits::new(size, entry.files, entry.unpacked_bytes), seen);
    let unpacked = staging.join("unpacked");
    fs::create_dir(&unpacked).map_err(Refusal::disk("create", &unpacked))?;
    match entry.format {
        Format::Zip => zip_entries::unpack(archive, &unpacked, &mut guard)?,
        Format::Tar => tar_entries::unpack(archive, false, &unpacked, &mut guard)?,
        Format::TarGz => tar_entries::unpack(archive, true, &unpacked, &mut guard)?,
        Format::Safetensors | Format::Pth => refuse!("`{}` is no archive", entry.name),
    }
    let root = find_root(&unpacked, entry)?;
    let root = if entry.moves.is_empty() { root } else { rearrange(&root, &staging.join("arranged"), entry)? };
    for folder in &entry.folders {
        if !root.join(folder).is_dir() {
            refuse!("the archive holds no folder `{folder}`; it holds {}", contents(&root));
        }
    }
    Ok(root)
}

/// The folder named `root` (by default the entry's name), else the only folder there is, else everything.
fn find_root(unpacked: &Path, entry: &Entry) -> Result<PathBuf> {
    let named = unpacked.join(entry.root.as_deref().unwrap_or(&entry.name));
    if named.is_dir() {
        return Ok(named);
    }
    let children: Vec<_> =
        fs::read_dir(unpacked).and_then(Iterator::collect).map_err(Refusal::disk("read", unpacked))?;
    match children.as_slice() {
        [] => refuse!("the archive is empty"),
        [only] if only.path().is_dir() && !entry.folders.iter().any(|folder| only.file_name() == folder.as_str()) => {
            Ok(only.path())
        }
        _ => Ok(unpacked.to_path_buf()),
    }
}

fn rearrange(root: &Path, arranged: &Path, entry: &Entry) -> Result<PathBuf> {
    fs::create_dir(arranged).map_err(Refusal::disk("create", arranged))?;
    for (from, to) in &entry.moves {
        if !root.join(from).is_dir() {
            refuse!("the archive holds no folder `{from}`; it holds {}", contents(root));
        }
        let target = arranged.join(to);
        let parent = gan_fs::parent(&target);
        fs::create_dir_all(parent).map_err(Refusal::disk("create", parent))?;
        fs::rename(root.join(from), &target).map_err(Refusal::disk("create", &target))?;
    }
    Ok(arranged.to_path_buf())
}

/// The names in a folder, for messages.
fn contents(folder: &Path) -> String {
    let mut names: Vec<_> = fs::read_dir(folder)
        .map(|dir| dir.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect())
        .unwrap_or_default();
    names.sort();
    let more = names.len().saturating_sub(8);
    names.truncate(8);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}", names.join(", "))
}
