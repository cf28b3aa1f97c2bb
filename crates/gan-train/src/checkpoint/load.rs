//! Reading a checkpoint, verified.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use gan_weights::StateDict;

use super::manifest::{self, Manifest, instruction_set, read_manifest};
use super::{Snapshot, Warning, checkpoints_dir, retention, tensors};
use crate::storage::{Storage, read_limited};
use crate::{Error, Result};

/// File stems of what is not a network.
const NO_NETWORKS: [&str; 2] = ["optimizer", "pool"];

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
    load_latest_checked(storage, run, method, |_, _| Ok(()))
}

/// As [`load_latest`], for a checkpoint that `check` accepts as well. What `check` refuses is passed over as damaged files
/// are, so whatever would keep a checkpoint from being used belongs there. It gets the checkpoint's folder and content.
///
/// # Errors
/// As [`load_latest`].
pub fn load_latest_checked(
    storage: &dyn Storage,
    run: &Path,
    method: Option<&str>,
    mut check: impl FnMut(&Path, &Snapshot) -> Result<()>,
) -> Result<Loaded> {
    let (mut loaded, warnings) = newest(storage, run, |folder| {
        if let Some(method) = method.filter(|method| *method != folder.manifest.method) {
            let reason = format!("it belongs to the method {}, this run trains {method}", folder.manifest.method);
            return Err(Error::damaged(&folder.dir.join(manifest::FILE), reason));
        }
        let loaded = folder.load(storage, None)?;
        check(&folder.dir, &loaded.snapshot)?;
        Ok(loaded)
    })?;
    loaded.warnings.splice(0..0, warnings);
    Ok(loaded)
}

/// As [`load_latest`], reading and verifying only the tensor files named by `stems` (translation needs the generator).
///
/// # Errors
/// As [`load_latest`].
pub fn load_latest_files(storage: &dyn Storage, run: &Path, stems: &[&str]) -> Result<Loaded> {
    let (mut loaded, warnings) = newest(storage, run, |folder| folder.load(storage, Some(stems)))?;
    loaded.warnings.splice(0..0, warnings);
    Ok(loaded)
}

/// Reads one checkpoint folder, which may have any name.
///
/// # Errors
/// [`Error::Damaged`] or [`Error::Io`], naming the file.
pub fn load(storage: &dyn Storage, dir: &Path) -> Result<Loaded> {
    Folder::open(storage, dir)?.load(storage, None)
}

/// As [`load`], reading and verifying only the tensor files named by `stems`.
///
/// # Errors
/// As [`load`]; a missing file is [`Error::Damaged`].
pub fn load_files(storage: &dyn Storage, dir: &Path, stems: &[&str]) -> Result<Loaded> {
    Folder::open(storage, dir)?.load(storage, Some(stems))
}

/// The newest checkpoint that `open` takes, and a warning for each newer one. Every choice of a checkpoint is made here.
pub(crate) fn newest<T>(
    storage: &dyn Storage,
    run: &Path,
    mut open: impl FnMut(Folder) -> Result<T>,
) -> Result<(T, Vec<Warning>)> {
    let dir = checkpoints_dir(run);
    let entries = match storage.list(&dir) {
        Ok(entries) => entries,
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Err(Error::NoCheckpoint { path: dir });
        }
        Err(e) => return Err(Error::io("list", &dir, e)),
    };
    let mut refused = Vec::new();
    for candidate in retention::candidates(&entries) {
        let opened = Folder::open(storage, &dir.join(&candidate.name)).and_then(|folder| {
            if folder.manifest.step != candidate.step {
                let reason = format!("it belongs to step {}", folder.manifest.step);
                return Err(Error::damaged(&folder.dir.join(manifest::FILE), reason));
            }
            open(folder)
        });
        match opened {
            Ok(opened) => {
                let used = candidate.step;
                return Ok((opened, refused.into_iter().map(|reason| Warning::Refused { reason, used }).collect()));
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

/// A checkpoint folder whose manifest verifies. Its files are read, and verified, when they are asked for; all of them
/// against this one manifest.
#[derive(Debug, Clone)]
pub(crate) struct Folder {
    pub(crate) dir: PathBuf,
    pub(crate) manifest: Manifest,
}

impl Folder {
    pub(crate) fn open(storage: &dyn Storage, dir: &Path) -> Result<Self> {
        let manifest = read_manifest(storage, dir)?;
        refuse_extra_files(storage, dir, &manifest)?;
        Ok(Folder { dir: dir.to_owned(), manifest })
    }

    /// File stems of the networks.
    pub(crate) fn networks(&self) -> impl Iterator<Item = &str> {
        let stems = self.manifest.files.iter().filter_map(|file| file.name.strip_suffix(".safetensors"));
        stems.filter(|stem| !NO_NETWORKS.contains(stem))
    }

    /// The tensors of the file `stem`.
    pub(crate) fn tensors(&self, storage: &dyn Storage, stem: &str) -> Result<StateDict> {
        let name = format!("{stem}.safetensors");
        if self.manifest.file(&name).is_none() {
            let have: Vec<_> = self.manifest.files.iter().map(|file| file.name.as_str()).collect();
            return Err(Error::damaged(&self.dir, format!("it has no {name}, only {}", have.join(", "))));
        }
        tensors::read(&self.dir.join(&name), &self.read(storage, &name)?)
    }

    /// `state.json`.
    pub(crate) fn read_state(&self, storage: &dyn Storage) -> Result<serde_json::Value> {
        serde_json::from_slice(&self.read(storage, manifest::STATE)?)
            .map_err(|e| Error::damaged(&self.dir.join(manifest::STATE), format!("it is not JSON ({e})")))
    }

    /// `state.json`, and the files of these stems, or all.
    fn load(&self, storage: &dyn Storage, stems: Option<&[&str]>) -> Result<Loaded> {
        let mut snapshot = Snapshot::new(self.manifest.step, self.manifest.method.clone());
        snapshot.model = self.manifest.model.clone();
        for record in &self.manifest.files {
            let path = self.dir.join(&record.name);
            if record.name == manifest::STATE {
                snapshot.state = self.read_state(storage)?;
            } else if let Some(stem) = record.name.strip_suffix(".safetensors") {
                if stems.is_none_or(|stems| stems.contains(&stem)) {
                    snapshot.tensors.push((stem.to_owned(), self.tensors(storage, stem)?.into_iter().collect()));
                }
            } else {
                return Err(Error::damaged(&path, "the manifest lists it, but this version does not know it"));
            }
        }
        for stem in stems.unwrap_or_default().iter().filter(|stem| snapshot.file(stem).is_none()) {
            self.tensors(storage, stem)?; // says what is there instead
        }
        let here = instruction_set();
        let saved = self.manifest.instruction_set.clone();
        let warnings = if saved == here { Vec::new() } else { vec![Warning::InstructionSet { saved, here }] };
        Ok(Loaded { snapshot, dir: self.dir.clone(), warnings })
    }

    /// The bytes of a file that the manifest lists.
    fn read(&self, storage: &dyn Storage, name: &str) -> Result<Vec<u8>> {
        let path = self.dir.join(name);
        let record = self.manifest.file(name).ok_or_else(|| Error::damaged(&path, "the manifest does not list it"))?;
        let bytes = read_limited(storage, &path, record.bytes)?;
        if (bytes.len() as u64) < record.bytes {
            return Err(Error::damaged(&path, format!("it has {} bytes instead of {}", bytes.len(), record.bytes)));
        }
        if blake3::hash(&bytes).to_hex().as_str() != record.blake3 {
            return Err(Error::damaged(&path, "its content does not match the hash in the manifest"));
        }
        Ok(bytes)
    }
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
