//! A model folder in, images out: opens trained image translation models and translates images with them.
//!
//! [`Model`] is a model that is ready to translate. It is opened from a run, a checkpoint, a folder of `model.json` and weights,
//! or a bare weight file of PyTorch. [`ModelConfig`] is `model.json`: all that translation has to know of a model.
//! [`TrainedModel`] is what lies on disk, for who wants the weights themselves.
//!
//! Images are tensors `[N, C, H, W]` in [-1, 1]; label maps are ids `[N, 1, H, W]`.

#![forbid(unsafe_code)]

mod alpha;
mod available_memory;
mod bounded;
mod conditioning;
pub mod device;
mod elsewhere;
mod encoder;
mod error;
mod file;
mod hub_folder;
mod in_rows;
mod lattice;
pub mod legacy;
mod limit;
mod many;
mod model;
mod model_config;
mod networks;
mod options;
mod pad_to_multiple;
mod reader;
mod reference_folder;
mod scratch;
mod sizes;
mod statistics;
mod steady;
mod styles;
mod trained_model;
mod weight_file;

pub use alpha::Alpha;
pub use conditioning::Condition;
pub use device::{DeviceConfig, move_batch, to_device};
pub use elsewhere::Elsewhere;
pub use encoder::FeatureEncoder;
pub use error::{Error, Result};
pub use gan_data::Direction;
pub use hub_folder::{HubConfig, HubValues};
pub use limit::{Estimate, MemoryLimit, ScratchSpace};
pub use many::{EachFile, FileError, FileJob, FileOutcome, Made, Stage};
pub use model::{Model, Translated};
pub use model_config::{
    EncoderModel, Generator, InputKind, InvalidModel, ModelConfig, OutputKind, ReadOptions, Sizes, Styles,
};
pub use options::{Options, check_precision};
pub use pad_to_multiple::smallest_side;
pub use reader::{Content, Files, Input, is_planes};
pub use reference_folder::reference_file;
pub use sizes::SizeOptions;
pub use statistics::Statistics;
pub use steady::{CutDetector, Steadier, SteadyOptions};
pub use styles::{StyleClusters, label_of};
pub use trained_model::{TrainedModel, WeightSet};
pub use weight_file::{WeightFile, WeightOptions, is_weight_file};

/// Runs the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
