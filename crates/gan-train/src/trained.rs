//! Opening what training left.

use crate::checkpoint::{self, Folder, Warning};
use crate::error::first_line;
use crate::method::{Place, TranslateOptions, Translator};
use crate::method_config::MethodConfig;
use crate::methods::{cyclegan, pix2pix, pix2pixhd};
use crate::storage::Disk;
use crate::{Error, MethodSpec, Result, methods, numerics};
use candle_core::{DType, Device};
use candle_nn::VarBuilder;
use gan_weights::StateDict;
use std::path::{Path, PathBuf};

/// One checkpoint: of a run folder the newest usable one, or a single checkpoint folder.
///
/// It is chosen once, by reading and building the networks that translate, and everything that is read later comes from it:
/// a trainer may write newer ones, or delete this one, meanwhile.
#[derive(Debug, Clone)]
pub struct Trained {
    path: PathBuf,
    folder: Folder,
    method: &'static MethodSpec,
    config: toml::Table,
    model: gan_translate::ModelConfig,
    /// What was read to choose it.
    networks: Vec<(String, StateDict)>,
    warnings: Vec<Warning>,
}

impl Trained {
    /// Opens a run folder or a checkpoint folder. Checkpoints whose generators (or encoder) are damaged, not finite or not
    /// what the configuration says are passed over; [`Trained::warnings`] tells of them.
    ///
    /// # Errors
    /// [`Error::NoCheckpoint`], [`Error::NoUsableCheckpoint`], and for a checkpoint folder the reason itself.
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
        let (mut trained, warnings) =
            checkpoint::newest(&Disk, path, |folder| Self::of_folder(path, folder, networks))?;
        trained.warnings = warnings;
        Ok(trained)
    }

    fn of_folder(path: &Path, folder: Folder, networks: &[&str]) -> Result<Self> {
        let method = crate::method_spec::find(methods::METHODS, &folder.manifest.method)?;
        let config = serde_json::from_value(folder.manifest.model.clone()).map_err(|e| {
            Error::damaged(&folder.dir.join("manifest.json"), format!("it has no usable configuration: {e}"))
        })?;
        // Somebody else may have made this checkpoint: its numbers are checked before anything is built from them.
        let model = model_of(method, &config)
            .map_err(|error| Error::damaged(&folder.dir.join("manifest.json"), error.to_string()))?;
        folder.read_state(&Disk)?;
        let mut trained = Trained {
            path: path.to_path_buf(),
            folder,
            method,
            config,
            model,
            networks: Vec::new(),
            warnings: Vec::new(),
        };
        let mut last = String::new();
        let model = trained.model.clone();
        let mut load = |name: &str| -> Result<VarBuilder<'static>> {
            last = name.to_owned();
            let tensors = trained.keep(name)?.entries().iter().cloned().collect();
            Ok(VarBuilder::from_tensors(tensors, DType::F32, &Device::Cpu))
        };
        let generators = model.generators.iter().try_for_each(|g| Ok(g.config.build(load(&g.network)?).map(drop)?));
        let built = generators.and_then(|()| match &model.encoder {
            Some(e) => Ok(e.config.build(load(&e.network)?).map(drop)?),
            None => Ok(()),
        });
        built.map_err(|error| match error {
            // Names and shapes.
            Error::Tensor(error) => {
                Error::damaged(&trained.folder.dir.join(format!("{last}.safetensors")), first_line(&error))
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
                self.networks.push((name.to_owned(), self.folder.tensors(&Disk, name)?));
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
        self.folder.manifest.step
    }

    /// The method it was trained with.
    pub fn method(&self) -> &'static MethodSpec {
        self.method
    }

    /// The resolved configuration of the run.
    pub fn config(&self) -> &toml::Table {
        &self.config
    }

    /// What the model is.
    pub fn model(&self) -> &gan_translate::ModelConfig {
        &self.model
    }

    /// What the user should know: newer checkpoints that were passed over.
    pub fn warnings(&self) -> &[Warning] {
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
    /// [`Error::Damaged`] if there is none, or if it is not what was written.
    pub fn network(&self, name: &str) -> Result<StateDict> {
        match self.networks.iter().find(|(known, _)| known == name) {
            Some((_, tensors)) => Ok(tensors.clone()),
            None => self.folder.tensors(&Disk, name),
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
        crate::translation::translator(self, options, place)
    }
}

pub(crate) fn is_checkpoint(path: &Path) -> bool {
    path.join("manifest.json").is_file()
}

fn model_of(method: &MethodSpec, config: &toml::Table) -> Result<gan_translate::ModelConfig> {
    use crate::config::read;
    let config: Box<dyn MethodConfig> = match method.name {
        "pix2pix" => Box::new(read::<pix2pix::Config>(config)?),
        "cyclegan" => Box::new(read::<cyclegan::Config>(config)?),
        _ => Box::new(read::<pix2pixhd::Config>(config)?),
    };
    if let Some(bad) = config.networks().iter().find_map(|network| network.refusal()) {
        return Err(crate::config::unattributed(&bad.key, &bad.reason));
    }
    Ok(config.model())
}
