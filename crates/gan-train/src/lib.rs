//! Methods (pix2pix, pix2pixHD, CycleGAN), the trainer, run folders and checkpoints.

pub mod checkpoint;
mod error;
pub mod eta;
pub mod events;
pub mod gallery;
mod lock;
pub mod pool;
pub mod run;
pub mod schedule;
pub mod storage;

pub use error::{Error, Result};
pub use lock::RunLock;
