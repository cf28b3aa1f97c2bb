//! The configuration of pix2pixHD.

use crate::method_config;
use crate::methods::contradictions::{R1_EVERY, weight};
use crate::{AugmentConfig, GradientPenalty};
use gan_data::{DataConfig, DataMode};
use gan_layers::NormKind;
use gan_losses::GanMode;
use gan_nets::{Arch, DiscriminatorConfig, EncoderConfig, GeneratorConfig, NetD};
use gan_range::{Range, documented};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

method_config! {
    /// The whole configuration. The input channels of the generator follow from labels, edges and features.
    pub struct Config {
        /// Losses.
        pub loss: LossConfig,
        /// What discriminators see.
        pub augment: AugmentConfig,
        /// Instance feature encoder.
        pub encoder: FeatureConfig,
        /// Coarse to fine.
        pub enhancer: EnhancerConfig,
    }
}

documented! {
    /// The `[loss]` table.
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    pub struct LossConfig {
        /// Adversarial objective.
        pub gan_mode: GanMode,
        /// Weight of feature matching and of the perceptual loss.
        pub lambda_feat: f64,
        /// Whether the discriminators' features are matched.
        pub feature_matching: bool,
        /// Perceptual loss.
        pub perceptual: Perceptual,
        /// File of VGG19's weights; empty = where `gan-cli fetch vgg19` puts them.
        pub vgg19: PathBuf,
        /// Weight of the gradient penalty of WGAN-GP, between real images and fakes; 0 = none, 10 in the paper.
        pub lambda_gp: f64,
        /// Weight γ of the R1 penalty γ/2 · ‖∇D‖² on real images; 0 = none.
        pub r1_gamma: f64,
        /// Steps from one R1 penalty to the next, which counts as many times.
        pub r1_every: u64,
    }
}

/// Which perceptual loss is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Perceptual {
    /// VGG19's features.
    Vgg19,
    /// None.
    None,
}

documented! {
    /// The `[encoder]` table.
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    pub struct FeatureConfig {
        /// Whether the generator gets instance features from a trained encoder.
        pub instance_feat: bool,
        /// Channels of the features.
        pub feat_num: usize,
        /// Width of the encoder.
        pub nef: usize,
        /// Halvings of the encoder.
        pub n_downsample_e: usize,
        /// Clusters per label for sampling styles.
        pub n_clusters: usize,
    }
}

documented! {
    /// The `[enhancer]` table.
    #[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    pub struct EnhancerConfig {
        /// Epochs in which only the outermost enhancer (and the encoder) is trained.
        pub n_epochs_fix_global: u64,
        /// Run or checkpoint folder whose networks are the starting point, as far as names and shapes agree.
        pub load_pretrain: PathBuf,
    }
}

impl LossConfig {
    /// The ranges of the numeric keys.
    pub const RANGES: &'static [Range] = &[weight("lambda_feat"), weight("lambda_gp"), weight("r1_gamma"), R1_EVERY];

    /// The gradient penalties of the discriminator.
    pub fn penalty(&self) -> GradientPenalty {
        let LossConfig { lambda_gp, r1_gamma, r1_every, .. } = *self;
        GradientPenalty { lambda_gp, r1_gamma, r1_every }
    }
}

impl FeatureConfig {
    /// The ranges of the numeric keys.
    pub const RANGES: &'static [Range] = &[
        EncoderConfig::RANGES[0],
        EncoderConfig::RANGES[1],
        EncoderConfig::RANGES[2],
        Range::whole("n_clusters", 1, 65_536),
    ];
}

impl EnhancerConfig {
    /// The ranges of the numeric keys.
    pub const RANGES: &'static [Range] = &[Range::whole("n_epochs_fix_global", 0, 1_000_000_000)];
}

impl Default for Config {
    fn default() -> Self {
        Config {
            data: DataConfig { mode: DataMode::Labelled, ..DataConfig::default() },
            generator: GeneratorConfig { arch: Arch::Global, ..GeneratorConfig::default() },
            discriminator: DiscriminatorConfig {
                arch: NetD::Multiscale,
                norm: NormKind::Instance,
                ..DiscriminatorConfig::default()
            },
            ..Config::of_defaults()
        }
    }
}

impl Default for LossConfig {
    fn default() -> Self {
        LossConfig {
            gan_mode: GanMode::Lsgan,
            lambda_feat: 10.0,
            feature_matching: true,
            perceptual: Perceptual::Vgg19,
            vgg19: PathBuf::new(),
            lambda_gp: 0.0,
            r1_gamma: 0.0,
            r1_every: 16,
        }
    }
}

impl Default for FeatureConfig {
    fn default() -> Self {
        FeatureConfig { instance_feat: false, feat_num: 3, nef: 16, n_downsample_e: 4, n_clusters: 10 }
    }
}

impl Config {
    /// Planes of the one-hot labels; 0 for images as input.
    pub fn classes(&self) -> usize {
        if self.data.label_nc == 0 { 0 } else { self.data.label_nc + usize::from(self.data.dont_care.is_some()) }
    }

    /// Channels of the condition: labels (or the image) and edges.
    pub fn condition_nc(&self) -> usize {
        let base = if self.data.label_nc == 0 { self.generator.input_nc } else { self.classes() };
        base + usize::from(self.data.instances)
    }

    /// The generator with the input channels that follow.
    pub fn generator(&self) -> GeneratorConfig {
        let features = if self.encoder.instance_feat { self.encoder.feat_num } else { 0 };
        GeneratorConfig { input_nc: self.condition_nc() + features, ..self.generator.clone() }
    }

    /// The encoder.
    pub fn encoder(&self) -> EncoderConfig {
        EncoderConfig {
            input_nc: self.generator.output_nc,
            feat_num: self.encoder.feat_num,
            nef: self.encoder.nef,
            n_downsample: self.encoder.n_downsample_e,
            norm: self.generator.norm,
        }
    }
}
