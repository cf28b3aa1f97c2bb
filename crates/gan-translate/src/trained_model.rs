//! A trained model on disk: its description and its weights.

use crate::elsewhere::Elsewhere;
use crate::hub_folder::{HubConfig, weights_of};
use crate::model_config::{InvalidModel, ModelConfig};
use crate::reference_folder::ReferenceFolder;
use crate::weight_file::{WeightFile, WeightOptions, is_weight_file};
use crate::{Error, Result, legacy};
use candle_core::{DType, Device};
use candle_nn::VarBuilder;
use gan_weights::checkpoint::{self, Disk, Folder, MANIFEST, Manifest, Refused, averaged, is_checkpoint};
use gan_weights::{StateDict, read_any};
use std::path::{Path, PathBuf};

/// Largest `model.json` that is read.
const MAX_DESCRIPTION: u64 = 1 << 20;

/// One of the two sets of weights that networks which translate may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WeightSet {
    /// Those that are trained, as the last step left them.
    Raw,
    /// Their exponential moving average over the steps (`train.ema`).
    Ema,
}

/// A trained model: of a run folder the newest usable checkpoint, a checkpoint folder, a folder of `model.json` and
/// `NAME.safetensors`, a [folder of a hub](HubConfig), a folder of the references (`latest_net_G.pth`), or a bare weight file.
///
/// It is chosen once, by reading and building the networks that translate, and everything that is read later comes from it:
/// a trainer may write newer checkpoints, or delete this one, meanwhile.
#[derive(Debug, Clone)]
pub struct TrainedModel {
    path: PathBuf,
    source: Source,
    config: ModelConfig,
    weights: WeightSet,
    /// What was read to choose it.
    networks: Vec<(String, StateDict)>,
    warnings: Vec<Refused>,
    notes: Vec<String>,
    mapping: Vec<(String, String)>,
}

#[derive(Debug, Clone)]
enum Source {
    Checkpoint(Folder<'static>),
    /// A folder without a manifest.
    Folder(PathBuf),
    /// A folder as hubs of models have them.
    Hub(PathBuf),
    WeightFile,
    /// A folder of the references.
    References,
    /// Networks that are in memory alone.
    Memory,
}

impl TrainedModel {
    /// Opens a model of any kind, with averaged weights where it has them. Checkpoints whose generators (or encoder) are
    /// damaged, not finite or not what their description says are passed over; [`TrainedModel::warnings`] tells of them.
    ///
    /// # Errors
    /// [`Error::NoModel`] with what there is instead, [`Error::Checkpoint`], [`Error::Description`], and those of
    /// [`TrainedModel::open_weights`].
    pub fn open(path: &Path) -> Result<Self> {
        Self::open_with(path, &[])
    }

    /// As [`TrainedModel::open`], for a checkpoint that also has these networks.
    ///
    /// # Errors
    /// As [`TrainedModel::open`].
    pub fn open_with(path: &Path, networks: &[&str]) -> Result<Self> {
        Self::open_set(path, networks, None)
    }

    /// The same with a choice of the weights.
    ///
    /// # Errors
    /// As [`TrainedModel::open`]; [`Error::NoAverage`] if averaged weights are wanted where there are none.
    pub fn open_set(path: &Path, networks: &[&str], weights: Option<WeightSet>) -> Result<Self> {
        let opened = Self::open_any(path, networks, weights)?;
        if weights.is_some_and(|wanted| wanted != opened.weights) {
            return Err(Error::NoAverage { path: path.to_owned() });
        }
        Ok(opened)
    }

    fn open_any(path: &Path, networks: &[&str], weights: Option<WeightSet>) -> Result<Self> {
        if is_weight_file(path) {
            return Self::open_weights(path, &WeightOptions::default());
        }
        if is_checkpoint(path) {
            return Self::described(path, Folder::open(&Disk, path)?, networks, weights);
        }
        if path.join(ModelConfig::FILE).is_file() && !checkpoint::exists(&Disk, path) {
            return Self::of_folder(path, networks, weights);
        }
        if let Some(hub) = HubConfig::open(path)? {
            let source = Source::Hub(path.to_owned());
            return Self::new(path, source, hub.model, Vec::new()).with_set(weights).verified(networks);
        }
        match checkpoint::newest(&Disk, path, |folder| Self::described(path, folder, networks, weights)) {
            Ok((model, warnings)) => Ok(TrainedModel { warnings, ..model }),
            Err(Error::Checkpoint(error @ checkpoint::Error::NoCheckpoint { .. })) => {
                match ReferenceFolder::open(path)? {
                    Some(ReferenceFolder { config, networks: read, notes }) => {
                        Self { notes, ..Self::new(path, Source::References, config, read) }.verified(networks)
                    }
                    None => Err(match Elsewhere::of(path) {
                        Some(elsewhere) => Error::NoModel { path: path.to_owned(), elsewhere },
                        None => error.into(),
                    }),
                }
            }
            Err(error) => Err(error),
        }
    }

    /// Opens a bare weight file, `.pth` or `.safetensors`; its generator is called `g`.
    ///
    /// # Errors
    /// [`Error::Weights`], [`Error::Unusable`], [`Error::NoGenerator`], [`Error::Labels`].
    pub fn open_weights(path: &Path, options: &WeightOptions) -> Result<Self> {
        let file = WeightFile::open(path, options)?;
        let config = file.describe(options)?;
        let networks = vec![("g".to_owned(), file.state)];
        let WeightFile { notes, mapping, .. } = file;
        Self { notes, mapping, ..Self::new(path, Source::WeightFile, config, networks) }.verified(&[])
    }

    /// A checkpoint with the description that lies in it.
    fn described(path: &Path, folder: Folder<'static>, networks: &[&str], weights: Option<WeightSet>) -> Result<Self> {
        let manifest = folder.manifest();
        let (file, config) = if folder.has_file(ModelConfig::FILE) {
            (ModelConfig::FILE, ModelConfig::from_json(&folder.read(ModelConfig::FILE)?))
        } else {
            (MANIFEST, legacy::model_config(&manifest.method, &manifest.model))
        };
        // Somebody else may have made this checkpoint: its numbers are checked before anything is built from them.
        let config = config.map_err(|e| checkpoint::Error::damaged(&folder.dir().join(file), e.to_string()))?;
        folder.state()?;
        Self::new(path, Source::Checkpoint(folder), config, Vec::new()).with_set(weights).verified(networks)
    }

    /// A checkpoint whose description is known: reads and builds the networks that it names, with the weights that are
    /// trained.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] if one of them is damaged or not what the description says.
    pub fn of_checkpoint(folder: Folder<'static>, config: ModelConfig) -> Result<Self> {
        let path = folder.dir().to_owned();
        Self::new(&path, Source::Checkpoint(folder), config, Vec::new()).verified(&[])
    }

    /// A model whose networks are in memory: one in training, as it is at this moment. `path` is what messages name, and what
    /// holds the styles.
    ///
    /// # Errors
    /// [`Error::NoNetwork`] if the description names a network that is not among them; [`Error::Unusable`] if one is not what
    /// the description says, or holds values that are not finite.
    pub fn in_memory(path: &Path, config: ModelConfig, networks: Vec<(String, StateDict)>) -> Result<Self> {
        Self::new(path, Source::Memory, config, networks).verified(&[])
    }

    fn of_folder(path: &Path, networks: &[&str], weights: Option<WeightSet>) -> Result<Self> {
        let file = path.join(ModelConfig::FILE);
        let refuse = |reason| Error::Description { path: file.clone(), reason };
        let text = gan_fs::read_regular(&file, MAX_DESCRIPTION)
            .map_err(|e| refuse(InvalidModel::new(format!("it cannot be read: {e}"))))?;
        let config = ModelConfig::from_json(&text).map_err(refuse)?;
        Self::new(path, Source::Folder(path.to_owned()), config, Vec::new()).with_set(weights).verified(networks)
    }

    fn new(path: &Path, source: Source, config: ModelConfig, networks: Vec<(String, StateDict)>) -> Self {
        let (warnings, notes, mapping) = (Vec::new(), Vec::new(), Vec::new());
        let weights = WeightSet::Raw;
        TrainedModel { path: path.to_owned(), source, config, weights, networks, warnings, notes, mapping }
    }

    /// Chooses the averaged weights if every network that translates has them, unless others are wanted.
    fn with_set(mut self, wanted: Option<WeightSet>) -> Self {
        if wanted != Some(WeightSet::Raw) && self.config.network_names().all(|name| self.holds(&averaged(name))) {
            self.weights = WeightSet::Ema;
        }
        self
    }

    /// Whether there is a file of this stem.
    fn holds(&self, stem: &str) -> bool {
        match &self.source {
            Source::Checkpoint(folder) => folder.has_file(&file_name(stem)),
            Source::Folder(folder) => folder.join(file_name(stem)).is_file(),
            Source::Hub(folder) => weights_of(folder, &self.config, stem).is_file(),
            Source::WeightFile | Source::References | Source::Memory => false,
        }
    }

    /// Reads and builds every network that translates, and reads the others that are wanted.
    fn verified(mut self, networks: &[&str]) -> Result<Self> {
        let config = self.config.clone();
        for generator in &config.generators {
            self.verify(&generator.network, |weights| generator.config.build(weights).map(drop))?;
        }
        if let Some(encoder) = &config.encoder {
            self.verify(&encoder.network, |weights| encoder.config.build(weights).map(drop))?;
        }
        for name in networks {
            self.keep(name)?;
        }
        Ok(self)
    }

    fn verify(&mut self, name: &str, build: impl Fn(VarBuilder<'static>) -> candle_core::Result<()>) -> Result<()> {
        let tensors = self.keep(name)?;
        let built = match tensors.var_builder(DType::F32, &Device::Cpu) {
            Ok(weights) => build(weights).map_err(gan_nets::Error::from),
            Err(error) => Err(error.into()),
        };
        built.map_err(|source| match &self.source {
            // Names and shapes; what follows the first line is where it was raised.
            Source::Checkpoint(folder) => {
                let reason = source.to_string().lines().next().unwrap_or_default().to_owned();
                checkpoint::Error::damaged(&folder.dir().join(file_name(&self.stem(name))), reason).into()
            }
            Source::Folder(folder) => {
                let path = folder.join(file_name(&self.stem(name)));
                Error::Unusable { path, source: source.into() }
            }
            Source::Hub(folder) => {
                let path = weights_of(folder, &self.config, &self.stem(name));
                Error::Unusable { path, source: source.into() }
            }
            Source::WeightFile | Source::References | Source::Memory => {
                Error::Unusable { path: self.path.clone(), source: source.into() }
            }
        })
    }

    /// Reads a network, unless that has been done.
    fn keep(&mut self, name: &str) -> Result<&StateDict> {
        let known = self.networks.iter().position(|(known, _)| known == name);
        let at = match known {
            Some(at) => at,
            None => {
                self.networks.push((name.to_owned(), self.network(name)?));
                self.networks.len() - 1
            }
        };
        Ok(&self.networks[at].1)
    }

    /// The path that was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the model is.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// Which weights the networks that translate have.
    pub fn weights(&self) -> WeightSet {
        self.weights
    }

    /// What the chosen checkpoint consists of; `None` for a model that is no checkpoint.
    pub fn manifest(&self) -> Option<&Manifest> {
        match &self.source {
            Source::Checkpoint(folder) => Some(folder.manifest()),
            Source::Folder(_) | Source::Hub(_) | Source::WeightFile | Source::References | Source::Memory => None,
        }
    }

    /// Step of the chosen checkpoint; `None` for a model that is no checkpoint.
    pub fn step(&self) -> Option<u64> {
        self.manifest().map(|manifest| manifest.step)
    }

    /// Newer checkpoints that were passed over.
    pub fn warnings(&self) -> &[Refused] {
        &self.warnings
    }

    /// What the user should know of bare weight files: which network they hold, and what reading them left out.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Layers of a bare weight file that were matched by their order and shapes: their paths in the file, and here.
    pub fn mapping(&self) -> &[(String, String)] {
        &self.mapping
    }

    /// Whether there is a network of this name.
    pub fn has(&self, name: &str) -> bool {
        self.network_names().iter().any(|network| network == name)
    }

    /// Names of all networks that there are, those of training included, sorted.
    pub fn network_names(&self) -> Vec<String> {
        let names: Vec<String> = match &self.source {
            Source::Checkpoint(folder) => folder.networks().map(str::to_owned).collect(),
            Source::Folder(folder) => std::fs::read_dir(folder)
                .into_iter()
                .flatten()
                .filter_map(|entry| Some(entry.ok()?.file_name().to_str()?.strip_suffix(".safetensors")?.to_owned()))
                .collect(),
            Source::Hub(_) => self.config.network_names().map(str::to_owned).collect(),
            Source::WeightFile | Source::References | Source::Memory => {
                self.networks.iter().map(|(name, _)| name.clone()).collect()
            }
        };
        let stems: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut names: Vec<String> = checkpoint::networks(&stems).into_iter().map(str::to_owned).collect();
        names.sort();
        names
    }

    /// The tensors of the network of this name, on the CPU, verified: averaged ones if these are chosen and there are any.
    ///
    /// # Errors
    /// [`Error::Checkpoint`], [`Error::Weights`] or [`Error::NoNetwork`] if there is none, or if it is not what was written.
    pub fn network(&self, name: &str) -> Result<StateDict> {
        if let Some((_, tensors)) = self.networks.iter().find(|(known, _)| known == name) {
            return Ok(tensors.clone());
        }
        let stem = self.stem(name);
        match &self.source {
            Source::Checkpoint(folder) => Ok(folder.tensors(&stem)?),
            Source::Folder(folder) => Ok(read_any(folder.join(file_name(&stem)))?.state),
            Source::Hub(folder) if self.config.network_names().any(|known| known == name) => {
                Ok(read_any(weights_of(folder, &self.config, &stem))?.state)
            }
            Source::Hub(_) | Source::WeightFile | Source::References | Source::Memory => {
                Err(Error::NoNetwork { path: self.path.clone(), name: name.to_owned() })
            }
        }
    }

    /// File stem of the chosen weights of a network.
    fn stem(&self, network: &str) -> String {
        let average = averaged(network);
        if self.weights == WeightSet::Ema && self.holds(&average) { average } else { network.to_owned() }
    }

    /// Where the styles of the model are kept: `features` in the run, or in the folder that holds the model.
    pub fn features_dir(&self) -> PathBuf {
        const FEATURES: &str = "features";
        match &self.source {
            Source::Checkpoint(_) if is_checkpoint(&self.path) => {
                // A path such as `.` has no parent to see.
                let whole = self.path.canonicalize().unwrap_or_else(|_| self.path.clone());
                let beside = whole.parent().unwrap_or(Path::new("."));
                let in_run = beside.ends_with(checkpoint::CHECKPOINTS);
                let run = if in_run { beside.parent().unwrap_or(beside) } else { beside };
                run.join(FEATURES)
            }
            Source::Checkpoint(_) | Source::Folder(_) | Source::Hub(_) | Source::References | Source::Memory => {
                self.path.join(FEATURES)
            }
            Source::WeightFile => self.path.with_file_name(FEATURES),
        }
    }
}

fn file_name(network: &str) -> String {
    format!("{network}.safetensors")
}
