//! Methods (pix2pix, pix2pixHD, CycleGAN, CUT), the trainer, run folders and checkpoints.
//!
//! A [`MethodSpec`] reads a configuration ([`MethodConfig`]), which builds a [`Method`]. [`METHODS`] lists those of this crate,
//! each a folder in [`methods`]; one of your own needs no place in the list (`examples/own_method.rs`). [`train`] runs one of
//! them on a dataset into a run folder; [`gan_translate`] opens what it left for translation.

mod accumulation;
mod augmentation;
mod backprop;
mod batch_fusion;
mod build_method;
mod captured_step;
mod check_dataset;
pub mod checkpoint;
mod checkpointing;
pub mod config;
pub mod consistency;
mod data_parallel;
mod error;
pub mod eta;
pub mod events;
mod fine_tuning;
pub mod gallery;
mod gradient_penalty;
mod memory;
mod method;
mod method_config;
mod method_spec;
pub mod methods;
pub mod numerics;
pub mod pool;
mod preview_image;
mod reading;
mod resume;
pub mod run;
pub mod schedule;
pub mod storage;
pub mod tensorboard;
mod train_config;
mod trainer;
pub mod validation;

pub use accumulation::accumulated_step;
pub use augmentation::{AugmentConfig, Augmentation};
pub use backprop::{GradAccumulator, backward};
pub use batch_fusion::BatchFusion;
pub use build_method::build_method;
pub use captured_step::capture_steps;
pub use check_dataset::check_dataset;
pub use checkpointing::Checkpointing;
pub use error::{Error, Result, WayBack};
pub use gan_comm::{Communicator, Single};
pub use gan_translate::{DeviceConfig, to_device};
pub use gradient_penalty::GradientPenalty;
pub use memory::{Estimate, MemoryNeed, estimate};
pub use method::{Losses, Method, MethodState, Panels, StepContext};
pub use method_config::{MethodConfig, Passes, data_of, image_model, one_generator, validate};
pub use method_spec::{ConfigKeys, MethodSpec, Traced, docs, find, keys, resolve, trace};
pub use methods::METHODS;
pub use reading::Reading;
pub use resume::{require_method, resume_config, run_method};
pub use train_config::{OnNonfinite, Reduce, TrainConfig};
pub use trainer::{Job, Outcome, Probe, probe, train};
pub use validation::ValidationConfig;

/// Runs the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
