//! Generators, discriminators and encoders of pix2pix, pix2pixHD and CycleGAN.

mod error;
pub mod pth;
pub mod weights;

pub use error::{Error, Origin, Result};
