//! Validation: the generator in training translates held-out images, and metrics compare the results.
//!
//! It is done with a copy of the weights and the code that translates with trained models, so that it shows what
//! [`gan_translate`] would make of the checkpoint, and changes nothing of the training. Several ranks divide the images.

mod checks;
mod config;
mod held_out;
mod measure;
mod metric;
mod networks;
mod shares;
mod validator;

pub(crate) use checks::contradictions;
pub use config::ValidationConfig;
pub(crate) use held_out::for_previews as held_out_for_previews;
pub use measure::Measure;
pub use metric::{Better, Compares, METRICS, Metric};
pub(crate) use shares::gather;
pub(crate) use validator::{Scores, Validator};

use serde::{Deserialize, Serialize};

/// The best checkpoint of a run by validation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Best {
    /// The metric that decides.
    pub metric: String,
    /// Its value.
    pub value: f64,
    /// Step of the checkpoint.
    pub step: u64,
    /// Epochs done then.
    pub epoch: u64,
}
