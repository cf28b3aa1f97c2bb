//! Checkpoints: a folder with a manifest that is written last.
//!
//! ```text
//! RUN/checkpoints/5000/manifest.json         sizes and blake3 hashes of the files below, and a seal over itself
//! RUN/checkpoints/5000/<stem>.safetensors    one for each network, `optimizer`, `pool`, …
//! RUN/checkpoints/5000/state.json            counters and whatever else the method and the trainer keep
//! RUN/checkpoints/latest                     name of the newest; a hint for people and scripts
//! ```
//!
//! **Promise.** After the first successful [`save`] there is always a checkpoint that [`load_latest`] accepts, whatever
//! stops the process or the machine. A checkpoint is written to a temporary folder, every file is flushed, the folder
//! gets its name by one rename, and older ones are deleted only afterwards. A checkpoint that was damaged later is
//! refused by its hashes, and the next older one is used with a warning.

mod load;
mod manifest;
mod retention;
mod save;
pub(crate) mod tensors;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::{Path, PathBuf};

use candle_core::Tensor;

pub(crate) use load::{Folder, newest};
pub use load::{Loaded, load, load_files, load_latest, load_latest_checked, load_latest_files};
pub use manifest::{FORMAT, FileRecord, Manifest, instruction_set, read_manifest};
pub(crate) use retention::{clean, exists};
pub use save::{Saved, save};

/// Named tensors of one file that is to be written, in the order of the state dict. [`save`] refuses a name that occurs
/// twice.
pub type NamedTensors = Vec<(String, Tensor)>;

/// Everything a run needs to go on.
///
/// The tensors may be views of the parameters in use, on any device: [`save`] reads them when it writes.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// Steps done so far; names the checkpoint.
    pub step: u64,
    /// The method, spelt as on the command line.
    pub method: String,
    /// What translation needs beside the weights: architecture and preprocessing. Kept in the manifest.
    pub model: serde_json::Value,
    /// File stem (`generator` becomes `generator.safetensors`) and the tensors of that file. Stems are made of ASCII
    /// letters, digits, `_`, `-`; element types are U8, U32, I64, F32 and F64. All values are finite.
    pub tensors: Vec<(String, NamedTensors)>,
    /// Counters, schedule, scaler, position in the data: anything else that continues. Kept in `state.json`.
    pub state: serde_json::Value,
}

impl Snapshot {
    /// A snapshot of `step` without any content.
    pub fn new(step: u64, method: impl Into<String>) -> Self {
        Snapshot {
            step,
            method: method.into(),
            model: serde_json::Value::Null,
            tensors: Vec::new(),
            state: serde_json::Value::Null,
        }
    }

    /// The tensors of the file `stem`.
    pub fn file(&self, stem: &str) -> Option<&NamedTensors> {
        self.tensors.iter().find(|(name, _)| name == stem).map(|(_, tensors)| tensors)
    }
}

/// Something that did not stop a save or a load but that the user should know.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Warning {
    /// A checkpoint was refused and an older one is used.
    Refused {
        /// Why, with the path of the bad file.
        reason: String,
        /// Step of the checkpoint that is used instead.
        used: u64,
    },
    /// The checkpoint was written with another instruction set: continuing is not bit-exact.
    InstructionSet {
        /// The one that wrote it.
        saved: String,
        /// The one of this machine.
        here: String,
    },
    /// A checkpoint of a later step than the one just saved was renamed, so that resuming does not jump to it.
    SetAside {
        /// Its new path.
        path: PathBuf,
    },
    /// Something superfluous could not be deleted.
    NotDeleted {
        /// What is still there.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The file `latest` could not be updated. Resuming does not need it.
    Hint {
        /// Why.
        reason: String,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Warning::Refused { reason, used } => {
                write!(f, "a checkpoint is skipped, step {used} is used instead: {reason}")
            }
            Warning::InstructionSet { saved, here } => write!(
                f,
                "the checkpoint was written on {saved} and continues on {here}: results will differ in the last bits"
            ),
            Warning::SetAside { path } => {
                write!(
                    f,
                    "a checkpoint of a later step was set aside as {}; delete it if you do not need it",
                    path.display()
                )
            }
            Warning::NotDeleted { path, reason } => write!(f, "{} could not be deleted: {reason}", path.display()),
            Warning::Hint { reason } => write!(f, "the file `latest` was not updated: {reason}"),
        }
    }
}

/// The folder of a run that holds its checkpoints.
pub fn checkpoints_dir(run: &Path) -> PathBuf {
    run.join("checkpoints")
}
