//! A model that is ready to translate.

use crate::alpha::{self, Alpha};
use crate::device::to_device;
use crate::lattice::Lattice;
use crate::limit::Estimate;
use crate::model_config::{InputKind, ModelConfig, OutputKind};
use crate::networks::Networks;
use crate::options::Options;
use crate::reader::{Files, Input, Reader};
use crate::trained_model::TrainedModel;
use crate::weight_file::{WeightOptions, is_weight_file};
use crate::{Error, Result};
use candle_core::Tensor;
use gan_data::{Batch, Image, Quantize, WriteFormat, image_from_lab, image_from_tensor, label_colours};
use gan_layers::NormKind;
use gan_nets::GeneratorConfig;
use std::path::{Path, PathBuf};

/// A model that is ready to translate on a device. Files are read, translated and written one at a time.
///
/// ```no_run
/// # fn main() -> gan_translate::Result<()> {
/// let model = gan_translate::Model::open("runs/facades")?;
/// model.translate_file("labels.png", "facade.png")?;
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Model {
    path: PathBuf,
    config: ModelConfig,
    generator: GeneratorConfig,
    networks: Networks,
    reader: Reader,
    options: Options,
    notes: Vec<String>,
}

/// What became of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Translated {
    /// The input had transparent pixels, and the result has none: the model has no channel for alpha.
    pub alpha_lost: bool,
}

impl Model {
    /// Opens a run, a checkpoint, a folder of `model.json` and weights, or a bare weight file, to translate on the CPU.
    ///
    /// # Errors
    /// As [`TrainedModel::open`]; [`Error::Tensor`] if there is no memory for the networks.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::open_with(path, Options::default())
    }

    /// As [`Model::open`], with options.
    ///
    /// # Errors
    /// As [`Model::open`]; [`Error::KnownModel`], [`Error::NoDirection`], [`Error::NoEncoder`], [`Error::NoStyles`] and
    /// [`Error::NoBf16`] for options that the model or the device has no use for.
    pub fn open_with(path: impl AsRef<Path>, options: Options) -> Result<Self> {
        let path = path.as_ref();
        if is_weight_file(path) {
            let weights = WeightOptions { dropout: options.dropout.is_some(), ..options.weights.clone() };
            return Self::load(&TrainedModel::open_weights(path, &weights)?, options);
        }
        if options.weights != WeightOptions::default() {
            return Err(Error::KnownModel { path: path.to_owned() });
        }
        Self::load(&TrainedModel::open(path)?, options)
    }

    /// Loads the networks of a model that was opened before.
    ///
    /// # Errors
    /// As [`Model::open_with`].
    pub fn load(trained: &TrainedModel, options: Options) -> Result<Self> {
        let mut config = trained.config().clone();
        config.read.labels_as = options.labels_as.unwrap_or(config.read.labels_as);
        let generator = config.generator(options.direction).ok_or_else(|| {
            let trained = config.generators[0].direction;
            Error::NoDirection { trained, wanted: options.direction.unwrap_or(trained) }
        })?;
        let channels = (config.input_nc(generator), generator.config.output_nc);
        let networks = Networks::load(trained, generator, &options)?;
        let reader = Reader::new(&config, channels, &options)?;
        let notes = trained.warnings().iter().map(ToString::to_string).chain(trained.notes().iter().cloned()).collect();
        let generator = generator.config.clone();
        Ok(Model { path: trained.path().to_owned(), config, generator, networks, reader, options, notes })
    }

    /// Draws another style from now on; `None` as in [`Options::style`].
    ///
    /// # Errors
    /// [`Error::NoEncoder`] for a model without an encoder, [`Error::NoStyles`] where none were found yet.
    pub fn set_style(&mut self, style: Option<u64>) -> Result<()> {
        self.networks.set_style(style)?;
        self.options.style = style;
        Ok(())
    }

    /// Drops activations by the masks of another seed from now on; `None` as in [`Options::dropout`].
    pub fn set_dropout(&mut self, seed: Option<u64>) {
        self.options.dropout = seed;
        self.networks.set_ctx(self.options.ctx());
    }

    pub(crate) fn options(&self) -> &Options {
        &self.options
    }

    pub(crate) fn networks(&self) -> &Networks {
        &self.networks
    }

    pub(crate) fn networks_mut(&mut self) -> &mut Networks {
        &mut self.networks
    }

    /// A batch on the model's device.
    pub(crate) fn to_device(&self, batch: &Batch) -> Result<Batch> {
        Ok(to_device(batch.clone(), &self.options.device)?)
    }

    /// What the model is.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// The generator that translates.
    pub fn generator(&self) -> &GeneratorConfig {
        &self.generator
    }

    /// What the user should know: checkpoints that were passed over, what a bare weight file holds.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Whether no other image is to be in memory while one is translated.
    pub(crate) fn is_alone(&self) -> bool {
        self.networks.is_alone()
    }

    /// Whether the alpha channel of an input is part of what the model sees.
    pub fn takes_alpha(&self) -> bool {
        self.reader.takes_alpha()
    }

    /// Both sides of an input that is not extended have to be multiples of this.
    pub fn size_multiple(&self) -> usize {
        self.networks.size_multiple()
    }

    /// Translates `[N, C, H, W]` of any float type in [-1, 1], or label ids `[N, 1, H, W]` (U8 or U32), of any size, to
    /// `[N, output_nc, H, W]` in [-1, 1] on the model's device, or in the memory of the host if the device has no memory for all of it at once.
    ///
    /// # Errors
    /// [`Error::Shape`] for another shape, [`Error::NeedsInstances`] for a model that takes instance maps
    /// ([`Model::translate_batch`]), [`Error::NoStyles`]; [`Error::Tensor`] if a label is out of range or the device has no memory.
    pub fn translate(&self, input: &Tensor) -> Result<Tensor> {
        let names = vec![String::new(); input.dims().first().copied().unwrap_or(0)];
        self.translate_batch(&Batch { a: input.clone(), b: None, inst: None, names })
    }

    /// As [`Model::translate`], with instance maps (`inst`) and images that lend their style (`b`).
    ///
    /// # Errors
    /// As [`Model::translate`]; [`Error::Shape`] if the parts differ in size.
    pub fn translate_batch(&self, batch: &Batch) -> Result<Tensor> {
        self.networks.translate_any_size(&to_device(batch.clone(), &self.options.device)?)
    }

    /// Channels of the images that it makes.
    pub fn output_channels(&self) -> usize {
        if self.config.output == OutputKind::Colour { 3 } else { self.generator.output_nc }
    }

    /// Refuses a file whose format does not hold as many channels as the model makes.
    ///
    /// # Errors
    /// [`Error::TooManyChannels`].
    pub fn check_writable(&self, output: &Path) -> Result<()> {
        let channels = self.output_channels();
        if channels <= 4 || matches!(WriteFormat::of(output), WriteFormat::Writable { any_channels: true, .. }) {
            return Ok(());
        }
        Err(Error::TooManyChannels { model: self.path.clone(), output: output.to_owned(), channels })
    }

    /// Whether the results of several images translated as one batch are those of each alone: there is no norm over the batch, nothing
    /// drawn for it, and no encoder.
    pub fn batches(&self) -> bool {
        let GeneratorConfig { norm, dropout, .. } = self.generator;
        let norm = norm != NormKind::Batch || self.options.eval;
        norm && !(dropout && self.options.dropout.is_some()) && self.config.encoder.is_none()
    }

    /// Reads an input as the model's training read it.
    ///
    /// # Errors
    /// [`Error::Data`] for a file that cannot be read or has no such channels, [`Error::LabelOutOfRange`],
    /// [`Error::NeedsInstances`], [`Error::SizesDiffer`]; [`Error::TooLittleMemory`] for a file that does not fit into the
    /// [limit](Options::limit) by itself.
    pub fn read(&self, files: &Files<'_>) -> Result<Input> {
        if let Some(limit) = self.networks.limit().filter(|limit| !limit.of_device) {
            self.reader.check_memory(files, limit, self.networks.parameters())?;
        }
        self.reader.read(files)
    }

    /// Whether the input has transparent pixels that the result will not have.
    pub fn loses_alpha(&self, input: &Input) -> bool {
        input.alpha.is_some() && self.options.alpha == Alpha::Drop
    }

    /// What [`Model::translate_input`] would take; `None` without a [limit](Options::limit).
    ///
    /// # Errors
    /// [`Error::TooLittleMemory`]; as [`Model::translate_input`].
    pub fn estimate(&self, input: &Input) -> Result<Option<Estimate>> {
        self.networks.estimate(&input.batch, self.reader.transform.is_some())
    }

    pub(crate) fn reader(&self) -> &Reader {
        &self.reader
    }

    /// The image for an input.
    ///
    /// # Errors
    /// [`Error::TooSmall`] and [`Error::NotMultiple`] for sizes that were chosen, [`Error::NoStyles`], [`Error::TooLittleMemory`];
    /// [`Error::Data`] if values are not finite; [`Error::Tensor`] if the device has no memory.
    pub fn translate_input(&self, input: Input) -> Result<Image> {
        let y = self.output(&input.batch)?;
        self.image(&y, input)
    }

    /// `[N, C, H, W]` in [-1, 1] for the batch of an input, or of several.
    pub(crate) fn output(&self, batch: &Batch) -> Result<Tensor> {
        let batch = to_device(batch.clone(), &self.options.device)?;
        if self.reader.transform.is_some() {
            self.networks.translate_exact(&batch)
        } else {
            self.networks.translate_any_size(&batch)
        }
    }

    /// Where the generator's samples lie in inputs of this size; `None` where sizes are chosen, or there is no room to move them.
    pub(crate) fn lattice(&self, height: usize, width: usize) -> Option<Lattice> {
        let networks = &self.networks;
        let free = self.reader.transform.is_none();
        free.then(|| Lattice::new((height, width), networks.size_multiple(), networks.smallest_side())).flatten()
    }

    /// As [`Model::output`], with the input at `offset` (down, right) on a larger one of `size` (height, width).
    pub(crate) fn output_within(&self, batch: &Batch, offset: (usize, usize), size: (usize, usize)) -> Result<Tensor> {
        self.networks.translate_within(&self.to_device(batch)?, offset, size)
    }

    /// The image that the output `[1, C, H, W]` for an input is.
    pub(crate) fn image(&self, y: &Tensor, input: Input) -> Result<Image> {
        let Input { depth, lightness, alpha, .. } = input;
        let image = match lightness {
            Some(lightness) => image_from_lab(&lightness, &y.squeeze(0)?)?,
            None => image_from_tensor(y, depth, self.options.quantize)?,
        };
        Ok(match alpha.filter(|_| self.options.alpha == Alpha::Restore) {
            Some(alpha) => alpha::join(image, alpha),
            None => image,
        })
    }

    /// An input as people see it, in the size in which the model sees it: label maps in colours, alpha left out, of more than four channels
    /// the first three.
    ///
    /// # Errors
    /// [`Error::Tensor`] passes on what candle answers.
    pub fn shown(&self, input: &Input) -> Result<Image> {
        let a = &input.batch.a;
        if matches!(self.config.input, InputKind::Labels { .. }) {
            return Ok(Image::U8(label_colours(a, self.config.classes())?));
        }
        let channels = match a.dim(1)? {
            2 => 1,
            channels => channels.min(3),
        };
        Ok(image_from_tensor(&a.narrow(1, 0, channels)?, input.depth, Quantize::Round)?)
    }
}
