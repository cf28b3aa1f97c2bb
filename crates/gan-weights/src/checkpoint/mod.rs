//! Checkpoint folders: choosing one of a run, and reading it verified.
//!
//! ```text
//! RUN/checkpoints/5000/manifest.json         sizes and blake3 hashes of the files below, and a seal over itself
//! RUN/checkpoints/5000/<stem>.safetensors    one for each network and, as `ema_NAME`, its average; `optimizer`, `pool`, …
//! RUN/checkpoints/5000/state.json            counters and whatever else training keeps
//! RUN/checkpoints/5000/model.json            what the trained model is (since format 2)
//! RUN/checkpoints/best                       name of the best by validation, where there was any
//! ```
//!
//! [`newest`] finds the newest checkpoint of a run that its caller can use, [`chosen`] another one by name. [`Folder`] is
//! one checkpoint whose manifest verifies; its files are read when they are asked for. All files are read through [`Files`]; [`Disk`] is the file system.

mod choice;
mod error;
mod files;
mod folder;
mod manifest;
mod newest;
mod tensors;

use std::path::{Path, PathBuf};

pub use choice::{BEST, Choice, InvalidChoice, best_step, chosen};
pub use error::{Error, Result};
pub use files::{Disk, Entry, Files, read_limited};
pub use folder::Folder;
pub use manifest::{FORMAT, FileRecord, Manifest, read_manifest};
pub use newest::{Candidate, REPLACED, Refused, candidates, exists, newest};
pub use tensors::{ELEMENT_TYPES, read_tensors};

/// Name of the folder of a run that holds its checkpoints.
pub const CHECKPOINTS: &str = "checkpoints";

/// Name of the manifest in a checkpoint folder.
pub const MANIFEST: &str = "manifest.json";

/// Name of the file of counters in a checkpoint folder.
pub const STATE: &str = "state.json";

/// Name of the description of the model in a checkpoint folder.
pub const MODEL: &str = "model.json";

/// File stems of tensors that belong to training and to no network.
pub const TRAINING_STATE: [&str; 2] = ["optimizer", "pool"];

/// Prefix of the file stems of moving averages.
const AVERAGED: &str = "ema_";

/// File stem of the moving average of a network's weights.
pub fn averaged(network: &str) -> String {
    format!("{AVERAGED}{network}")
}

/// Names of networks among file stems: without the tensors of training, and without averages of networks that are there.
pub fn networks<'a>(stems: &[&'a str]) -> Vec<&'a str> {
    let is_average = |stem: &str| stem.strip_prefix(AVERAGED).is_some_and(|network| stems.contains(&network));
    stems.iter().copied().filter(|stem| !TRAINING_STATE.contains(stem) && !is_average(stem)).collect()
}

/// The folder of a run that holds its checkpoints.
pub fn checkpoints_dir(run: &Path) -> PathBuf {
    run.join(CHECKPOINTS)
}

/// Whether the folder at `path` is a checkpoint, sound or not.
pub fn is_checkpoint(path: &Path) -> bool {
    path.join(MANIFEST).is_file()
}
