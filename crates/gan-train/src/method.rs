//! What a method is to the trainer.

use crate::consistency::{self, Demands, MethodConfig};
use crate::pool::ImagePool;
use crate::styles::FeatureEncoder;
use crate::{Error, Result, Trained, config, config::Layer, config::Tables};
use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use gan_data::Batch;
use gan_layers::{Ctx, Dropout, MathMode, Optimizer, Precision};
use gan_nets::{CapturedGenerator, Generator, GeneratorConfig};
use gan_rng::{Key, Purpose};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Named scalar losses of a step, in logging order. They stay on the device until somebody reads them.
pub type Losses = Vec<(&'static str, Tensor)>;

/// Labelled pictures `[N, 3, H, W]` in [-1, 1].
pub type Panels = Vec<(String, Tensor)>;

/// Where in the run a step happens. All randomness of a step comes from here.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepCx {
    /// Epoch, from 1.
    pub epoch: u64,
    /// Steps done before this one in the whole run.
    pub step: u64,
    /// Learning rate.
    pub lr: f64,
    /// Seed of the run.
    pub seed: u64,
}

impl StepCx {
    /// The random sequence of this step for a purpose.
    pub fn key(&self, purpose: Purpose) -> Key {
        Key::new(self.seed, purpose).at(self.step)
    }
}

/// An image-to-image translation method: networks, losses and the order of updates.
///
/// A method owns its networks and optimizers. The trainer owns everything else (data, clock, checkpoints, events) and
/// never looks inside.
pub trait Method: Send {
    /// One optimisation step on one batch.
    ///
    /// # Errors
    /// [`Error::Config`] if the batch lacks an image that the method needs, [`Error::Tensor`] if the networks do not
    /// take its shapes. [`Error::Diverged`] if a gradient is not finite; on CUDA [`Optimizer::check`] tells that
    /// later.
    fn step(&mut self, batch: &Batch, cx: &StepCx) -> Result<Losses>;

    /// Pictures that show what the networks do to a batch.
    ///
    /// # Errors
    /// [`Error::Config`] if the batch lacks an image that the method needs, [`Error::Tensor`] if the networks do not
    /// take its shapes.
    fn preview(&self, batch: &Batch) -> Result<Panels>;

    /// What makes up its state.
    fn parts(&mut self) -> Parts<'_>;

    /// Cache key of the captured CUDA graph; `None`, the default, for a step that is never captured.
    ///
    /// Two steps with equal keys and batches of equal shapes must issue identical kernels: every branch that a step takes on
    /// the host has to show in the key. What differs beside the batch is the learning rate, the masks of dropout and the
    /// choices of the pools in [`Method::parts`]; other numbers that the host computes are repeated as they were captured.
    /// A step with a key keeps no tensor that it has allocated.
    fn graph_key(&self, _cx: &StepCx) -> Option<u64> {
        None
    }

    /// What has come up in the last step and is to be shown as a warning.
    fn news(&mut self) -> Option<String> {
        None
    }

    /// Lines to show before training: what was loaded, what was left out.
    fn notes(&self) -> &[String] {
        &[]
    }
}

/// The state of a method: what a checkpoint holds.
#[derive(Default)]
pub struct Parts<'a> {
    /// Optimizers by name, each with the names of the networks in its store. A network is saved in a file of its name.
    pub optimizers: Vec<(&'static str, &'a mut Optimizer, Vec<&'static str>)>,
    /// Image pools by name.
    pub pools: Vec<(&'static str, &'a mut ImagePool)>,
}

/// Translates pictures with a trained generator.
pub trait Translator {
    /// The pictures `[N, output_nc, H, W]` in [-1, 1] for a batch.
    ///
    /// # Errors
    /// [`Error::Tensor`] if the networks do not take the shapes of the batch (see [`Translator::size_multiple`]);
    /// [`Error::Config`] and [`Error::Shape`] if a map or an image that lends its style is missing or has another
    /// size.
    fn translate(&self, batch: &Batch) -> Result<Tensor>;

    /// Both sides of the input have to be multiples of this.
    fn size_multiple(&self) -> usize;

    /// Both sides of the input have to be at least this, a multiple of [`Translator::size_multiple`].
    fn smallest_side(&self) -> usize {
        self.size_multiple()
    }
}

/// Which way to translate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Direction {
    /// From domain A to domain B.
    #[default]
    AToB,
    /// From domain B to domain A (methods with two generators).
    BToA,
}

/// How a translator is to be made.
#[derive(Debug, Clone, Default)]
pub struct TranslateOptions {
    /// Which way.
    pub direction: Direction,
    /// Running statistics and no dropout (PyTorch's `eval()`) instead of batch statistics.
    pub eval: bool,
    /// Drop activations by masks of this seed, if the generator was trained with dropout and `eval` is off.
    pub dropout: Option<u64>,
    /// Style to draw, for models with an instance feature encoder. Without one, the encoder looks at the batch's `b`
    /// where there is one, and style 0 is drawn where there is none.
    pub style: Option<u64>,
    /// Element type of activations.
    pub precision: Precision,
    /// What convolutions may trade for speed on a CUDA device.
    pub math: MathMode,
    /// Do not capture translations of one size as CUDA graphs. To be set where several threads use one device: none may
    /// while another one captures.
    pub no_cuda_graphs: bool,
}

impl TranslateOptions {
    /// The context of the forward passes.
    pub fn ctx(&self) -> Ctx {
        let TranslateOptions { precision, math, .. } = *self;
        match self.dropout {
            _ if self.eval => Ctx { precision, math, ..Ctx::eval() },
            Some(seed) => {
                let dropout = Dropout::Keyed(Key::new(seed, Purpose::Dropout));
                Ctx { dropout, precision, math, ..Ctx::translate() }
            }
            None => Ctx { precision, math, ..Ctx::translate() },
        }
    }

    /// A loaded generator as it is to translate.
    pub fn prepare(&self, generator: Generator) -> CapturedGenerator {
        match self.no_cuda_graphs {
            true => CapturedGenerator::never(generator, self.ctx()),
            false => CapturedGenerator::new(generator, self.ctx()),
        }
    }
}

/// Where networks are to live.
#[derive(Debug, Clone)]
pub struct Place {
    /// Device.
    pub device: Device,
    /// Dtype of parameters and activations.
    pub dtype: DType,
}

impl Place {
    /// F32 on the CPU.
    pub fn cpu() -> Self {
        Place { device: Device::Cpu, dtype: DType::F32 }
    }

    /// F32 on the device of this name: `cpu`, `cuda` (the first GPU) or `cuda:N`.
    ///
    /// # Errors
    /// [`Error::Device`] if there is no such device, or not in this build.
    pub fn open(name: &str) -> Result<Self> {
        Ok(Place { device: crate::device::open_device(name)?, dtype: DType::F32 })
    }
}

/// Dotted keys of a configuration, each with its default as TOML; `None` where it has none.
pub type ConfigKeys = Vec<(String, Option<String>)>;
/// Gives the weights of the network of a name.
pub type LoadWeights<'a> = dyn FnMut(&str) -> Result<VarBuilder<'static>> + 'a;

/// Loads a trained encoder of instance features.
pub type LoadEncoder = fn(&Trained, &Place) -> Result<Box<dyn FeatureEncoder>>;

/// An entry of [`METHODS`](crate::METHODS).
#[derive(Debug, Clone, Copy)]
pub struct MethodSpec {
    /// Name on the command line.
    pub name: &'static str,
    /// One line about it.
    pub about: &'static str,
    /// The ranges of the numeric keys of its configuration.
    pub ranges: Tables,
    /// Resolves defaults, preset, file and `--set` into the whole configuration.
    pub resolve: fn(&[Layer]) -> Result<toml::Table>,
    /// Every key of its configuration.
    pub keys: fn() -> Result<ConfigKeys>,
    /// Refuses a resolved configuration that contradicts itself, naming everything that does; tells what its networks ask of
    /// images.
    pub check: fn(&toml::Table) -> Result<Demands>,
    /// Builds the method from its resolved configuration, weights freshly drawn.
    pub build: fn(&toml::Table, &Place) -> Result<Box<dyn Method>>,
    /// The (first) generator of a resolved configuration, for summaries.
    pub generator: fn(&toml::Table) -> Result<GeneratorConfig>,
    /// Builds every network that translates (generators, the encoder of instance features), with weights by the name of the
    /// network: whether a checkpoint has what its configuration says.
    pub verify: fn(&toml::Table, &mut LoadWeights<'_>) -> Result<()>,
    /// Makes a translator from what a run left.
    pub translator: fn(&Trained, &TranslateOptions, &Place) -> Result<Box<dyn Translator>>,
    /// Loads the encoder of instance features, for methods that have one.
    pub encoder: Option<LoadEncoder>,
    /// Settings of a tiny run, for smoke tests.
    pub debug: &'static [&'static str],
}

/// Lays the layers over a method's defaults, and refuses what cannot be trained.
pub(crate) fn resolve<T: MethodConfig>(layers: &[Layer]) -> Result<toml::Table> {
    let config: T = config::resolve(&T::default(), layers)?;
    consistency::check(&config)?;
    toml::Table::try_from(&config).map_err(|e| Error::Config { origin: "configuration".into(), message: e.to_string() })
}

/// Every key of a method's configuration.
pub(crate) fn keys<T: Default + Serialize + DeserializeOwned>() -> Result<ConfigKeys> {
    config::list(&T::default())
}

/// Reads some of the tables of a resolved configuration.
pub(crate) fn parse<T: DeserializeOwned>(table: &toml::Table) -> Result<T> {
    T::deserialize(table.clone()).map_err(|e| Error::Config { origin: "config.toml".into(), message: e.to_string() })
}
