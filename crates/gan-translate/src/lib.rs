//! A model folder in, images out: opens trained image translation models and translates images with them.
//!
//! [`ModelConfig`] is `model.json`, which lies beside the weights and says all that translation needs.

mod model_config;

pub use model_config::{
    Direction, EncoderModel, Generator, InputKind, ModelConfig, OutputKind, ReadOptions, Sizes, Styles,
};
