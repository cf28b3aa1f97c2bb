//! The run folder.
//!
//! ```text
//! RUN/config.toml      the resolved configuration, every default written out
//! RUN/run.json         who computed it, and how: version, revision, device, instruction set, seed, argv
//! RUN/events.jsonl     one JSON object a line (see crate::events)
//! RUN/gallery/         pages to look at (see crate::gallery)
//! RUN/checkpoints/     see crate::checkpoint
//! RUN/lock             who is writing
//! ```

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::storage::{Durability, Storage, parent, read_limited, replace_file};
use crate::{Error, Result, RunLock};

/// Largest `config.toml` or `run.json` that is read.
const MAX_BYTES: u64 = 1 << 20;

/// `run.json`: where the numbers of a run come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunInfo {
    /// The method, spelt as on the command line.
    pub method: String,
    /// Version of the program.
    pub version: String,
    /// Revision of the source, where known.
    pub revision: Option<String>,
    /// The device, in words (`cpu`, `cuda:0 NVIDIA …`).
    pub device: String,
    /// Instruction set of the CPU kernels.
    pub instruction_set: String,
    /// Seed of all randomness.
    pub seed: u64,
    /// The command line.
    pub argv: Vec<String>,
}

/// A run folder that is open for writing: nobody else writes it meanwhile.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    lock: RunLock,
}

impl RunFolder {
    /// Makes a new run in `path`, which must be missing or empty.
    ///
    /// # Errors
    /// [`Error::RunFolder`] if something is there already, [`Error::Busy`] if another process is faster.
    pub fn create(storage: &dyn Storage, path: &Path, config: &str, info: &RunInfo) -> Result<Self> {
        create_durably(storage, path)?;
        let lock = RunLock::acquire(path)?;
        let entries = storage.list(path).map_err(|e| Error::io("list", path, e))?;
        if entries.iter().any(|entry| entry.name == "config.toml") {
            return Err(Error::RunFolder {
                path: path.to_owned(),
                reason: "it holds a run already".to_owned(),
                remedy: "resume that run, or choose another folder",
            });
        }
        // A first attempt that was interrupted may have left these; anything else belongs to someone.
        let ours = |name: &str| name == "lock" || name.starts_with("run.json") || name.starts_with('.');
        if let Some(stranger) = entries.iter().find(|entry| !ours(&entry.name)) {
            return Err(Error::RunFolder {
                path: path.to_owned(),
                reason: format!("it is not empty (it contains {})", stranger.name),
                remedy: "choose another folder",
            });
        }
        let run = RunFolder { path: path.to_owned(), lock };
        run.write_info(storage, info)?;
        // The configuration comes last: with it, the folder is a run.
        replace_file(storage, &run.config(), config.as_bytes(), Durability::Durable)?;
        Ok(run)
    }

    /// Opens an existing run for writing.
    ///
    /// # Errors
    /// [`Error::RunFolder`] if there is no run, [`Error::Busy`] if another process writes it.
    pub fn open(storage: &dyn Storage, path: &Path) -> Result<Self> {
        read_config(storage, path)?;
        Ok(RunFolder { path: path.to_owned(), lock: RunLock::acquire(path)? })
    }

    /// Replaces `run.json`; a resumed run records the last launch.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn write_info(&self, storage: &dyn Storage, info: &RunInfo) -> Result<()> {
        let json = serde_json::to_vec_pretty(info).map_err(|e| Error::Unsavable { reason: e.to_string() })?;
        replace_file(storage, &self.path.join("run.json"), &json, Durability::Durable)
    }

    /// Replaces `config.toml`: a resumed run may go on with, for example, more epochs.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn write_config(&self, storage: &dyn Storage, config: &str) -> Result<()> {
        replace_file(storage, &self.config(), config.as_bytes(), Durability::Durable)
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The lock, for telling whose stale lock was taken over.
    pub fn lock(&self) -> &RunLock {
        &self.lock
    }

    /// `RUN/config.toml`.
    pub fn config(&self) -> PathBuf {
        self.path.join("config.toml")
    }

    /// `RUN/events.jsonl`.
    pub fn events(&self) -> PathBuf {
        self.path.join("events.jsonl")
    }

    /// `RUN/gallery`.
    pub fn gallery(&self) -> PathBuf {
        self.path.join("gallery")
    }
}

/// The configuration of the run in `path`, as TOML; needs no lock.
///
/// # Errors
/// [`Error::RunFolder`] if there is no run in `path`.
pub fn read_config(storage: &dyn Storage, path: &Path) -> Result<String> {
    let file = path.join("config.toml");
    let bytes = read_limited(storage, &file, MAX_BYTES).map_err(|error| match error {
        Error::Io { reason, .. }
            if matches!(reason.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) =>
        {
            Error::RunFolder {
                path: path.to_owned(),
                reason: "there is no run in it (no config.toml)".to_owned(),
                remedy: "name the folder that training wrote",
            }
        }
        other => other,
    })?;
    String::from_utf8(bytes).map_err(|_| Error::damaged(&file, "it is not UTF-8"))
}

/// `run.json` of the run in `path`.
///
/// # Errors
/// [`Error::Io`] or [`Error::Damaged`].
pub fn read_info(storage: &dyn Storage, path: &Path) -> Result<RunInfo> {
    let file = path.join("run.json");
    let bytes = read_limited(storage, &file, MAX_BYTES)?;
    serde_json::from_slice(&bytes).map_err(|e| Error::damaged(&file, e.to_string()))
}

/// Creates the folder and flushes the parents that had to be made, so that it survives a power cut.
fn create_durably(storage: &dyn Storage, path: &Path) -> Result<()> {
    let missing: Vec<&Path> = path
        .ancestors()
        .take_while(|dir| !dir.as_os_str().is_empty() && storage.list(dir).is_err())
        .map(parent)
        .collect();
    storage.create_dir_all(path).map_err(|e| Error::io("create", path, e))?;
    for dir in missing.iter().rev() {
        storage.sync_dir(dir).map_err(|e| Error::io("flush", dir, e))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::storage::Disk;

    fn info() -> RunInfo {
        RunInfo {
            method: "pix2pix".to_owned(),
            version: "0.1.0".to_owned(),
            revision: None,
            device: "cpu".to_owned(),
            instruction_set: "x86_64".to_owned(),
            seed: 7,
            argv: vec!["train".to_owned(), "--set lr=1".to_owned()],
        }
    }

    #[test]
    fn create_then_open() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b/run");
        let run = RunFolder::create(&Disk, &path, "[train]\nlr = 2e-4\n", &info()).unwrap();
        assert!(matches!(RunFolder::open(&Disk, &path), Err(Error::Busy { .. })));
        assert!(matches!(RunFolder::create(&Disk, &path, "", &info()), Err(Error::Busy { .. })));
        drop(run);
        let again = RunFolder::create(&Disk, &path, "", &info()).unwrap_err().to_string();
        assert!(again.contains("holds a run already"), "{again}");
        let run = RunFolder::open(&Disk, &path).unwrap();
        assert_eq!(read_config(&Disk, run.path()).unwrap(), "[train]\nlr = 2e-4\n");
        assert_eq!(read_info(&Disk, run.path()).unwrap(), info());
        assert_eq!(run.events(), path.join("events.jsonl"));
    }

    #[test]
    fn a_new_folder_survives_a_power_cut() {
        use crate::storage::volatile::VolatileStorage;
        for case in 0..20 {
            let storage = VolatileStorage::new();
            create_durably(&storage, Path::new("/a/b/run")).unwrap();
            storage.power_cut(&mut gan_rng::Key::new(case, gan_rng::Purpose::Test).stream());
            assert!(storage.list(Path::new("/a/b/run")).is_ok());
        }
    }

    #[test]
    fn odd_targets_are_refused_before_anything_is_written() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("holiday.jpg"), "x").unwrap();
        let error = RunFolder::create(&Disk, folder.path(), "", &info()).unwrap_err().to_string();
        assert!(error.contains("holiday.jpg"), "{error}");
        assert!(!folder.path().join("config.toml").exists());
        for odd in [folder.path().join("holiday.jpg"), folder.path().join("x".repeat(300))] {
            let error = RunFolder::create(&Disk, &odd, "", &info()).unwrap_err().to_string();
            assert!(error.contains(&*odd.to_string_lossy()), "{error}");
            assert!(RunFolder::open(&Disk, &odd).is_err());
        }
        let none = RunFolder::open(&Disk, &folder.path().join("nothing")).unwrap_err().to_string();
        assert!(none.contains("no run in it"), "{none}");
    }

    #[test]
    fn interrupted_creation_can_be_repeated() {
        let folder = tempfile::tempdir().unwrap();
        for left in ["lock", "run.json", ".config.toml.tmp-77"] {
            std::fs::write(folder.path().join(left), "").unwrap();
        }
        RunFolder::create(&Disk, folder.path(), "a = 1", &info()).unwrap();
        assert_eq!(read_config(&Disk, folder.path()).unwrap(), "a = 1");
    }
}
