//! Checkpoints: a folder with a manifest that is written last.
//!
//! ```text
//! RUN/checkpoints/5000/manifest.json         sizes and blake3 hashes of the files below, and a seal over itself
//! RUN/checkpoints/5000/<stem>.safetensors    one for each network and, as `ema_NAME`, its average; `optimizer`, `pool`, …
//! RUN/checkpoints/5000/state.json            counters and whatever else the method and the trainer keep
//! RUN/checkpoints/5000/model.json            what the trained model is
//! RUN/checkpoints/latest                     name of the newest; a hint for people and scripts
//! RUN/checkpoints/best                       name of the best by validation, where there is any
//! ```
//!
//! **Promise.** After the first successful [`save`] there is always a checkpoint that [`load_latest`] accepts, whatever
//! stops the process or the machine. A checkpoint is written to a temporary folder, every file is flushed, the folder
//! gets its name by one rename, and older ones are deleted only afterwards. A checkpoint that was damaged later is
//! refused by its hashes, and the next older one is used with a warning.
//!
//! The file `best` is replaced as a whole, after the checkpoint that it names has been written and before anything is
//! deleted. So it never names a checkpoint that is not there; what interrupts a save in between leaves it at the one before.
//!
//! Choosing and verifying a checkpoint is in [`gan_weights::checkpoint`], which needs no trainer.

mod best;
mod instruction_set;
mod load;
mod retention;
mod save;
pub(crate) mod tensors;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::PathBuf;

use gan_layers::Tensors;
pub use gan_weights::checkpoint::{Error, Refused};

pub(crate) use best::name_best;
pub use instruction_set::instruction_set;
pub use load::{Loaded, load, load_latest, load_latest_checked};
pub(crate) use retention::clean;
pub use save::{Keep, Saved, save};

/// Everything a run needs to go on.
///
/// The tensors may be views of the parameters in use, on any device: [`save`] reads them when it writes.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// Steps done so far; names the checkpoint.
    pub step: u64,
    /// The method, spelt as on the command line.
    pub method: String,
    /// The resolved configuration of the run. Kept in the manifest.
    pub model: serde_json::Value,
    /// File stem (`generator` becomes `generator.safetensors`) and the tensors of that file. Stems are made of ASCII
    /// letters, digits, `_`, `-`; element types are U8, U32, I64, F32 and F64. All values are finite, and a name occurs once
    /// in a file.
    pub tensors: Vec<(String, Tensors)>,
    /// What the trained model is, for readers that do not know the method. Kept in `model.json`; without it, the checkpoint
    /// has no such file.
    pub model_json: Option<serde_json::Value>,
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
            model_json: None,
            tensors: Vec::new(),
            state: serde_json::Value::Null,
        }
    }

    /// The tensors of the file `stem`.
    pub fn file(&self, stem: &str) -> Option<&Tensors> {
        self.tensors.iter().find(|(name, _)| name == stem).map(|(_, tensors)| tensors)
    }

    /// Takes the tensors of a file out.
    pub(crate) fn take(&mut self, stem: &str) -> Option<Tensors> {
        let at = self.tensors.iter().position(|(name, _)| name == stem)?;
        Some(self.tensors.swap_remove(at).1)
    }

    /// Leaves tensors of a file out from now on.
    pub(crate) fn forget(&mut self, stem: &str, which: impl Fn(&str) -> bool) {
        let files = self.tensors.iter_mut().filter(|(name, _)| name == stem);
        files.for_each(|(_, tensors)| tensors.retain(|(name, _)| !which(name)));
    }
}

/// Something that did not stop a save or a load but that the user should know.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Warning {
    /// A checkpoint was refused and an older one is used.
    Refused(Refused),
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
    /// The file `best` could not be read, so that no checkpoint was deleted.
    Unreadable {
        /// Why, with its path.
        reason: String,
    },
    /// The file `latest` or `best` could not be updated. Resuming does not need it.
    Hint {
        /// Its name.
        file: &'static str,
        /// Why.
        reason: String,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Warning::Refused(refused) => refused.fmt(f),
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
            Warning::Unreadable { reason } => {
                write!(f, "no checkpoint is deleted, because it cannot be told which one is the best: {reason}")
            }
            Warning::Hint { file, reason } => write!(f, "the file `{file}` was not updated: {reason}"),
        }
    }
}
