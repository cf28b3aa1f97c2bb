//! The network that is exported, with its weights and what is known of its model.

use crate::{Error, Result};
use candle_core::{DType, Device, Tensor};
use gan_layers::{Ctx, OperatorGraph, OperatorValue, Sequence};
use gan_nets::{Discriminator, Generator, Network, infer};
use gan_translate::{ModelConfig, TrainedModel, WeightFile, WeightOptions, smallest_side};
use gan_weights::StateDict;

/// A network of a model.
#[derive(Debug, Clone)]
pub struct Subject {
    /// Its name in the model: `g`, `d_a`.
    pub name: String,
    /// What it is.
    pub network: Network,
    /// Its weights.
    pub state: StateDict,
    /// The model that it belongs to, where that is known.
    pub model: Option<ModelConfig>,
    /// Step of the checkpoint.
    pub step: Option<u64>,
}

/// A network over its weights, on the CPU.
#[derive(Debug)]
pub(crate) enum Built {
    Generator(Generator),
    /// With the channels of its input.
    Discriminator(Discriminator, usize),
    /// With the channels of its input.
    Encoder(Sequence, usize),
}

impl Subject {
    /// A network of a model by its name; without one, the first generator.
    ///
    /// # Errors
    /// [`Error::Translate`] if there is no such network, [`Error::Nets`] if it is none that is known.
    pub fn of_model(trained: &TrainedModel, name: Option<&str>) -> Result<Self> {
        let model = trained.config().clone();
        let name = name.unwrap_or(&model.generators[0].network).to_owned();
        let state = trained.network(&name)?;
        let generator = model.generators.iter().find(|generator| generator.network == name);
        let encoder = model.encoder.iter().find(|encoder| encoder.network == name);
        let network = match (generator, encoder) {
            (Some(generator), _) => Network::Generator(generator.config.clone()),
            (None, Some(encoder)) => Network::Encoder(encoder.config.clone()),
            (None, None) => infer(&state, None)?,
        };
        Ok(Subject { name, network, state, model: Some(model), step: trained.step() })
    }

    /// The network of a bare weight file.
    ///
    /// # Errors
    /// [`Error::Translate`] if the labels of a generator do not make up its input.
    pub fn of_file(file: &WeightFile, options: &WeightOptions) -> Result<Self> {
        let (name, model) = match file.network {
            Network::Generator(_) => ("g", Some(file.describe(options)?)),
            Network::Encoder(_) => ("e", None),
            _ => ("d", None),
        };
        let (network, state) = (file.network.clone(), file.state.clone());
        Ok(Subject { name: name.to_owned(), network, state, model, step: None })
    }

    /// The model and the generator that this network is.
    ///
    /// # Errors
    /// [`Error::NoPreprocessing`] if it is another network.
    pub(crate) fn generator(&self) -> Result<(&ModelConfig, &gan_translate::Generator)> {
        let found = self
            .model
            .as_ref()
            .and_then(|model| Some((model, model.generators.iter().find(|generator| generator.network == self.name)?)));
        found.ok_or(Error::NoPreprocessing { reason: "it is no generator" })
    }

    /// The network over its weights.
    pub(crate) fn build(&self) -> Result<Built> {
        let weights = self.state.var_builder(DType::F32, &Device::Cpu)?;
        let channels = self.network.input_nc();
        Ok(match &self.network {
            Network::Generator(config) => Built::Generator(config.build(weights)?),
            Network::Patch(config) => Built::Discriminator(config.build(weights)?, channels),
            Network::Pixel(config) => Built::Discriminator(config.build(weights)?, channels),
            Network::Multiscale(config) => Built::Discriminator(config.build(weights)?, channels),
            Network::Encoder(config) => Built::Encoder(config.build(weights)?, channels),
            other => return Err(Error::UnknownNetwork { network: other.to_string() }),
        })
    }

    /// Both sides of an input should be multiples of this, and not below it.
    pub fn size_multiple(&self) -> usize {
        match &self.network {
            Network::Generator(config) => config.size_multiple(),
            Network::Encoder(config) => 1 << config.n_downsample,
            _ => 1,
        }
    }

    /// The smallest side of an input.
    pub fn smallest_side(&self) -> usize {
        match &self.network {
            Network::Generator(config) => smallest_side(config),
            Network::Encoder(config) => 4.max(1 << config.n_downsample),
            _ => 32,
        }
    }

    /// Height and width of an input: those asked for, or those of the training's crops in a size that suits.
    pub fn size(&self, asked: Option<(usize, usize)>) -> (usize, usize) {
        let crop = self.model.as_ref().map_or(256, |model| model.sizes.crop_size);
        let multiple = self.size_multiple();
        let side = crop.max(self.smallest_side()).div_ceil(multiple) * multiple;
        asked.unwrap_or((side, side))
    }

    /// Whether the network returns an image of the size of its input, or rounds it up itself (up to four); others it would cut.
    pub(crate) fn takes(&self, (h, w): (usize, usize)) -> bool {
        let multiple = self.size_multiple();
        multiple <= 4 || h % multiple == 0 && w % multiple == 0
    }

    /// Which sides the network takes, in words.
    pub(crate) fn wanted_sides(&self) -> String {
        let (multiple, smallest) = (self.size_multiple(), self.smallest_side());
        match multiple {
            1 => "larger ones".to_owned(),
            _ => format!("multiples of {multiple} from {smallest} on"),
        }
    }

    /// Whether it has batch norms.
    pub(crate) fn has_batch_norm(&self) -> bool {
        let norm = match &self.network {
            Network::Generator(config) => config.norm,
            Network::Patch(config) => config.norm,
            Network::Pixel(config) => config.norm,
            Network::Multiscale(config) => config.norm,
            Network::Encoder(config) => config.norm,
            _ => return false,
        };
        norm == gan_layers::NormKind::Batch
    }
}

impl Built {
    /// The operators and the outputs among them.
    pub(crate) fn operators(&self, ctx: &Ctx) -> Result<(OperatorGraph, Vec<OperatorValue>)> {
        Ok(match self {
            Built::Generator(network) => {
                let (graph, output) = network.operators(ctx)?;
                (graph, vec![output])
            }
            Built::Discriminator(network, channels) => network.operators(*channels, ctx)?,
            Built::Encoder(network, channels) => {
                let mut graph = OperatorGraph::new(*channels, ctx)?;
                let output = graph.apply(network, graph.input())?;
                (graph, vec![output])
            }
        })
    }

    /// What the network itself makes of planes `[N, C, H, W]`.
    pub(crate) fn forward(&self, x: &Tensor, ctx: &Ctx) -> Result<Vec<Tensor>> {
        Ok(match self {
            Built::Generator(network) => vec![network.forward(x, ctx)?],
            Built::Discriminator(network, _) => network.scores(x, ctx)?.into_iter().flatten().collect(),
            Built::Encoder(network, _) => vec![network.forward(x, ctx)?],
        })
    }
}
