//! Generators, discriminators and encoders of pix2pix, pix2pixHD, CycleGAN and CUT.
//!
//! Every network is a config with a `build`, which writes the layers down in the order of the paper at paths that are
//! the PyTorch state-dict keys: official checkpoints load unchanged. [`GeneratorConfig`] and [`DiscriminatorConfig`]
//! gather them behind the references' option names.
//!
//! ```
//! # fn main() -> candle_core::Result<()> {
//! use gan_nets::{GeneratorConfig, Arch};
//! use gan_layers::Builder;
//! let config = GeneratorConfig { arch: Arch::Resnet9Blocks, ..GeneratorConfig::default() };
//! let net = config.build(Builder::shapes_only())?;
//! assert_eq!(net.summary((256, 256))?.params(), 11_378_179);
//! # Ok(()) }
//! ```

mod arch_keys;
mod blocks;
mod bounds;
mod captured;
mod demand;
mod discriminator;
mod discriminator_config;
mod error;
mod features;
mod generator;
mod global;
mod infer;
mod local;
mod multiscale;
mod one_arch;
mod padding;
mod patch;
mod patch_sample;
mod resnet;
mod statistics;
mod unet;
mod unet_layout;
mod upsample;

pub use arch_keys::UnusedKey;
pub use captured::CapturedGenerator;
pub use demand::{Demand, MAX_SIDE, Sides};
pub use discriminator::Discriminator;
pub use discriminator_config::{DiscriminatorConfig, NetD};
pub use error::{Error, Result};
pub use gan_layers::{Builder, Ctx, Dropout, NormKind, Summary};
pub use generator::{Arch, Generator, GeneratorConfig};
pub use global::{EncoderConfig, GlobalConfig};
pub use infer::{Assumptions, Identified, Network, identify, identify_assuming, infer};
pub use local::LocalConfig;
pub use multiscale::MultiscaleConfig;
pub use padding::Padding;
pub use patch::{PatchConfig, PixelConfig};
pub use patch_sample::{NetF, PatchSample, PatchSampleConfig};
pub use resnet::ResnetConfig;
pub use unet::UnetConfig;
pub use unet_layout::UnetLayout;
pub use upsample::Upsample;

/// Runs the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
