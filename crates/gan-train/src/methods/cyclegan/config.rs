//! The configuration of CycleGAN.

use super::CycleGan;
use crate::consistency::{Contradiction, DiscriminatorOf, Network};
use crate::method::Method;
use crate::method_config;
use crate::method_config::{MethodConfig, Passes, data_of, image_model};
use crate::methods::contradictions::{R1_EVERY, images_only, unpaired_readings, weight};
use crate::{AugmentConfig, DeviceConfig, GradientPenalty, Reading, Result, TrainConfig, ValidationConfig};
use gan_data::{DataConfig, DataMode};
use gan_losses::GanMode;
use gan_nets::GeneratorConfig;
use gan_range::{Range, documented};
use gan_translate::{Direction, Generator, ModelConfig};
use serde::{Deserialize, Serialize};

method_config! {
    /// The whole configuration. `[generator]` is that of `G_A`; `G_B` has input and output channels exchanged.
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
        /// Weight of the cycle A → B → A.
        pub lambda_a: f64,
        /// Weight of the cycle B → A → B.
        pub lambda_b: f64,
        /// Weight of the identity losses relative to the cycles; 0 turns them off.
        pub lambda_identity: f64,
        /// Weight of the gradient penalty of WGAN-GP, between real images and fakes; 0 = none, 10 in the paper.
        pub lambda_gp: f64,
        /// Weight γ of the R1 penalty γ/2 · ‖∇D‖² on real images; 0 = none.
        pub r1_gamma: f64,
        /// Steps from one R1 penalty to the next, which counts as many times.
        pub r1_every: u64,
    }
}

impl Config {
    /// The configuration of `G_B`: that of `G_A` with the channels exchanged.
    pub(super) fn generator_b(&self) -> GeneratorConfig {
        let g = &self.generator;
        GeneratorConfig { input_nc: g.output_nc, output_nc: g.input_nc, ..g.clone() }
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

    /// Those of one direction, and those of the other where channels differ.
    fn networks(&self) -> Vec<Box<dyn Network>> {
        let one_way = |generator: GeneratorConfig| -> [Box<dyn Network>; 2] {
            let input_nc = generator.output_nc;
            [Box::new(generator), Box::new(DiscriminatorOf { config: self.discriminator.clone(), input_nc })]
        };
        let inverse = self.generator_b();
        let differs = inverse != self.generator;
        one_way(self.generator.clone())
            .into_iter()
            .chain(differs.then(|| one_way(inverse)).into_iter().flatten())
            .collect()
    }

    /// One direction: both generators, one of them also with the identity loss, and a discriminator.
    fn passes(&self) -> Vec<Passes> {
        let identity = usize::from(self.loss.lambda_identity > 0.0);
        let of = |networks, alive| Passes { networks, alive };
        match self.networks().len() {
            2 => vec![of(2, 2 + identity), of(2, 1)],
            _ => vec![of(1, 1 + identity), of(1, 1), of(1, 1), of(1, 0)],
        }
    }

    fn contradictions(&self) -> Vec<Contradiction> {
        let GeneratorConfig { input_nc, output_nc, .. } = self.generator;
        let identity = self.loss.lambda_identity > 0.0 && input_nc != output_nc;
        let identity = identity.then(|| {
            let what = format!(
                "the identity loss needs as many input channels as output channels; generator.input_nc is {input_nc} and generator.output_nc {output_nc}"
            );
            Contradiction::new(what, &[&["loss.lambda_identity = 0"]])
        });
        let images = images_only("cyclegan", &self.data, "unaligned", "unpaired");
        identity.into_iter().chain(self.augment.contradiction()).chain(images).collect()
    }

    fn readings(&self) -> Vec<Reading> {
        unpaired_readings()
    }

    fn model(&self) -> ModelConfig {
        let generators = vec![
            Generator { network: "g_a".into(), direction: Direction::A2b, config: self.generator.clone() },
            Generator { network: "g_b".into(), direction: Direction::B2a, config: self.generator_b() },
        ];
        image_model("cyclegan", generators, &self.data())
    }

    fn build(&self, device_config: &DeviceConfig) -> Result<Box<dyn Method>> {
        Ok(Box::new(CycleGan::new(self, device_config)?))
    }
}

impl LossConfig {
    /// The ranges of the numeric keys.
    pub const RANGES: &'static [Range] = &[
        weight("lambda_a"),
        weight("lambda_b"),
        weight("lambda_identity"),
        weight("lambda_gp"),
        weight("r1_gamma"),
        R1_EVERY,
    ];

    /// The gradient penalties of the discriminator.
    pub fn penalty(&self) -> GradientPenalty {
        let LossConfig { lambda_gp, r1_gamma, r1_every, .. } = *self;
        GradientPenalty { lambda_gp, r1_gamma, r1_every }
    }
}

impl Default for Config {
    fn default() -> Self {
        Config {
            train: TrainConfig { pool_size: 50, ..TrainConfig::default() },
            data: DataConfig { mode: DataMode::Unaligned, ..DataConfig::default() },
            ..Config::of_defaults()
        }
    }
}

impl Default for LossConfig {
    fn default() -> Self {
        LossConfig {
            gan_mode: GanMode::Lsgan,
            lambda_a: 10.0,
            lambda_b: 10.0,
            lambda_identity: 0.5,
            lambda_gp: 0.0,
            r1_gamma: 0.0,
            r1_every: 16,
        }
    }
}
