//! The configuration of CUT.

use super::Cut;
use crate::consistency::{Contradiction, DiscriminatorOf, Network};
use crate::method::Method;
use crate::method_config;
use crate::method_config::{MethodConfig, Passes, data_of, image_model, one_generator};
use crate::methods::contradictions::{R1_EVERY, images_only, unpaired_readings, weight};
use crate::{AugmentConfig, DeviceConfig, GradientPenalty, Reading, TrainConfig, ValidationConfig};
use gan_data::{DataConfig, DataMode};
use gan_layers::{Builder, InitType};
use gan_losses::GanMode;
use gan_nets::{DiscriminatorConfig, GeneratorConfig, NetF, PatchSampleConfig};
use gan_range::{Range, documented};
use gan_translate::ModelConfig;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};

method_config! {
    /// The whole configuration. The generator is a ResNet, whose encoder gives the features that are compared; the discriminator
    /// sees the output image alone.
    pub struct Config {
        /// The feature head.
        pub head: HeadConfig,
        /// Losses.
        pub loss: LossConfig,
        /// What discriminators see.
        pub augment: AugmentConfig,
    }
}

documented! {
    /// The `[head]` table. Its weights are drawn as those of the generator.
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    pub struct HeadConfig {
        /// Kind.
        pub arch: NetF,
        /// Width of its perceptrons.
        pub netf_nc: usize,
    }
}

documented! {
    /// The `[loss]` table.
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    pub struct LossConfig {
        /// Adversarial objective.
        pub gan_mode: GanMode,
        /// Weight of the adversarial loss of the generator.
        pub lambda_gan: f64,
        /// Weight of the contrastive loss.
        pub lambda_nce: f64,
        /// Also compares images of domain B with what the generator makes of them.
        pub nce_idt: bool,
        /// Modules of the generator whose features are compared, ascending; also as text, `"0,4,8,12,16"`.
        #[serde(deserialize_with = "numbers")]
        pub nce_layers: Vec<usize>,
        /// Temperature of the contrastive loss.
        pub nce_t: f64,
        /// Patches of each image and layer.
        pub num_patches: usize,
        /// Compares with patches of all images of the batch, not of the own image alone.
        pub nce_includes_all_negatives_from_minibatch: bool,
        /// Gives the generator mirrored images in half of the steps (FastCUT).
        pub flip_equivariance: bool,
        /// Weight of the gradient penalty of WGAN-GP, between real images and fakes; 0 = none, 10 in the paper.
        pub lambda_gp: f64,
        /// Weight γ of the R1 penalty γ/2 · ‖∇D‖² on real images; 0 = none.
        pub r1_gamma: f64,
        /// Steps from one R1 penalty to the next, which counts as many times.
        pub r1_every: u64,
    }
}

/// A list of numbers, or the reference's form of it, which a command line has.
fn numbers<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<usize>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected numbers, as in [0, 4, 8]")]
    enum Form {
        List(Vec<usize>),
        One(usize),
        Text(String),
    }
    match Form::deserialize(from)? {
        Form::List(list) => Ok(list),
        Form::One(number) => Ok(vec![number]),
        Form::Text(text) => {
            let number =
                |part: &str| part.trim().parse().map_err(|_| D::Error::custom(format!("`{part}` is no number")));
            text.split(',').map(number).collect()
        }
    }
}

/// The reference's `nce_layers`.
const NCE_LAYERS: [usize; 5] = [0, 4, 8, 12, 16];

impl MethodConfig for Config {
    fn train(&self) -> &TrainConfig {
        &self.train
    }

    fn data(&self) -> DataConfig {
        data_of(&self.data, &self.generator)
    }

    fn validation(&self) -> ValidationConfig {
        self.validation.clone()
    }

    fn networks(&self) -> Vec<Box<dyn Network>> {
        let generator = self.generator.clone();
        let input_nc = generator.output_nc;
        vec![Box::new(generator), Box::new(DiscriminatorOf { config: self.discriminator.clone(), input_nc })]
    }

    /// The generator makes images, of both domains with the identity loss, and its encoder sees them again.
    fn passes(&self) -> Vec<Passes> {
        let images = 1 + usize::from(self.loss.nce_idt);
        vec![Passes { networks: 1, alive: images + 1 }, Passes { networks: 1, alive: 1 }]
    }

    fn contradictions(&self) -> Vec<Contradiction> {
        let images = images_only("cut", &self.data, "unaligned", "unpaired");
        let augment = self.augment.contradiction();
        self.unlike_channels().into_iter().chain(self.no_features()).chain(augment).chain(images).collect()
    }

    fn readings(&self) -> Vec<Reading> {
        unpaired_readings()
    }

    fn model(&self) -> ModelConfig {
        let data = self.data();
        image_model("cut", one_generator(self.generator.clone(), &data), &data)
    }

    fn build(&self, device_config: &DeviceConfig) -> crate::Result<Box<dyn Method>> {
        Ok(Box::new(Cut::new(self, device_config)?))
    }
}

impl Config {
    /// The generator's encoder sees inputs and outputs.
    fn unlike_channels(&self) -> Option<Contradiction> {
        let GeneratorConfig { input_nc, output_nc, .. } = self.generator;
        let what = format!(
            "cut compares features of inputs and outputs, which need as many channels; generator.input_nc is {input_nc} and generator.output_nc {output_nc}"
        );
        let same = format!("generator.output_nc = {input_nc}");
        (input_nc != output_nc).then(|| Contradiction::new(what, &[&[&same]]))
    }

    /// Layers without features.
    fn no_features(&self) -> Option<Contradiction> {
        let arch = self.generator.arch;
        if !arch.is_resnet() {
            let what = format!("cut compares features of a ResNet; generator.arch is \"{}\"", arch.name());
            return Some(Contradiction::new(what, &[&["generator.arch = \"resnet_9blocks\""]]));
        }
        let layers = &self.loss.nce_layers;
        let what = format!("loss.nce_layers = {layers:?} are not modules of the generator in ascending order");
        let network = self.generator.build(Builder::shapes_only()).ok()?;
        let side = 4 * self.generator.size_multiple();
        let exist = !layers.is_empty() && layers.is_sorted() && network.feature_sizes(layers, (side, side)).is_ok();
        let default = format!("loss.nce_layers = {NCE_LAYERS:?}");
        (!exist).then(|| Contradiction::new(what, &[&[&default]]))
    }
}

impl HeadConfig {
    /// The ranges of the numeric keys.
    pub const RANGES: &'static [Range] = &[PatchSampleConfig::NC];
}

impl LossConfig {
    /// The ranges of the numeric keys.
    pub const RANGES: &'static [Range] = &[
        weight("lambda_gan"),
        weight("lambda_nce"),
        Range::positive("nce_t", 1e6),
        Range::whole("num_patches", 1, 1 << 16),
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
        let init_type = InitType::Xavier;
        Config {
            train: TrainConfig { n_epochs: 200, n_epochs_decay: 200, ..TrainConfig::default() },
            data: DataConfig { mode: DataMode::Unaligned, ..DataConfig::default() },
            generator: GeneratorConfig { antialias: true, antialias_up: true, init_type, ..GeneratorConfig::default() },
            discriminator: DiscriminatorConfig { antialias: true, init_type, ..DiscriminatorConfig::default() },
            ..Config::of_defaults()
        }
    }
}

impl Default for HeadConfig {
    fn default() -> Self {
        HeadConfig { arch: NetF::MlpSample, netf_nc: 256 }
    }
}

impl Default for LossConfig {
    fn default() -> Self {
        LossConfig {
            gan_mode: GanMode::Lsgan,
            lambda_gan: 1.0,
            lambda_nce: 1.0,
            nce_idt: true,
            nce_layers: NCE_LAYERS.to_vec(),
            nce_t: 0.07,
            num_patches: 256,
            nce_includes_all_negatives_from_minibatch: false,
            flip_equivariance: false,
            lambda_gp: 0.0,
            r1_gamma: 0.0,
            r1_every: 16,
        }
    }
}
