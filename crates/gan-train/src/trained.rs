//! Opening what training left.

use crate::error::first_line;
use crate::method::{MethodSpec, Place, TranslateOptions, Translator};
use crate::storage::Disk;
use crate::{Error, Result, methods, numerics, resume};
use candle_core::{DType, Device};
use candle_nn::VarBuilder;
use gan_weights::StateDict;
use gan_weights::checkpoint::{Folder, MANIFEST, Refused, is_checkpoint, newest};
use std::path::{Path, PathBuf};

/// One checkpoint: of a run folder the newest usable one, or a single checkpoint folder.
///
/// It is chosen once, by reading and building the networks that translate, and everything that is read later comes from it:
/// a trainer may write newer ones, or delete this one, meanwhile.
#[derive(Debug, Clone)]
pub struct Trained {
    path: PathBuf,
    folder: Folder<'static>,
    method: &'static MethodSpec,
    config: toml::Table,
    /// What was read to choose it.
    networks: Vec<(String, StateDict)>,
    warnings: Vec<Refused>,
}

impl Trained {
    /// Opens a run folder or a checkpoint folder. Checkpoints whose generators (or encoder) are damaged, not finite or not
    /// what the configuration says are passed over; [`Trained::warnings`] tells of them.
    ///
    /// # Errors
    /// [`Error::Files`] if there is no checkpoint or none can be used, and for a checkpoint folder the reason itself.
    pub fn open(path: &Path) -> Result<Self> {
        Self::open_with(path, &[])
    }

    /// As [`Trained::open`], for a checkpoint that also has these networks.
    ///
    /// # Errors
    /// As [`Trained::open`].
    pub fn open_with(path: &Path, networks: &[&str]) -> Result<Self> {
        if is_checkpoint(path) {
            return Self::of_folder(path, Folder::open(&Disk, path)?, networks);
        }
        let (mut trained, warnings) = newest(&Disk, path, |folder| Self::of_folder(path, folder, networks))?;
        trained.warnings = warnings;
        Ok(trained)
    }

    fn of_folder(path: &Path, folder: Folder<'static>, networks: &[&str]) -> Result<Self> {
        let method = methods::find(&folder.manifest().method)?;
        let config = serde_json::from_value(folder.manifest().model.clone()).map_err(|e| {
            Error::damaged(&folder.dir().join(MANIFEST), format!("it has no usable configuration: {e}"))
        })?;
        // Somebody else may have made this checkpoint: its numbers are checked before anything is built from them.
        (method.generator)(&config).map_err(|error| Error::damaged(&folder.dir().join(MANIFEST), error.to_string()))?;
        folder.state()?;
        let mut trained =
            Trained { path: path.to_path_buf(), folder, method, config, networks: Vec::new(), warnings: Vec::new() };
        let mut last = String::new();
        let built = (method.verify)(&trained.config.clone(), &mut |name| {
            last = name.to_owned();
            let tensors = trained.keep(name)?.entries().iter().cloned().collect();
            Ok(VarBuilder::from_tensors(tensors, DType::F32, &Device::Cpu))
        });
        built.map_err(|error| match error {
            // Names and shapes.
            Error::Tensor(error) => {
                Error::damaged(&trained.folder.dir().join(format!("{last}.safetensors")), first_line(&error))
            }
            other => other,
        })?;
        for name in networks {
            trained.keep(name)?;
        }
        Ok(trained)
    }

    /// Reads a network, unless that has been done.
    fn keep(&mut self, name: &str) -> Result<&StateDict> {
        let known = self.networks.iter().position(|(known, _)| known == name);
        let at = match known {
            Some(at) => at,
            None => {
                self.networks.push((name.to_owned(), self.folder.tensors(name)?));
                self.networks.len() - 1
            }
        };
        Ok(&self.networks[at].1)
    }

    /// The folder that was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Step of the checkpoint that was found.
    pub fn step(&self) -> u64 {
        self.folder.manifest().step
    }

    /// The method it was trained with.
    pub fn method(&self) -> &'static MethodSpec {
        self.method
    }

    /// The resolved configuration of the run.
    pub fn config(&self) -> &toml::Table {
        &self.config
    }

    /// The same with the defaults of keys that are newer than the checkpoint.
    pub(crate) fn sealed_config(&self) -> Result<toml::Table> {
        resume::sealed(self.folder.dir(), &self.folder.manifest().model, self.method)
    }

    /// What the user should know: newer checkpoints that were passed over.
    pub fn warnings(&self) -> &[Refused] {
        &self.warnings
    }

    /// Whether the checkpoint has a network of this name.
    pub fn has(&self, name: &str) -> bool {
        self.folder.networks().any(|network| network == name)
    }

    /// Names of the networks in the checkpoint, sorted.
    pub fn network_names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.folder.networks().map(str::to_owned).collect();
        names.sort();
        names
    }

    /// The tensors of the network of this name, verified.
    ///
    /// # Errors
    /// [`Error::Files`] if there is none, or if it is not what was written.
    pub fn network(&self, name: &str) -> Result<StateDict> {
        match self.networks.iter().find(|(known, _)| known == name) {
            Some((_, tensors)) => Ok(tensors.clone()),
            None => Ok(self.folder.tensors(name)?),
        }
    }

    /// The same without the tensors that were read to choose it: they take as much memory as the networks.
    #[must_use]
    pub fn without_weights(&self) -> Self {
        Trained { networks: Vec::new(), ..self.clone() }
    }

    /// A translator on its newest usable checkpoint.
    ///
    /// # Errors
    /// [`Error::Config`] for options that the model has no use for.
    pub fn translator(&self, options: &TranslateOptions, place: &Place) -> Result<Box<dyn Translator>> {
        numerics::check(options.precision, place)?;
        (self.method.translator)(self, options, place)
    }
}
