//! Opening what training left.

use crate::checkpoint::{self, Snapshot};
use crate::method::{MethodSpec, Place, TranslateOptions, Translator};
use crate::storage::Disk;
use crate::{Error, Result, methods, numerics};
use std::path::{Path, PathBuf};

/// A run folder or a single checkpoint folder.
#[derive(Debug, Clone)]
pub struct Trained {
    path: PathBuf,
    step: u64,
    method: &'static MethodSpec,
    config: toml::Table,
}

impl Trained {
    /// Reads the configuration; the weights are read when they are asked for.
    pub fn open(path: &Path) -> Result<Self> {
        let nothing: [&str; 0] = [];
        let Snapshot { step, method, model, .. } = read(path, &nothing)?;
        let config = serde_json::from_value(model)
            .map_err(|e| Error::damaged(path, format!("its manifest has no usable configuration: {e}")))?;
        let method = methods::find(&method)?;
        // Somebody else may have made this checkpoint: its numbers are checked before anything is built from them.
        (method.generator)(&config).map_err(|e| Error::damaged(path, e.to_string()))?;
        Ok(Trained { path: path.to_path_buf(), step, method, config })
    }

    /// The folder that was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Step of the checkpoint that was found.
    pub fn step(&self) -> u64 {
        self.step
    }

    /// The method it was trained with.
    pub fn method(&self) -> &'static MethodSpec {
        self.method
    }

    /// The resolved configuration of the run.
    pub fn config(&self) -> &toml::Table {
        &self.config
    }

    /// The networks of these names, verified.
    pub fn networks(&self, names: &[&str]) -> Result<Snapshot> {
        read(&self.path, names)
    }

    /// All there is, verified.
    pub fn all(&self) -> Result<Snapshot> {
        let loaded = if is_checkpoint(&self.path) {
            checkpoint::load(&Disk, &self.path)?
        } else {
            checkpoint::load_latest(&Disk, &self.path, None)?
        };
        Ok(loaded.snapshot)
    }

    /// A translator on its newest usable checkpoint.
    pub fn translator(&self, options: &TranslateOptions, place: &Place) -> Result<Box<dyn Translator>> {
        numerics::check(options.precision, place)?;
        (self.method.translator)(self, options, place)
    }
}

/// Only the files of these stems.
fn read(path: &Path, stems: &[&str]) -> Result<Snapshot> {
    let loaded = if is_checkpoint(path) {
        checkpoint::load_files(&Disk, path, stems)?
    } else {
        checkpoint::load_latest_files(&Disk, path, stems)?
    };
    Ok(loaded.snapshot)
}

pub(crate) fn is_checkpoint(path: &Path) -> bool {
    path.join("manifest.json").is_file()
}
