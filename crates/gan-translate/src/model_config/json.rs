//! Reading and writing `model.json`.

use super::{InvalidModel, ModelConfig};
use serde::Deserialize;

impl ModelConfig {
    /// Reads and checks a description.
    ///
    /// # Errors
    /// [`InvalidModel`] if the text is no description, was written by a newer version, or contradicts itself
    /// ([`ModelConfig::validate`]).
    pub fn from_json(text: &[u8]) -> Result<Self, InvalidModel> {
        #[derive(Deserialize)]
        struct Version {
            format: u32,
        }
        let unreadable = |e: serde_json::Error| InvalidModel::new(format!("it is no description of a model: {e}"));
        let Version { format } = serde_json::from_slice(text).map_err(unreadable)?;
        if format > Self::FORMAT {
            return Err(InvalidModel::new(format!(
                "it has format {format}, and this version reads formats up to {}: a newer version wrote it",
                Self::FORMAT
            )));
        }
        let config: Self = serde_json::from_slice(text).map_err(unreadable)?;
        config.validate()?;
        Ok(config)
    }

    /// The text of `model.json`: indented, with a line break at the end.
    ///
    /// # Errors
    /// [`InvalidModel`] as [`ModelConfig::validate`]: what is not consistent is not written.
    pub fn to_json(&self) -> Result<String, InvalidModel> {
        self.validate()?;
        let text = serde_json::to_string_pretty(self).map_err(|e| InvalidModel::new(e.to_string()))?;
        Ok(text + "\n")
    }
}
