//! The run folder.
//!
//! ```text
//! RUN/config.toml      the resolved configuration, every default written out, with a line about each key
//! RUN/run.json         who computed it, and how: version, revision, device, instruction set, seed, every launch
//! RUN/events.jsonl     one JSON object a line (see crate::events)
//! RUN/events.csv       log points and validations as a table, with `train.csv` (see crate::events)
//! RUN/tensorboard/     event files, with `train.tensorboard` (see crate::tensorboard)
//! RUN/gallery/         pages to look at (see crate::gallery)
//! RUN/checkpoints/     see crate::checkpoint
//! RUN/lock             who is writing
//! ```
//!
//! The checkpoints are what a run consists of. The files beside them are for people: where one is missing or damaged, it is
//! written anew.

mod launch;

use std::path::{Path, PathBuf};

use gan_fs::{FileId, FileLock, LockError, parent};
use gan_weights::checkpoint::{Error as FilesError, checkpoints_dir, exists};
pub use launch::Launch;
use serde::{Deserialize, Serialize};

use crate::storage::{Durability, Storage, read_limited, remove_temporary, replace_file};
use crate::{Error, Result, checkpoint};

const CONFIG: &str = "config.toml";
const INFO: &str = "run.json";

/// Largest `config.toml` or `run.json` that is read.
const MAX_BYTES: u64 = 1 << 20;

/// `run.json`: where the numbers of a run come from. What stands beside `launches` belongs to the first of them.
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
    /// Each time that training began or went on, in order; the oldest are dropped if there are very many. Empty in files
    /// of older versions.
    #[serde(default)]
    pub launches: Vec<Launch>,
}

/// A run folder that is open for writing: nobody else writes it meanwhile.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    /// Released when the run folder is dropped.
    _lock: FileLock,
    /// Of the folder that was opened.
    id: FileId,
    config: String,
    info: Option<RunInfo>,
}

impl RunFolder {
    /// Makes a new run in `path`, which must be missing or empty.
    ///
    /// # Errors
    /// [`Error::RunFolder`] if something is there already, [`Error::Busy`] if another process is faster.
    pub fn create(storage: &dyn Storage, path: &Path, config: &str, info: &RunInfo) -> Result<Self> {
        create_durably(storage, path)?;
        // A folder that is refused is left as it is, without a lock.
        if !is_run(storage, path) {
            refuse_strangers(storage, path)?;
        }
        let mut run = Self::locked(path)?;
        if is_run(storage, path) {
            return Err(Error::RunFolder {
                path: path.to_owned(),
                reason: "it already contains a run".to_owned(),
                remedy: "resume that run, or choose another folder",
            });
        }
        refuse_strangers(storage, path)?;
        run.config = config.to_owned();
        run.info = Some(launch::recorded(None, info));
        run.write(storage, INFO)?;
        // The configuration comes last: with it, the folder is a run.
        run.write(storage, CONFIG)?;
        Ok(run)
    }

    /// Opens an existing run for writing, and removes what interrupted writing has left in it.
    ///
    /// # Errors
    /// [`Error::RunFolder`] if there is no run, [`Error::Busy`] if another process writes it.
    pub fn open(storage: &dyn Storage, path: &Path) -> Result<Self> {
        if !is_run(storage, path) {
            return Err(no_run(path));
        }
        let run = Self::locked(path)?;
        // What cannot be removed is in nobody's way; saving reports it.
        checkpoint::clean(storage, &checkpoints_dir(path));
        for folder in [path.to_owned(), run.gallery(), run.gallery().join("images"), run.tensorboard()] {
            remove_temporary(storage, &folder);
        }
        Ok(run)
    }

    fn locked(path: &Path) -> Result<Self> {
        let lock = FileLock::acquire(path).map_err(|error| match error {
            LockError::Held { process } => {
                let owner = process.map_or("another process".to_owned(), |process| format!("process {process}"));
                Error::Busy { path: path.to_owned(), owner }
            }
            LockError::Io(error) => Error::io("lock", &FileLock::path_in(path), error),
        })?;
        let id = FileId::of(path).map_err(|e| Error::io("open", path, e))?;
        Ok(RunFolder { path: path.to_owned(), _lock: lock, id, config: String::new(), info: None })
    }

    /// Begins a launch of an existing run: writes its configuration, which may have changed, and adds the launch to
    /// `run.json`. Returns a line for each file that was missing or damaged.
    ///
    /// # Errors
    /// [`Error::Files`].
    pub fn resume(&mut self, storage: &dyn Storage, config: &str, info: &RunInfo) -> Result<Vec<String>> {
        self.config = config.to_owned();
        self.info = Some(launch::recorded(read_info(storage, &self.path).ok(), info));
        let notes = self.repair(storage)?;
        self.write(storage, INFO)?;
        self.write(storage, CONFIG)?;
        Ok(notes)
    }

    /// Writes `config.toml` and `run.json` anew where they are missing or damaged; a damaged one is kept under another
    /// name. Returns a line for each.
    ///
    /// # Errors
    /// [`Error::Files`].
    pub fn repair(&self, storage: &dyn Storage) -> Result<Vec<String>> {
        let states =
            [(CONFIG, read_config(storage, &self.path).map(drop)), (INFO, read_info(storage, &self.path).map(drop))];
        let mut notes = Vec::new();
        for (name, state) in states {
            let reason = match state {
                Ok(()) => continue,
                Err(Error::Files(FilesError::Io { reason, .. })) => reason.to_string(),
                Err(Error::Files(FilesError::Damaged { reason, .. })) => reason,
                Err(error) => error.to_string(),
            };
            let path = self.path.join(name);
            let aside = self.path.join(format!("{name}.damaged"));
            notes.push(match storage.rename(&path, &aside) {
                Ok(()) => format!(
                    "{} could not be read ({reason}) and was written anew; what stood there is now {}",
                    path.display(),
                    aside.display()
                ),
                Err(_) => format!("{} was missing: it was written anew", path.display()),
            });
            self.write(storage, name)?;
        }
        Ok(notes)
    }

    fn write(&self, storage: &dyn Storage, name: &str) -> Result<()> {
        let path = self.path.join(name);
        if name == CONFIG {
            return replace_file(storage, &path, self.config.as_bytes(), Durability::Flushed);
        }
        let json = serde_json::to_vec_pretty(&self.info).map_err(|e| Error::Unsavable { reason: e.to_string() })?;
        replace_file(storage, &path, &json, Durability::Flushed)
    }

    /// Checks that the folder is still the one that was opened: writing on would make a new one that is no run.
    ///
    /// # Errors
    /// [`Error::Vanished`].
    pub fn check(&self) -> Result<()> {
        let same = FileId::of(&self.path).is_ok_and(|id| id == self.id);
        if same { Ok(()) } else { Err(Error::Vanished { path: self.path.clone() }) }
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// `RUN/events.jsonl`.
    pub fn events(&self) -> PathBuf {
        self.path.join("events.jsonl")
    }

    /// `RUN/events.csv`.
    pub fn table(&self) -> PathBuf {
        self.path.join("events.csv")
    }

    /// `RUN/tensorboard`.
    pub fn tensorboard(&self) -> PathBuf {
        self.path.join("tensorboard")
    }

    /// `RUN/gallery`.
    pub fn gallery(&self) -> PathBuf {
        self.path.join("gallery")
    }
}

/// Whether the folder holds a run: a configuration, or a checkpoint that one can be restored from.
/// Refuses a folder for a new run that holds anything but what an interrupted first attempt may have left: it belongs to
/// someone.
fn refuse_strangers(storage: &dyn Storage, path: &Path) -> Result<()> {
    let entries = storage.list(path).map_err(|e| Error::io("list", path, e))?;
    let ours = |name: &str| name == "lock" || name.starts_with("run.json") || name.starts_with('.');
    match entries.iter().find(|entry| !ours(&entry.name)) {
        Some(stranger) => Err(Error::RunFolder {
            path: path.to_owned(),
            reason: format!("it is not empty (it contains {})", stranger.name),
            remedy: "choose another folder",
        }),
        None => Ok(()),
    }
}

fn is_run(storage: &dyn Storage, path: &Path) -> bool {
    let has_config = storage.list(path).is_ok_and(|entries| entries.iter().any(|entry| entry.name == CONFIG));
    has_config || exists(storage, path)
}

fn no_run(path: &Path) -> Error {
    Error::RunFolder {
        path: path.to_owned(),
        reason: "there is no run in it (no config.toml, no checkpoint)".to_owned(),
        remedy: "name the folder that training wrote",
    }
}

/// `config.toml` of the run in `path`; needs no lock. It is a copy for people: what a checkpoint seals has precedence.
///
/// # Errors
/// [`Error::RunFolder`] if there is none, [`Error::Files`] if it cannot be read or is not TOML.
pub fn read_config(storage: &dyn Storage, path: &Path) -> Result<String> {
    let file = path.join(CONFIG);
    let bytes = read_limited(storage, &file, MAX_BYTES).map_err(|error| match error {
        FilesError::Io { reason, .. }
            if matches!(reason.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) =>
        {
            no_run(path)
        }
        other => other.into(),
    })?;
    let text = String::from_utf8(bytes).map_err(|_| Error::damaged(&file, "it is not UTF-8"))?;
    match text.trim_start_matches('\u{feff}').parse::<toml::Table>() {
        Ok(_) => Ok(text),
        Err(error) => Err(Error::damaged(&file, format!("it is not TOML ({})", error.message()))),
    }
}

/// `run.json` of the run in `path`.
///
/// # Errors
/// [`Error::Files`].
pub fn read_info(storage: &dyn Storage, path: &Path) -> Result<RunInfo> {
    let file = path.join(INFO);
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
    use crate::storage::{Disk, Files};

    fn info() -> RunInfo {
        RunInfo {
            method: "pix2pix".to_owned(),
            version: "0.1.0".to_owned(),
            revision: None,
            device: "cpu".to_owned(),
            instruction_set: "x86_64".to_owned(),
            seed: 7,
            argv: vec!["train".to_owned(), "--set lr=1".to_owned()],
            launches: Vec::new(),
        }
    }

    fn another_launch() -> RunInfo {
        RunInfo { device: "cuda:0".to_owned(), argv: vec!["train".to_owned(), "--resume".to_owned()], ..info() }
    }

    #[test]
    fn create_then_open() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b/run");
        let run = RunFolder::create(&Disk, &path, "[train]\nlr = 2e-4\n", &info()).unwrap();
        let busy = RunFolder::open(&Disk, &path).unwrap_err();
        assert!(busy.to_string().contains(&format!("process {}", std::process::id())), "{busy}");
        assert!(matches!(RunFolder::create(&Disk, &path, "", &info()), Err(Error::Busy { .. })));
        drop(run);
        let again = RunFolder::create(&Disk, &path, "", &info()).unwrap_err().to_string();
        assert!(again.contains("already contains a run"), "{again}");
        let mut run = RunFolder::open(&Disk, &path).unwrap();
        assert_eq!(read_config(&Disk, run.path()).unwrap(), "[train]\nlr = 2e-4\n");
        let first = read_info(&Disk, run.path()).unwrap();
        assert_eq!(RunInfo { launches: Vec::new(), ..first.clone() }, info());
        assert_eq!(first.launches.len(), 1);
        assert_eq!(run.resume(&Disk, "a = 1", &another_launch()).unwrap(), [""; 0]);
        let second = read_info(&Disk, run.path()).unwrap();
        assert_eq!(second.argv, info().argv, "the first command line is kept");
        assert_eq!((second.launches[0].clone(), second.launches.len()), (first.launches[0].clone(), 2));
        assert_eq!(second.launches[1].argv, ["train", "--resume"]);
        assert_eq!(second.launches[1].device, "cuda:0");
        assert_eq!(run.events(), path.join("events.jsonl"));
    }

    #[test]
    fn files_that_are_missing_or_damaged_are_written_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run");
        let run = RunFolder::create(&Disk, &path, "a = 1", &info()).unwrap();
        assert_eq!(run.repair(&Disk).unwrap(), [""; 0]);
        let written = read_info(&Disk, &path).unwrap();
        for name in [CONFIG, INFO] {
            std::fs::remove_file(path.join(name)).unwrap();
            let notes = run.repair(&Disk).unwrap();
            assert!(notes.len() == 1 && notes[0].contains(name) && notes[0].contains("missing"), "{notes:?}");
            std::fs::write(path.join(name), [b'=', 0xff]).unwrap();
            let notes = run.repair(&Disk).unwrap();
            assert!(notes.len() == 1 && notes[0].contains("damaged"), "{notes:?}");
            assert_eq!(std::fs::read(path.join(format!("{name}.damaged"))).unwrap(), [b'=', 0xff]);
            assert_eq!(read_config(&Disk, &path).unwrap(), "a = 1");
            assert_eq!(read_info(&Disk, &path).unwrap(), written);
        }
        // An edit that is TOML is a wish for the next launch.
        std::fs::write(path.join(CONFIG), "a = 2").unwrap();
        assert_eq!(run.repair(&Disk).unwrap(), [""; 0]);
        assert_eq!(read_config(&Disk, &path).unwrap(), "a = 2");
    }

    #[test]
    fn run_info_of_older_versions() {
        let folder = tempfile::tempdir().unwrap();
        let mut run = RunFolder::create(&Disk, folder.path(), "a = 1", &info()).unwrap();
        let old = r#"{"method":"pix2pix","version":"0.1.0","revision":null,"device":"cpu","instruction_set":"x","seed":7,"argv":["old"]}"#;
        std::fs::write(folder.path().join(INFO), old).unwrap();
        assert_eq!(run.resume(&Disk, "a = 1", &another_launch()).unwrap(), [""; 0]);
        let read = read_info(&Disk, folder.path()).unwrap();
        assert_eq!((read.argv[0].as_str(), read.launches.len()), ("old", 1));
    }

    #[test]
    fn a_folder_that_vanishes_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run");
        let run = RunFolder::create(&Disk, &path, "a = 1", &info()).unwrap();
        run.check().unwrap();
        std::fs::rename(&path, folder.path().join("elsewhere")).unwrap();
        assert!(matches!(run.check(), Err(Error::Vanished { .. })));
        std::fs::create_dir(&path).unwrap();
        assert!(matches!(run.check(), Err(Error::Vanished { .. })), "another folder of the same name");
    }

    #[test]
    fn leftovers_are_removed_when_a_run_is_opened() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        drop(RunFolder::create(&Disk, path, "a = 1", &info()).unwrap());
        let left = [".config.toml.tmp-7", "checkpoints/.trash-3-7/state.json", "checkpoints/.tmp-4-7/g.safetensors"];
        let left = left.into_iter().chain(["gallery/.index.html.tmp-7", "gallery/images/.a.png.tmp-7"]);
        let mine = [".hidden", "gallery/.tmp-note.txt", "checkpoints/abandoned-9/state.json"];
        for name in left.clone().chain(mine) {
            std::fs::create_dir_all(path.join(name).parent().unwrap()).unwrap();
            std::fs::write(path.join(name), "x").unwrap();
        }
        RunFolder::open(&Disk, path).unwrap();
        for name in left {
            assert!(!path.join(name).exists(), "{name}");
        }
        assert!(!path.join("checkpoints/.trash-3-7").exists());
        assert!(mine.iter().all(|name| path.join(name).exists()));
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
        let left: Vec<_> = Disk.list(folder.path()).unwrap().into_iter().map(|entry| entry.name).collect();
        assert_eq!(left, ["holiday.jpg"], "a folder that is refused stays as it is");
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
