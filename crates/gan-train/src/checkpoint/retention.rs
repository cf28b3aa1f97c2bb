//! Which checkpoints stay, and the names they have while they come and go.

use std::path::Path;

use super::{Warning, checkpoints_dir};
use crate::storage::{Entry, Storage};

/// Prefix of a folder that is being written.
pub(super) const TEMP: &str = ".tmp-";
/// Prefix of a checkpoint that is being replaced by one of the same step.
pub(super) const OLD: &str = ".old-";
/// Prefix of a folder that is being deleted.
const TRASH: &str = ".trash-";

/// A checkpoint found in the folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) step: u64,
    pub(super) name: String,
}

/// The step of a folder named by its step, written as this crate writes it.
fn step_of(name: &str) -> Option<u64> {
    let step: u64 = name.parse().ok()?;
    (step.to_string() == name).then_some(step)
}

/// All checkpoints among `entries`, in the order in which the loader tries them: newest first, and after each one the
/// predecessor that it was replacing, if that was interrupted.
pub(super) fn candidates(entries: &[Entry]) -> Vec<Candidate> {
    let mut found: Vec<(u64, bool, &str)> = entries
        .iter()
        .filter(|entry| entry.is_dir)
        .filter_map(|entry| {
            let name = entry.name.as_str();
            match name.strip_prefix(OLD) {
                Some(rest) => step_of(rest.split('-').next()?).map(|step| (step, false, name)),
                None => step_of(name).map(|step| (step, true, name)),
            }
        })
        .collect();
    found.sort_by(|a, b| b.cmp(a));
    found.into_iter().map(|(step, _, name)| Candidate { step, name: name.to_owned() }).collect()
}

/// Whether a run has a checkpoint, sound or not.
pub(crate) fn exists(storage: &dyn Storage, run: &Path) -> bool {
    storage.list(&checkpoints_dir(run)).is_ok_and(|entries| !candidates(&entries).is_empty())
}

/// Removes what interrupted saves and deletions left. The run's lock guarantees that nobody is writing it.
pub(crate) fn clean(storage: &dyn Storage, dir: &Path) -> Vec<Warning> {
    let entries = match storage.list(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Vec::new(),
        Err(error) => return vec![not_deleted(dir, &error)],
    };
    let stale = |name: &str| [TEMP, TRASH, ".latest"].iter().any(|prefix| name.starts_with(prefix));
    entries.iter().filter(|entry| stale(&entry.name)).filter_map(|entry| remove(storage, dir, entry)).collect()
}

fn remove(storage: &dyn Storage, dir: &Path, entry: &Entry) -> Option<Warning> {
    let path = dir.join(&entry.name);
    let removed = if entry.is_dir { storage.remove_dir_all(&path) } else { storage.remove_file(&path) };
    removed.err().map(|error| not_deleted(&path, &error))
}

fn not_deleted(path: &Path, error: &std::io::Error) -> Warning {
    Warning::NotDeleted { path: path.to_owned(), reason: error.to_string() }
}

/// After `saved` was written: deletes all but the newest `keep` checkpoints up to it (0 keeps all), and sets those of
/// later steps aside. The latter exist when the run was resumed from before them, because they are damaged or by the
/// user's choice; left in place, the next resume would jump to them.
pub(super) fn retain(storage: &dyn Storage, dir: &Path, saved: u64, keep: usize) -> Vec<Warning> {
    let entries = match storage.list(dir) {
        Ok(entries) => entries,
        Err(error) => return vec![not_deleted(dir, &error)],
    };
    let mut warnings = Vec::new();
    let mut kept = 0;
    for Candidate { step, name } in candidates(&entries) {
        if step > saved {
            warnings.push(set_aside(storage, dir, &name, &entries));
        } else if name.starts_with(OLD) {
            warnings.extend(delete(storage, dir, &name));
        } else {
            kept += 1;
            if keep > 0 && kept > keep {
                warnings.extend(delete(storage, dir, &name));
            }
        }
    }
    warnings
}

fn set_aside(storage: &dyn Storage, dir: &Path, name: &str, entries: &[Entry]) -> Warning {
    let base = format!("abandoned-{}", name.trim_start_matches('.'));
    let mut to = base.clone();
    let mut number = 2;
    while entries.iter().any(|entry| entry.name == to) {
        to = format!("{base}-{number}");
        number += 1;
    }
    let path = dir.join(to);
    match storage.rename(&dir.join(name), &path) {
        Ok(()) => Warning::SetAside { path },
        Err(error) => not_deleted(&dir.join(name), &error),
    }
}

/// Renames first: a folder that is half deleted must not look like a checkpoint.
fn delete(storage: &dyn Storage, dir: &Path, name: &str) -> Option<Warning> {
    let trash = dir.join(format!("{TRASH}{}-{}", name.trim_start_matches('.'), std::process::id()));
    let path = dir.join(name);
    storage
        .rename(&path, &trash)
        .and_then(|()| storage.remove_dir_all(&trash))
        .err()
        .map(|error| not_deleted(&path, &error))
}
