//! Model folders as hubs of models have them: `config.json`, `model.safetensors` and a card.

use crate::model_config::{InvalidModel, ModelConfig};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Largest `config.json` that is read.
const MAX_CONFIG: u64 = 1 << 20;

/// `config.json` of a model folder: the description of a model with one generator, and what people and programs want to know at a glance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HubConfig {
    /// What reads the folder: [`HubConfig::LIBRARY`].
    pub library_name: String,
    /// Version of this description, see [`HubConfig::FORMAT`].
    pub format: u32,
    /// The method of the training.
    pub model_type: String,
    /// The generator, in words.
    pub architecture: String,
    /// What goes in.
    pub input: HubValues,
    /// What comes out.
    pub output: HubValues,
    /// The description of the model, as `model.json` has it.
    pub model: ModelConfig,
}

/// What the network's input or output is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HubValues {
    /// What it shows, in words.
    pub kind: String,
    /// Channels.
    pub channels: usize,
    /// The least and the greatest value.
    pub value_range: [f32; 2],
    /// Both sides are multiples of this.
    pub size_multiple: usize,
}

impl HubConfig {
    /// Name of the file.
    pub const FILE: &'static str = "config.json";
    /// Name of the generator's weight file; other networks are in `NAME.safetensors`.
    pub const WEIGHTS: &'static str = "model.safetensors";
    /// What the file says it is for.
    pub const LIBRARY: &'static str = "gan-cli";
    /// The version that this program writes. It reads all older ones and refuses newer ones.
    pub const FORMAT: u32 = 1;

    /// Reads the description of a folder. `None` if it is no such folder.
    ///
    /// # Errors
    /// [`Error::Description`] if the file cannot be read, was written by a newer version, or contradicts itself.
    pub fn open(folder: &Path) -> Result<Option<Self>> {
        let file = folder.join(Self::FILE);
        if !file.is_file() || !folder.join(Self::WEIGHTS).is_file() || folder.join(ModelConfig::FILE).exists() {
            return Ok(None);
        }
        let refuse = |reason: String| Error::Description { path: file.clone(), reason: InvalidModel::new(reason) };
        let text = gan_fs::read_regular(&file, MAX_CONFIG).map_err(|e| refuse(format!("it cannot be read: {e}")))?;
        let value: serde_json::Value =
            serde_json::from_slice(&text).map_err(|e| refuse(format!("it is no description of a model: {e}")))?;
        if value["library_name"] != Self::LIBRARY {
            return Ok(None);
        }
        if value["format"].as_u64().is_none_or(|format| format > u64::from(Self::FORMAT)) {
            let format = &value["format"];
            return Err(refuse(format!(
                "it has format {format}, and this version reads formats up to {}: a newer version wrote it",
                Self::FORMAT
            )));
        }
        let config: Self =
            serde_json::from_value(value).map_err(|e| refuse(format!("it is no description of a model: {e}")))?;
        config.model.validate().map_err(|reason| Error::Description { path: file.clone(), reason })?;
        Ok(Some(config))
    }

    /// Whether a path is such a folder, well or damaged.
    #[must_use]
    pub fn is_folder(path: &Path) -> bool {
        !matches!(Self::open(path), Ok(None))
    }

    /// The text of `config.json`: indented, with a line break at the end.
    ///
    /// # Errors
    /// [`InvalidModel`] as [`ModelConfig::validate`].
    pub fn to_json(&self) -> Result<String, InvalidModel> {
        self.model.validate()?;
        let text = serde_json::to_string_pretty(self).map_err(|e| InvalidModel::new(e.to_string()))?;
        Ok(text + "\n")
    }
}

/// The file of a network in a folder of this description.
pub(crate) fn weights_of(folder: &Path, config: &ModelConfig, stem: &str) -> PathBuf {
    match stem == config.generators[0].network {
        true => folder.join(HubConfig::WEIGHTS),
        false => folder.join(format!("{stem}.safetensors")),
    }
}
