//! The builders of generators of one architecture: each is a [`GeneratorConfig`] that knows its architecture.

use crate::{Arch, Generator, GeneratorConfig, GlobalConfig, LocalConfig, ResnetConfig, UnetConfig};
use candle_core::Result;
use gan_layers::Builder;

impl ResnetConfig {
    /// Writes the network down.
    ///
    /// # Errors
    /// For a number out of its range, and those of the builder's source.
    pub fn build<'a>(&self, at: impl Into<Builder<'a>>) -> Result<Generator> {
        GeneratorConfig::from(self).build(at)
    }
}

impl From<&ResnetConfig> for GeneratorConfig {
    fn from(c: &ResnetConfig) -> Self {
        GeneratorConfig {
            arch: Arch::Resnet,
            input_nc: c.input_nc,
            output_nc: c.output_nc,
            ngf: c.ngf,
            norm: c.norm,
            n_blocks: c.n_blocks,
            dropout: c.dropout,
            padding: c.padding,
            down_padding: c.down_padding,
            upsample: c.upsample,
            antialias: c.antialias,
            antialias_up: c.antialias_up,
            ..GeneratorConfig::default()
        }
    }
}

impl UnetConfig {
    /// Writes the network down.
    ///
    /// # Errors
    /// For a number out of its range, and those of the builder's source.
    pub fn build<'a>(&self, at: impl Into<Builder<'a>>) -> Result<Generator> {
        GeneratorConfig::from(self).build(at)
    }
}

impl From<&UnetConfig> for GeneratorConfig {
    fn from(c: &UnetConfig) -> Self {
        GeneratorConfig {
            arch: Arch::Unet,
            input_nc: c.input_nc,
            output_nc: c.output_nc,
            ngf: c.ngf,
            norm: c.norm,
            num_downs: c.num_downs,
            dropout: c.dropout,
            upsample: c.upsample,
            unet_layout: c.layout,
            down_padding: c.down_padding,
            ..GeneratorConfig::default()
        }
    }
}

impl GlobalConfig {
    /// Writes the network down.
    ///
    /// # Errors
    /// For a number out of its range, and those of the builder's source.
    pub fn build<'a>(&self, at: impl Into<Builder<'a>>) -> Result<Generator> {
        GeneratorConfig::from(self).build(at)
    }
}

impl From<&GlobalConfig> for GeneratorConfig {
    fn from(c: &GlobalConfig) -> Self {
        GeneratorConfig {
            arch: Arch::Global,
            input_nc: c.input_nc,
            output_nc: c.output_nc,
            ngf: c.ngf,
            norm: c.norm,
            n_downsample_global: c.n_downsample,
            n_blocks_global: c.n_blocks,
            upsample: c.upsample,
            ..GeneratorConfig::default()
        }
    }
}

impl LocalConfig {
    /// Writes the network down.
    ///
    /// # Errors
    /// For a number out of its range, and those of the builder's source.
    pub fn build<'a>(&self, at: impl Into<Builder<'a>>) -> Result<Generator> {
        GeneratorConfig::from(self).build(at)
    }
}

impl From<&LocalConfig> for GeneratorConfig {
    fn from(c: &LocalConfig) -> Self {
        GeneratorConfig {
            arch: Arch::Local,
            input_nc: c.input_nc,
            output_nc: c.output_nc,
            ngf: c.ngf,
            norm: c.norm,
            n_downsample_global: c.n_downsample_global,
            n_blocks_global: c.n_blocks_global,
            upsample: c.upsample,
            n_local_enhancers: c.n_local,
            n_blocks_local: c.n_blocks_local,
            ..GeneratorConfig::default()
        }
    }
}
