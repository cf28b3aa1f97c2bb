//! Reading a checkpoint, verified.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::manifest::{self, FileRecord, Manifest, instruction_set, read_manifest};
use super::{Snapshot, Warning, checkpoints_dir, retention, tensors};
use crate::storage::{Storage, read_limited};
use crate::{Error, Result};

/// A checkpoint that was read.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// Its content.
    pub snapshot: Snapshot,
    /// The folder it comes from.
    pub dir: PathBuf,
    /// What the user should know: newer checkpoints that were refused, another instruction set.
    pub warnings: Vec<Warning>,
}

/// Reads the newest checkpoint of a run that verifies.
///
/// With `method` given, checkpoints of other methods are refused.
///
/// # Errors
/// [`Error::NoCheckpoint`] if there is none, [`Error::NoUsableCheckpoint`] if each was refused, with the reasons.
pub fn load_latest(storage: &dyn Storage, run: &Path, method: Option<&str>) -> Result<Loaded> {
    newest(storage, run, method, None)
}

/// As [`load_latest`], reading and verifying only the tensor files named by `stems` (translation needs the generator).
///
/// # Errors
/// As [`load_latest`].
pub fn load_latest_files(storage: &dyn Storage, run: &Path, stems: &[&str]) -> Result<Loaded> {
    newest(storage, run, None, Some(stems))
}

/// Reads one checkpoint folder, which may have any name.
///
/// # Errors
/// [`Error::Damaged`] or [`Error::Io`], naming the file.
pub fn load(storage: &dyn Storage, dir: &Path) -> Result<Loaded> {
    read(storage, dir, None, &|_| Ok(()))
}

/// As [`load`], reading and verifying only the tensor files named by `stems`.
///
/// # Errors
/// As [`load`]; a missing file is [`Error::Damaged`].
pub fn load_files(storage: &dyn Storage, dir: &Path, stems: &[&str]) -> Result<Loaded> {
    read(storage, dir, Some(stems), &|_| Ok(()))
}

fn newest(storage: &dyn Storage, run: &Path, method: Option<&str>, stems: Option<&[&str]>) -> Result<Loaded> {
    let dir = checkpoints_dir(run);
    let entries = match storage.list(&dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Err(Error::NoCheckpoint { path: dir }),
        Err(e) => return Err(Error::io("list", &dir, e)),
    };
    let mut refused = Vec::new();
    for candidate in retention::candidates(&entries) {
        let path = dir.join(&candidate.name);
        let fits = |manifest: &Manifest| {
            let place = path.join(manifest::FILE);
            if manifest.step != candidate.step {
                return Err(Error::damaged(&place, format!("it belongs to step {}", manifest.step)));
            }
            match method {
                Some(method) if method != manifest.method => Err(Error::damaged(
                    &place,
                    format!("it belongs to the method {}, this run trains {method}", manifest.method),
                )),
                _ => Ok(()),
            }
        };
        match read(storage, &path, stems, &fits) {
            Ok(mut loaded) => {
                let skipped = refused.into_iter().map(|reason| Warning::Refused { reason });
                loaded.warnings.splice(0..0, skipped);
                return Ok(loaded);
            }
            Err(error) => refused.push(error.to_string()),
        }
    }
    Err(if refused.is_empty() {
        Error::NoCheckpoint { path: dir }
    } else {
        Error::NoUsableCheckpoint { path: dir, refused }
    })
}

fn read(
    storage: &dyn Storage,
    dir: &Path,
    stems: Option<&[&str]>,
    fits: &dyn Fn(&Manifest) -> Result<()>,
) -> Result<Loaded> {
    let manifest = read_manifest(storage, dir)?;
    fits(&manifest)?;
    refuse_extra_files(storage, dir, &manifest)?;

    let mut snapshot = Snapshot::new(manifest.step, manifest.method.clone());
    let mut missing: HashSet<&str> = stems.unwrap_or_default().iter().copied().collect();
    let mut has_state = false;
    for record in &manifest.files {
        if record.name.contains(['/', '\\']) {
            return Err(Error::damaged(&dir.join(manifest::FILE), "it lists a file outside its folder"));
        }
        let path = dir.join(&record.name);
        if record.name == "state.json" {
            let bytes = read_verified(storage, &path, record)?;
            snapshot.state =
                serde_json::from_slice(&bytes).map_err(|e| Error::damaged(&path, format!("it is not JSON ({e})")))?;
            has_state = true;
        } else if let Some(stem) = record.name.strip_suffix(".safetensors") {
            if stems.is_none_or(|stems| stems.contains(&stem)) {
                let bytes = read_verified(storage, &path, record)?;
                snapshot.tensors.push((stem.to_owned(), tensors::read(&path, &bytes)?));
                missing.remove(stem);
            }
        } else {
            return Err(Error::damaged(&path, "the manifest lists it, but this version does not know it"));
        }
    }
    if !has_state {
        return Err(Error::damaged(&dir.join(manifest::FILE), "it lists no state.json"));
    }
    if let Some(stem) = missing.into_iter().min() {
        let have: Vec<_> = manifest.files.iter().map(|file| file.name.as_str()).collect();
        return Err(Error::damaged(dir, format!("it has no {stem}.safetensors, only {}", have.join(", "))));
    }

    let here = instruction_set();
    let warnings = if manifest.instruction_set == here {
        Vec::new()
    } else {
        vec![Warning::InstructionSet { saved: manifest.instruction_set, here }]
    };
    snapshot.model = manifest.model;
    Ok(Loaded { snapshot, dir: dir.to_owned(), warnings })
}

/// A file that the manifest does not list was put there by someone else: better to ask than to guess.
fn refuse_extra_files(storage: &dyn Storage, dir: &Path, manifest: &Manifest) -> Result<()> {
    let entries = storage.list(dir).map_err(|e| Error::io("list", dir, e))?;
    match entries.iter().find(|entry| entry.name != manifest::FILE && manifest.file(&entry.name).is_none()) {
        Some(extra) => Err(Error::Damaged {
            path: dir.join(&extra.name),
            reason: "the manifest does not list it".to_owned(),
            remedy: "move it out of the checkpoint folder",
        }),
        None => Ok(()),
    }
}

fn read_verified(storage: &dyn Storage, path: &Path, record: &FileRecord) -> Result<Vec<u8>> {
    let bytes = read_limited(storage, path, record.bytes)?;
    if (bytes.len() as u64) < record.bytes {
        return Err(Error::damaged(path, format!("it has {} bytes instead of {}", bytes.len(), record.bytes)));
    }
    if blake3::hash(&bytes).to_hex().as_str() != record.blake3 {
        return Err(Error::damaged(path, "its content does not match the hash in the manifest"));
    }
    Ok(bytes)
}
