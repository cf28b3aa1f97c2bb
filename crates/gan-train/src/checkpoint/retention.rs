//! Which checkpoints stay, and the names they have while they come and go.

use std::path::Path;

use gan_weights::checkpoint::{Candidate, REPLACED, candidates};

use super::Warning;
use crate::storage::{Entry, Storage};

/// Prefix of a folder that is being written.
pub(super) const TEMP: &str = ".tmp-";
/// Prefix of a folder that is being deleted.
const TRASH: &str = ".trash-";

/// Removes what interrupted saves and deletions left. The run's lock guarantees that nobody is writing it.
pub(crate) fn clean(storage: &dyn Storage, dir: &Path) -> Vec<Warning> {
    let entries = match storage.list(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Vec::new(),
        Err(error) => return vec![not_deleted(dir, &error)],
    };
    let stale = |name: &str| [TEMP, TRASH, ".latest", ".best"].iter().any(|prefix| name.starts_with(prefix));
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

/// After `saved` was written: deletes all but the newest `keep` checkpoints up to it (0 keeps all) and those of the steps
/// `stay`, and sets those of later steps aside. The latter exist when the run was resumed from before them, because they
/// are damaged or by the user's choice; left in place, the next resume would jump to them.
pub(super) fn retain(storage: &dyn Storage, dir: &Path, saved: u64, keep: usize, stay: &[u64]) -> Vec<Warning> {
    let entries = match storage.list(dir) {
        Ok(entries) => entries,
        Err(error) => return vec![not_deleted(dir, &error)],
    };
    let mut warnings = Vec::new();
    let mut kept = 0;
    for Candidate { step, name } in candidates(&entries) {
        if step > saved {
            warnings.push(set_aside(storage, dir, &name, &entries));
        } else if name.starts_with(REPLACED) {
            warnings.extend(delete(storage, dir, &name));
        } else {
            kept += 1;
            if keep > 0 && kept > keep && !stay.contains(&step) {
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
