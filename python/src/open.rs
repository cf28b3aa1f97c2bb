//! What `Model.open` takes, in the words of gan-translate.

use crate::errors::{invalid, raised};
use gan_nets::Arch;
use gan_translate::{
    Alpha, DeviceConfig, Direction, Error, MemoryLimit, Model, Options, TrainedModel, WeightOptions, WeightSet,
    is_weight_file,
};
use pyo3::PyResult;
use std::path::{Path, PathBuf};

/// The keywords of `Model.open`.
#[derive(Debug, Default)]
pub(crate) struct Keywords {
    pub(crate) network: Option<String>,
    pub(crate) weights: Option<String>,
    pub(crate) direction: Option<String>,
    pub(crate) architecture: Option<String>,
    pub(crate) label_nc: Option<usize>,
    pub(crate) instances: Option<bool>,
    pub(crate) eval: bool,
    pub(crate) dropout: Option<u64>,
    pub(crate) keep_alpha: bool,
    pub(crate) max_memory: Option<u64>,
    pub(crate) scratch: Option<PathBuf>,
    pub(crate) device: String,
}

/// A model, and what it was read from.
pub(crate) struct Opened {
    pub(crate) trained: TrainedModel,
    pub(crate) model: Model,
    pub(crate) direction: Option<Direction>,
}

impl Keywords {
    /// Reads a model from disk. Errors of the keywords come first.
    pub(crate) fn open(self, path: &Path) -> PyResult<Opened> {
        let set = self.weights.as_deref().map(|name| choice("weights", name, &WEIGHTS)).transpose()?;
        let weights = WeightOptions {
            arch: self.architecture.as_deref().map(|name| choice("architecture", name, &Arch::ALL)).transpose()?,
            entry: self.network.clone(),
            label_nc: self.label_nc,
            instances: self.instances,
            dropout: self.dropout.is_some(),
            ..WeightOptions::default()
        };
        let options = self.options()?;
        let direction = options.direction;
        let trained = open(path, set, &weights).map_err(raised)?;
        let model = Model::load(&trained, options).map_err(raised)?;
        Ok(Opened { trained, model, direction })
    }

    fn options(&self) -> PyResult<Options> {
        let device = DeviceConfig::open(&self.device).map_err(Error::from).map_err(raised)?;
        if let Some(scratch) = self.scratch.as_ref().filter(|folder| !folder.is_dir()) {
            return Err(invalid(format!("scratch: {} is no folder; name one that exists", scratch.display())));
        }
        Ok(Options {
            direction: self.direction.as_deref().map(|name| choice("direction", name, &DIRECTIONS)).transpose()?,
            limit: MemoryLimit::of_machine(self.max_memory, self.scratch.as_deref()),
            device,
            eval: self.eval,
            dropout: self.dropout,
            alpha: if self.keep_alpha { Alpha::Restore } else { Alpha::Drop },
            // Python threads may come and go; a capture is bound to one.
            no_cuda_graphs: true,
            ..Options::default()
        })
    }
}

fn open(path: &Path, set: Option<WeightSet>, weights: &WeightOptions) -> gan_translate::Result<TrainedModel> {
    if is_weight_file(path) {
        return match set {
            Some(WeightSet::Ema) => Err(Error::NoAverage { path: path.to_owned() }),
            _ => TrainedModel::open_weights(path, weights),
        };
    }
    // Dropout is no matter of the file here: a model knows whether it was trained with it.
    if *weights != (WeightOptions { dropout: weights.dropout, ..WeightOptions::default() }) {
        return Err(Error::KnownModel { path: path.to_owned() });
    }
    TrainedModel::open_set(path, &[], set)
}

const WEIGHTS: [(&str, WeightSet); 2] = [("raw", WeightSet::Raw), ("ema", WeightSet::Ema)];
pub(crate) const DIRECTIONS: [(&str, Direction); 2] = [("a2b", Direction::A2b), ("b2a", Direction::B2a)];

/// The value of this name.
fn choice<T: Copy>(keyword: &str, name: &str, all: &[(&str, T)]) -> PyResult<T> {
    all.iter().find(|(known, _)| *known == name).map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<&str> = all.iter().map(|(known, _)| *known).collect();
        invalid(format!("{keyword}: there is no \"{name}\"; give one of {}", names.join(", ")))
    })
}
