//! All discriminators behind one config with the references' option names.

use crate::bounds::{self, Factor};
use crate::{Discriminator, MultiscaleConfig, PatchConfig, PixelConfig};
use candle_core::Result;
use gan_layers::{Builder, InitType, NormKind};
use gan_range::{Range, documented};
use serde::{Deserialize, Serialize};

/// A discriminator's architecture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NetD {
    /// PatchGAN with three layers (70x70).
    Basic,
    /// PatchGAN with `n_layers_d` layers.
    NLayers,
    /// 1x1 convolutions.
    Pixel,
    /// pix2pixHD's pyramid of `num_d` PatchGANs.
    Multiscale,
}

documented! {
    /// A discriminator. Its input channels follow from the method. An architecture ignores keys that it has no
    /// use for; [`DiscriminatorConfig::unused_keys`] names them.
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    pub struct DiscriminatorConfig {
        /// Architecture.
        pub arch: NetD,
        /// Width of the first layer.
        pub ndf: usize,
        /// Layers of `arch = "n_layers"` and `"multiscale"`.
        pub n_layers_d: usize,
        /// Scales of `arch = "multiscale"`.
        pub num_d: usize,
        /// PatchGANs halve by a blur behind a convolution with stride 1 (CUT).
        pub antialias: bool,
        /// Normalization.
        pub norm: NormKind,
        /// Weight initialization.
        pub init_type: InitType,
        /// Its gain.
        pub init_gain: f64,
    }
}

impl Default for DiscriminatorConfig {
    fn default() -> Self {
        DiscriminatorConfig {
            arch: NetD::Basic,
            ndf: 64,
            n_layers_d: 3,
            num_d: 3,
            antialias: false,
            norm: NormKind::Instance,
            init_type: InitType::Normal,
            init_gain: 0.02,
        }
    }
}

impl DiscriminatorConfig {
    /// The ranges of the numeric keys.
    pub const RANGES: &'static [Range] = &[bounds::NDF, bounds::N_LAYERS_D, bounds::NUM_D, bounds::INIT_GAIN];

    /// As [`GeneratorConfig::validate`](crate::GeneratorConfig::validate), for inputs of this many channels.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange), [`Error::TooLarge`](crate::Error::TooLarge).
    pub fn validate(&self, input_nc: usize) -> crate::Result<()> {
        bounds::check_all(self, Self::RANGES)?;
        let d = Self::default();
        let factors = [
            Factor::linear("ndf", self.ndf, d.ndf),
            Factor::linear("n_layers_d", self.n_layers_d, d.n_layers_d),
            Factor::linear("num_d", self.num_d, d.num_d),
        ];
        bounds::check_size(&factors, |at| self.build(input_nc, at))
    }

    /// Writes the network down for inputs of this many channels.
    ///
    /// # Errors
    /// For a number out of its range, and those of the builder's source.
    pub fn build<'a>(&self, input_nc: usize, at: impl Into<Builder<'a>>) -> Result<Discriminator> {
        let patch =
            |n_layers| PatchConfig { input_nc, ndf: self.ndf, n_layers, norm: self.norm, antialias: self.antialias };
        match self.arch {
            NetD::Basic => patch(3).build(at),
            NetD::NLayers => patch(self.n_layers_d).build(at),
            NetD::Pixel => PixelConfig { input_nc, ndf: self.ndf, norm: self.norm }.build(at),
            NetD::Multiscale => MultiscaleConfig {
                input_nc,
                ndf: self.ndf,
                n_layers: self.n_layers_d,
                num_d: self.num_d,
                norm: self.norm,
                feature_stages: true,
            }
            .build(at),
        }
    }
}
