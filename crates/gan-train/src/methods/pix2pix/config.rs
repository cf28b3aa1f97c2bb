//! The configuration of pix2pix.

use super::Pix2Pix;
use crate::consistency::{Contradiction, DiscriminatorOf, Network};
use crate::method::Method;
use crate::method_config;
use crate::method_config::{MethodConfig, data_of, image_model, one_generator};
use crate::methods::contradictions::{R1_EVERY, images_only, weight};
use crate::{AugmentConfig, DeviceConfig, GradientPenalty, Reading, Result, TrainConfig, ValidationConfig};
use gan_data::{DataConfig, DataMode};
use gan_layers::NormKind;
use gan_losses::GanMode;
use gan_nets::{Arch, DiscriminatorConfig, GeneratorConfig};
use gan_range::{Range, documented};
use gan_translate::ModelConfig;
use serde::{Deserialize, Serialize};

method_config! {
    /// The whole configuration. The discriminator sees input and output image.
    pub struct Config {
        /// Losses.
        pub loss: LossConfig,
        /// What discriminators see.
        pub augment: AugmentConfig,
    }
}

documented! {
    /// The `[loss]` table.
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    pub struct LossConfig {
        /// Adversarial objective.
        pub gan_mode: GanMode,
        /// Weight of the L1 term.
        pub lambda_l1: f64,
        /// Weight of the gradient penalty of WGAN-GP, between real images and fakes; 0 = none, 10 in the paper.
        pub lambda_gp: f64,
        /// Weight γ of the R1 penalty γ/2 · ‖∇D‖² on real images; 0 = none.
        pub r1_gamma: f64,
        /// Steps from one R1 penalty to the next, which counts as many times.
        pub r1_every: u64,
    }
}

impl MethodConfig for Config {
    fn train(&self) -> &TrainConfig {
        &self.train
    }

    fn validation(&self) -> ValidationConfig {
        self.validation.clone()
    }

    fn data(&self) -> DataConfig {
        data_of(&self.data, &self.generator)
    }

    fn networks(&self) -> Vec<Box<dyn Network>> {
        let generator = self.generator.clone();
        let input_nc = generator.input_nc + generator.output_nc;
        vec![Box::new(generator), Box::new(DiscriminatorOf { config: self.discriminator.clone(), input_nc })]
    }

    fn contradictions(&self) -> Vec<Contradiction> {
        let images = images_only("pix2pix", &self.data, "aligned", "facades");
        self.augment.contradiction().into_iter().chain(images).collect()
    }

    fn readings(&self) -> Vec<Reading> {
        let colours = ["data.mode=colorization", "generator.input_nc=1", "generator.output_nc=2"];
        vec![
            Reading::new(DataMode::Aligned.about(), &[]),
            Reading {
                note: Some("this learns to colour grey photographs; other translations need pairs".into()),
                ..Reading::new(DataMode::Colorization.about(), &colours)
            },
        ]
    }

    fn model(&self) -> ModelConfig {
        let data = self.data();
        image_model("pix2pix", one_generator(self.generator.clone(), &data), &data)
    }

    fn build(&self, device_config: &DeviceConfig) -> Result<Box<dyn Method>> {
        Ok(Box::new(Pix2Pix::new(self, device_config)?))
    }
}

impl LossConfig {
    /// The ranges of the numeric keys.
    pub const RANGES: &'static [Range] = &[weight("lambda_l1"), weight("lambda_gp"), weight("r1_gamma"), R1_EVERY];

    /// The gradient penalties of the discriminator.
    pub fn penalty(&self) -> GradientPenalty {
        let LossConfig { lambda_gp, r1_gamma, r1_every, .. } = *self;
        GradientPenalty { lambda_gp, r1_gamma, r1_every }
    }
}

impl Default for Config {
    fn default() -> Self {
        Config {
            data: DataConfig { mode: DataMode::Aligned, ..DataConfig::default() },
            generator: GeneratorConfig {
                arch: Arch::Unet256,
                norm: NormKind::Batch,
                dropout: true,
                ..GeneratorConfig::default()
            },
            discriminator: DiscriminatorConfig { norm: NormKind::Batch, ..DiscriminatorConfig::default() },
            ..Config::of_defaults()
        }
    }
}

impl Default for LossConfig {
    fn default() -> Self {
        LossConfig { gan_mode: GanMode::Vanilla, lambda_l1: 100.0, lambda_gp: 0.0, r1_gamma: 0.0, r1_every: 16 }
    }
}
