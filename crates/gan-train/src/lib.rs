//! Methods (pix2pix, pix2pixHD, CycleGAN), the trainer, run folders and checkpoints.
//!
//! [`METHODS`] lists the methods; each is one file in [`methods`]. [`train`] runs one of them on a
//! dataset into a run folder; [`Trained`] opens what it left for translation.

mod backprop;
mod captured_step;
pub mod checkpoint;
pub mod conditioning;
pub mod config;
mod consistency;
pub mod device;
mod error;
pub mod eta;
pub mod events;
mod fit;
pub mod gallery;
mod method;
pub mod methods;
pub mod numerics;
mod pairing;
pub mod palette;
pub mod pool;
mod resume;
pub mod run;
pub mod schedule;
mod settings;
pub mod storage;
pub mod styles;
mod trained;
mod trainer;

pub use captured_step::capture_steps;
pub use consistency::Demands;
pub use error::{Error, Result, WayBack};
pub use fit::{smallest_side, translate_fitted};
pub use method::{
    ConfigKeys, Direction, LoadEncoder, LoadWeights, Losses, Method, MethodSpec, Panels, Parts, Place, StepCx,
    TranslateOptions, Translator,
};
pub use methods::METHODS;
pub use resume::{require_method, resume_config, run_method};
pub use settings::TrainConfig;
pub use trained::Trained;
pub use trainer::{Job, Outcome, data_config, to_place, train};

/// Runs the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
