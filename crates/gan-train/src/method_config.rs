//! What a method's configuration tells the rest of the program.

use crate::config::{self, Ranged, ToTable, unattributed};
use crate::consistency::{self, BadKey, Contradiction, Demands, Network};
use crate::method::Method;
use crate::reading::Reading;
use crate::validation::{self, ValidationConfig};
use crate::{DeviceConfig, Result, TrainConfig};
use gan_data::{DataConfig, DataMode};
use gan_nets::GeneratorConfig;
use gan_translate::{Generator, InputKind, ModelConfig, OutputKind, ReadOptions, Sizes};
use serde::Serialize;
use std::fmt::Debug;

/// A method's resolved configuration. [`MethodSpec::resolve`](crate::MethodSpec::resolve) makes one, once; everybody who needs
/// to know something of it asks here.
///
/// `examples/own_method.rs` implements it.
pub trait MethodConfig: ToTable + Debug + Send + Sync {
    /// The training loop.
    fn train(&self) -> &TrainConfig;

    /// The dataset, with what follows from the networks: see [`data_of`].
    fn data(&self) -> DataConfig;

    /// When held-out images are translated and measured. By default never.
    fn validation(&self) -> ValidationConfig {
        ValidationConfig::default()
    }

    /// The networks that a training step sends images through.
    fn networks(&self) -> Vec<Box<dyn Network>>;

    /// How often the networks of [`MethodConfig::networks`] are there and pass images, in their order; by default once each.
    /// Estimates of memory are made of it.
    fn passes(&self) -> Vec<Passes> {
        self.networks().iter().map(|_| Passes { networks: 1, alive: 1 }).collect()
    }

    /// What only this method knows to contradict itself.
    fn contradictions(&self) -> Vec<Contradiction> {
        Vec::new()
    }

    /// The ways in which the method can read files, the usual one first. By default the one of the configuration's `data.mode`.
    fn readings(&self) -> Vec<Reading> {
        vec![Reading::new(self.data().mode.about(), &[])]
    }

    /// Keys of its own that may change when a run is resumed, beside those that may in all runs: they shape neither the
    /// networks nor the data nor the random numbers.
    fn changeable_keys(&self) -> &'static [&'static str] {
        &[]
    }

    /// What a trained model is: a checkpoint holds it as `model.json`. Images that methods translate are the work of
    /// [`image_model`].
    fn model(&self) -> ModelConfig;

    /// Builds the method, with weights freshly drawn.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for what [`validate`] refuses, and for a precision that the device does not have;
    /// [`Error::Tensor`](crate::Error::Tensor) if the device has no memory for the networks.
    fn build(&self, device_config: &DeviceConfig) -> Result<Box<dyn Method>>;
}

/// How a training step uses a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Passes {
    /// Networks of this kind.
    pub networks: usize,
    /// Forward passes of single images' worth, over all of them, whose activations are there at the peak.
    pub alive: usize,
}

/// Refuses a configuration whose numbers are out of their ranges or whose settings contradict each other. What
/// [`MethodSpec::resolve`](crate::MethodSpec::resolve) returns has passed it; a method calls it before it builds networks,
/// because a configuration may also be made by hand.
///
/// # Errors
/// [`Error::Config`](crate::Error::Config) naming all contradictions.
pub fn validate<C: MethodConfig + Ranged + Serialize>(config: &C) -> Result<()> {
    config::check_numbers(config)?;
    demands(config).map(drop)
}

/// What the networks ask of images. Refuses settings that contradict each other.
///
/// # Errors
/// [`Error::Config`](crate::Error::Config) naming all contradictions.
pub(crate) fn demands(config: &dyn MethodConfig) -> Result<Demands> {
    let networks = config.networks();
    if let Some(BadKey { key, reason }) = networks.iter().find_map(|network| network.refusal()) {
        return Err(unattributed(&key, &reason));
    }
    let data = config.data();
    let demands = Demands::of(networks, data.batch_size)?;
    let mut own = config.contradictions();
    own.extend(validation::contradictions(&config.validation(), &data, || config.model()));
    let found = consistency::contradictions(config.train(), &data, own, &demands);
    consistency::refuse(&found).map(|()| demands)
}

/// A `[data]` table with what follows from the generator: channels and multiples.
pub fn data_of(data: &DataConfig, generator: &GeneratorConfig) -> DataConfig {
    let GeneratorConfig { input_nc, output_nc, .. } = *generator;
    DataConfig { input_nc, output_nc, multiple: data.multiple.max(generator.size_multiple()), ..data.clone() }
}

/// The model of a method that translates images, or colours them. `data` is that of [`MethodConfig::data`].
pub fn image_model(method: &str, generators: Vec<Generator>, data: &DataConfig) -> ModelConfig {
    let (input, output) = match data.mode {
        DataMode::Colorization => (InputKind::Lightness, OutputKind::Colour),
        _ => (InputKind::Image, OutputKind::Image),
    };
    let transform = data.transform();
    ModelConfig {
        format: ModelConfig::FORMAT,
        method: method.to_owned(),
        generators,
        input,
        instances: false,
        output,
        encoder: None,
        sizes: Sizes {
            preprocess: transform.preprocess,
            load_size: transform.load_size,
            crop_size: transform.crop_size,
            multiple: transform.multiple,
            minimum_height: transform.minimum_height,
        },
        read: ReadOptions { exif: data.exif, alpha: data.alpha, labels_as: data.labels_as },
    }
}

/// The one generator of a method: the network `g`, from the domain that `data` names as input to the other.
pub fn one_generator(config: GeneratorConfig, data: &DataConfig) -> Vec<Generator> {
    vec![Generator { network: "g".into(), direction: data.direction, config }]
}
