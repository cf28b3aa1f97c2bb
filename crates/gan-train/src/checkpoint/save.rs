//! Writing a checkpoint.

use std::collections::HashSet;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use gan_weights::checkpoint::{
    self, BEST, FileRecord, MANIFEST, MODEL, Manifest, REPLACED, STATE, best_step, checkpoints_dir,
};

use super::retention::{self, TEMP};
use super::{Snapshot, Warning, instruction_set, name_best, tensors};
use crate::storage::{Durability, Storage, StorageFile, replace_file};
use crate::{Error, Result};

/// A checkpoint that was written.
#[derive(Debug, Clone)]
pub struct Saved {
    /// Its folder.
    pub path: PathBuf,
    /// Bytes of all its files but the manifest.
    pub bytes: u64,
    /// What did not work but does not matter for resuming.
    pub warnings: Vec<Warning>,
}

/// Which checkpoints stay when one has been written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Keep {
    /// So many of the newest; 0 keeps all.
    pub newest: usize,
    /// Step of the best by validation, which stays as well and is named by the file `best`. Without one, what that file names
    /// stays.
    pub best: Option<u64>,
}

impl From<usize> for Keep {
    fn from(newest: usize) -> Self {
        Keep { newest, best: None }
    }
}

/// Writes `snapshot` to `RUN/checkpoints/<step>/` and afterwards deletes all checkpoints but those that `keep` names. A
/// checkpoint of the same step is replaced.
///
/// # Errors
/// [`Error::NonFinite`], [`Error::Unsavable`] or [`Error::Files`]. Nothing older has been touched then, and the partial
/// checkpoint has been removed as far as the disk lets us.
pub fn save(storage: &dyn Storage, run: &Path, snapshot: &Snapshot, keep: impl Into<Keep>) -> Result<Saved> {
    let dir = checkpoints_dir(run);
    storage.create_dir_all(&dir).map_err(|e| Error::io("create", &dir, e))?;
    storage.sync_dir(run).map_err(|e| Error::io("flush", run, e))?;
    let mut warnings = retention::clean(storage, &dir);

    let temp = dir.join(format!("{TEMP}{}-{}", snapshot.step, std::process::id()));
    let target = dir.join(snapshot.step.to_string());
    let bytes = match write(storage, &temp, snapshot)
        .and_then(|bytes| publish(storage, &dir, &temp, &target).map(|()| bytes))
    {
        Ok(bytes) => bytes,
        Err(error) => {
            let _ = storage.remove_dir_all(&temp);
            return Err(error);
        }
    };

    let hint = dir.join("latest");
    if let Err(error) = replace_file(storage, &hint, format!("{}\n", snapshot.step).as_bytes(), Durability::Flushed) {
        warnings.push(Warning::Hint { file: "latest", reason: error.to_string() });
    }
    let keep = keep.into();
    if let Some(best) = keep.best
        && let Err(error) = name_best(storage, run, best)
    {
        warnings.push(Warning::Hint { file: BEST, reason: error.to_string() });
    }
    // What the file names stays, whether or not it could be written. If that cannot be told, nothing is deleted.
    let (newest, named) = match best_step(storage, run) {
        Ok(named) => (keep.newest, named),
        Err(error @ checkpoint::Error::Io { .. }) => {
            warnings.push(Warning::Unreadable { reason: error.to_string() });
            (0, None)
        }
        Err(_) => (keep.newest, None),
    };
    let stay: Vec<u64> = keep.best.into_iter().chain(named).collect();
    warnings.extend(retention::retain(storage, &dir, snapshot.step, newest, &stay));
    Ok(Saved { path: target, bytes, warnings })
}

/// Gives the finished folder its name.
fn publish(storage: &dyn Storage, dir: &Path, temp: &Path, target: &Path) -> Result<()> {
    let flush = || storage.sync_dir(dir).map_err(|e| Error::io("flush", dir, e));
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    let taken = storage.list(dir).map_err(|e| Error::io("list", dir, e))?.iter().any(|entry| entry.name == name);
    // A folder cannot replace a folder in one rename. The old one gets a name that the loader still knows, so that
    // at every instant one of the two is found.
    let old = dir.join(format!("{REPLACED}{name}-{}", std::process::id()));
    if taken {
        storage.rename(target, &old).map_err(|e| Error::io("rename", target, e))?;
        flush()?;
    }
    if let Err(error) = storage.rename(temp, target) {
        if taken {
            let _ = storage.rename(&old, target);
        }
        return Err(Error::io("rename", temp, error));
    }
    flush()
}

fn write(storage: &dyn Storage, temp: &Path, snapshot: &Snapshot) -> Result<u64> {
    storage.create_dir_all(temp).map_err(|e| Error::io("create", temp, e))?;
    let mut files = Vec::new();
    let mut stems = HashSet::new();
    for (stem, named) in &snapshot.tensors {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if stem.is_empty() || !stem.chars().all(plain) || !stems.insert(stem.to_ascii_lowercase()) {
            return Err(Error::Unsavable { reason: format!("`{stem}` cannot be a file name, or occurs twice") });
        }
        let name = format!("{stem}.safetensors");
        files.push(write_file(storage, temp, &name, |out, path| tensors::write(out, path, &name, named))?);
    }
    for (name, value) in [(MODEL, snapshot.model_json.as_ref()), (STATE, Some(&snapshot.state))] {
        if let Some(value) = value {
            let json = serde_json::to_vec_pretty(value).map_err(unsavable)?;
            files.push(write_file(storage, temp, name, |out, path| write_bytes(out, path, &json))?);
        }
    }

    let bytes = files.iter().map(|file| file.bytes).sum();
    let mut manifest = Manifest {
        format: Manifest::format_of(&files),
        step: snapshot.step,
        method: snapshot.method.clone(),
        instruction_set: instruction_set(),
        versions: [("gan-train".to_owned(), env!("CARGO_PKG_VERSION").to_owned())].into(),
        model: snapshot.model.clone(),
        files,
        seal: String::new(),
    };
    let encoded = manifest.encode().map_err(unsavable)?;
    // What cannot be read back must not be written: it would be refused when it is needed.
    Manifest::decode(&temp.join(MANIFEST), &encoded)?;
    write_file(storage, temp, MANIFEST, |out, path| write_bytes(out, path, &encoded))?;
    storage.sync_dir(temp).map_err(|e| Error::io("flush", temp, e))?;
    Ok(bytes)
}

fn unsavable(error: serde_json::Error) -> Error {
    Error::Unsavable { reason: error.to_string() }
}

fn write_bytes(out: &mut dyn Write, path: &Path, bytes: &[u8]) -> Result<()> {
    out.write_all(bytes).map_err(|e| Error::io("write", path, e))
}

/// Writes and flushes one file, hashing what passes.
fn write_file(
    storage: &dyn Storage,
    dir: &Path,
    name: &str,
    content: impl FnOnce(&mut dyn Write, &Path) -> Result<()>,
) -> Result<FileRecord> {
    let path = dir.join(name);
    let file = storage.create(&path).map_err(|e| Error::io("create", &path, e))?;
    let mut out = Hashed { file, hasher: blake3::Hasher::new(), bytes: 0 };
    content(&mut out, &path)?;
    out.flush().map_err(|e| Error::io("write", &path, e))?;
    out.file.sync().map_err(|e| Error::io("flush", &path, e))?;
    Ok(FileRecord { name: name.to_owned(), bytes: out.bytes, blake3: out.hasher.finalize().to_hex().to_string() })
}

struct Hashed {
    file: Box<dyn StorageFile>,
    hasher: blake3::Hasher,
    bytes: u64,
}

impl Write for Hashed {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let written = self.file.write(buf)?;
        self.hasher.update(&buf[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
