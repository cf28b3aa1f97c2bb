//! The networks of a model on a device.

use crate::bounded::{self, Demand};
use crate::conditioning::Condition;
use crate::encoder::FeatureEncoder;
use crate::limit::{Estimate, MemoryLimit};
use crate::model_config::{Generator as Described, InputKind, ModelConfig};
use crate::options::{Options, check_precision};
use crate::pad_to_multiple::{padded, placed, smallest_side};
use crate::styles::StyleClusters;
use crate::trained_model::TrainedModel;
use crate::{Error, Result};
use candle_core::{DType, Tensor};
use gan_data::Batch;
use gan_layers::bands::Engine;
use gan_layers::{Builder, Ctx, NormMode, NormObserver, NormStatistics};
use gan_nets::{CapturedGenerator, Generator};
use std::path::PathBuf;

/// A generator, with the encoder and the styles that belong to it.
#[derive(Debug)]
pub(crate) struct Networks {
    generator: CapturedGenerator,
    /// The generator with the statistics of each image, where `generator` has others.
    own: Option<Generator>,
    features: Option<Features>,
    /// Channels of the input tensor: those of the image, or 1 of a label map.
    input_nc: usize,
    classes: usize,
    instances: bool,
    dtype: DType,
    /// What one image may take, and the bytes of the generator's parameters.
    limit: Option<MemoryLimit>,
    parameters: u64,
    /// What computes bands.
    engine: Engine,
}

/// Where the instance features of a translation come from.
#[derive(Debug)]
struct Features {
    encoder: FeatureEncoder,
    /// Style that is drawn whatever the batch holds.
    style: Option<u64>,
    clusters: Option<StyleClusters>,
    /// The model and the folder of its styles, for messages.
    paths: (PathBuf, PathBuf),
}

impl Networks {
    pub(crate) fn load(trained: &TrainedModel, generator: &Described, options: &Options) -> Result<Self> {
        check_precision(options.precision, &options.device)?;
        let config: &ModelConfig = trained.config();
        let features = Features::load(trained, options)?;
        let device = &options.device;
        let weights = trained.network(&generator.network)?.var_builder(device.dtype, &device.device)?;
        let labels = matches!(config.input, InputKind::Labels { .. });
        let as_on_device = options.as_on_device || !device.device.is_cpu();
        let engine = if as_on_device { Engine::Device(device.device.clone()) } else { Engine::Exact };
        let shapes = Builder::shapes_only();
        generator.config.build(shapes.clone())?;
        Ok(Networks {
            generator: options.prepare(generator.config.build(weights)?, options.ctx()),
            own: None,
            features,
            input_nc: if labels { 1 } else { config.input_nc(generator) },
            classes: config.classes(),
            instances: config.instances,
            dtype: device.dtype,
            limit: options.limit.clone().filter(|limit| limit.of_device == as_on_device),
            parameters: shapes.params() * device.dtype.size_in_bytes() as u64,
            engine,
        })
    }

    /// The style that is drawn from now on.
    pub(crate) fn set_style(&mut self, style: Option<u64>) -> Result<()> {
        match &mut self.features {
            Some(features) if style.is_some() && features.clusters.is_none() => Err(features.no_styles()),
            Some(features) => {
                features.style = style;
                Ok(())
            }
            None if style.is_some() => Err(Error::NoEncoder),
            None => Ok(()),
        }
    }

    /// The context of the generator from now on, but for the statistics that it was given.
    pub(crate) fn set_ctx(&mut self, ctx: Ctx) {
        let norm = if self.own.is_some() { NormMode::Running } else { ctx.norm };
        self.generator.set_ctx(Ctx { norm, ..ctx });
    }

    /// The images `[N, output_nc, H, W]` in [-1, 1] for a batch on the device whose sides are multiples of
    /// [`Networks::size_multiple`] and not below [`Networks::smallest_side`].
    pub(crate) fn translate(&self, batch: &Batch) -> Result<Tensor> {
        self.translate_beside(&self.generator, batch, 0)
    }

    /// The same by another generator, while so many bytes of other tensors are there.
    fn translate_beside(&self, generator: &CapturedGenerator, batch: &Batch, others: u64) -> Result<Tensor> {
        let input = self.condition(batch)?;
        match &self.limit {
            Some(limit) if batch.a.dim(0)? == 1 => {
                bounded::translate(generator, &self.engine, &input, limit, &self.demand(others, batch, &input))
            }
            // More than one at a time never goes in bands: callers take them one by one.
            Some(limit) if batch.a.dim(0)? > 1 => {
                bounded::check_batch(generator, &input, limit, &self.demand(others, batch, &input))?;
                Ok(generator.forward(&input)?)
            }
            _ => Ok(generator.forward(&input)?),
        }
    }

    /// The generator with the statistics of each image.
    pub(crate) fn own(&self) -> &Generator {
        self.own.as_ref().unwrap_or(self.generator.generator())
    }

    /// From now on translates with these statistics, or with those of each image.
    pub(crate) fn use_statistics(&mut self, statistics: Option<&NormStatistics>, options: &Options) -> Result<()> {
        let own = self.own().clone();
        match statistics {
            Some(statistics) => {
                let ctx = Ctx { norm: NormMode::Running, ..options.ctx() };
                self.generator = options.prepare(own.with_statistics(statistics)?, ctx);
                self.own = Some(own);
            }
            None => {
                self.generator = options.prepare(own, options.ctx());
                self.own = None;
            }
        }
        Ok(())
    }

    /// What tells the observer of the images that [`Networks::show`] shows it.
    pub(crate) fn observed(&self, observer: &NormObserver, options: &Options) -> Result<CapturedGenerator> {
        Ok(CapturedGenerator::never(self.own().observed(observer)?, options.ctx()))
    }

    /// Shows a batch of sides of any length to a generator of [`Networks::observed`], as one image.
    pub(crate) fn show(&self, observed: &CapturedGenerator, batch: &Batch) -> Result<()> {
        self.check(batch)?;
        let (extended, others) = self.extended(batch)?;
        self.translate_beside(observed, &extended, others)?;
        Ok(())
    }

    /// As [`Networks::translate_any_size`] with the input at `offset` (down, right) on a larger one of `size` (height, width), which is mirrored
    /// on all sides. The size has to suit the network.
    pub(crate) fn translate_within(
        &self,
        batch: &Batch,
        offset: (usize, usize),
        size: (usize, usize),
    ) -> Result<Tensor> {
        self.check(batch)?;
        let (_, _, h, w) = batch.a.dims4()?;
        let extended = placed(batch, offset, size)?;
        let y = self.translate_beside(&self.generator, &extended, bounded::bytes(tensors(batch)))?;
        Ok(y.narrow(2, offset.0, h)?.narrow(3, offset.1, w)?.contiguous()?)
    }

    /// Whether no other image is to be in memory while one is translated.
    pub(crate) fn is_alone(&self) -> bool {
        self.limit.as_ref().is_some_and(|limit| limit.alone)
    }

    /// Whether an input can be read row by row: in F32, without features of an encoder, on a device within a limit.
    pub(crate) fn takes_rows(&self) -> bool {
        let fits = self.engine.is_exact() || self.limit.is_some();
        fits && self.dtype == DType::F32 && self.features.is_none()
    }

    /// What computes bands.
    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    pub(crate) fn generator(&self) -> &CapturedGenerator {
        &self.generator
    }

    pub(crate) fn limit(&self) -> Option<&MemoryLimit> {
        self.limit.as_ref()
    }

    /// Bytes of the generator's parameters.
    pub(crate) fn parameters(&self) -> u64 {
        self.parameters
    }

    fn condition(&self, batch: &Batch) -> Result<Condition> {
        self.check(batch)?;
        let unseen = Batch { inst: None, ..batch.clone() };
        let input = Condition::new(if self.instances { batch } else { &unseen }, self.classes, self.dtype)?;
        match &self.features {
            Some(features) => {
                Ok(input.with(&features.planes(batch, self.dtype, self.limit.as_ref(), self.parameters)?)?)
            }
            None => Ok(input),
        }
    }

    /// The parameters, and all that an input is made of.
    fn demand(&self, others: u64, batch: &Batch, input: &Condition) -> Demand {
        let made = match input {
            // It is the batch's own.
            Condition::Planes(x) if (x.dims(), x.dtype()) == (batch.a.dims(), batch.a.dtype()) => 0,
            Condition::Planes(x) => bounded::bytes([x]),
            Condition::Labels(x) => bounded::bytes([x.labels()].into_iter().chain(x.rest())),
        };
        Demand::of_tensors(self.parameters, others + bounded::bytes(tensors(batch)) + made)
    }

    /// What the translation of a batch of one image takes, which is extended first unless its size is `exact`; `None` without a limit.
    pub(crate) fn estimate(&self, batch: &Batch, exact: bool) -> Result<Option<Estimate>> {
        let Some(limit) = &self.limit else { return Ok(None) };
        let (batch, others) = if exact { (batch.clone(), 0) } else { self.extended(batch)? };
        let input = self.condition(&batch)?;
        bounded::estimate(&self.generator, &self.engine, &input, limit, &self.demand(others, &batch, &input)).map(Some)
    }

    /// A batch with sides that suit, and the bytes of the one that it was made of, if that is another.
    fn extended(&self, batch: &Batch) -> Result<(Batch, u64)> {
        let extended = padded(batch, self.size_multiple(), self.smallest_side())?;
        let others = if extended.a.dims() == batch.a.dims() { 0 } else { bounded::bytes(tensors(batch)) };
        Ok((extended, others))
    }

    /// The same for sides of any length: the input is extended by mirroring, and the result cut back.
    pub(crate) fn translate_any_size(&self, batch: &Batch) -> Result<Tensor> {
        self.check(batch)?;
        let (_, _, h, w) = batch.a.dims4()?;
        let (extended, others) = self.extended(batch)?;
        let y = self.translate_beside(&self.generator, &extended, others)?;
        Ok(y.narrow(2, 0, h)?.narrow(3, 0, w)?.contiguous()?)
    }

    /// The same for sides that somebody chose, which are refused where they do not suit.
    pub(crate) fn translate_exact(&self, batch: &Batch) -> Result<Tensor> {
        let (_, _, h, w) = batch.a.dims4()?;
        let (multiple, smallest) = (self.size_multiple(), self.smallest_side());
        let rounded = |side: usize| side.div_ceil(multiple) * multiple;
        if rounded(h).min(rounded(w)) < smallest {
            return Err(Error::TooSmall { size: (w, h), smallest });
        }
        // Up to four, generators round up by themselves.
        if multiple > 4 && (h % multiple, w % multiple) != (0, 0) {
            return Err(Error::NotMultiple { size: (w, h), multiple });
        }
        self.translate(batch)
    }

    pub(crate) fn size_multiple(&self) -> usize {
        // Both are powers of two: the larger is a multiple of the smaller.
        let encoder = self.features.as_ref().map_or(1, |features| features.encoder.size_multiple());
        self.generator.config().size_multiple().max(encoder)
    }

    pub(crate) fn smallest_side(&self) -> usize {
        smallest_side(self.generator.config()).max(self.size_multiple())
    }

    fn check(&self, batch: &Batch) -> Result<()> {
        let got = batch.a.dims();
        if got.len() != 4 || got[1] != self.input_nc || got.contains(&0) {
            let expected = format!("[N, {}, H, W], not empty,", self.input_nc);
            return Err(Error::Shape { what: "the input", got: got.to_vec(), expected });
        }
        if self.instances && batch.inst.is_none() {
            return Err(Error::NeedsInstances);
        }
        Ok(())
    }
}

fn tensors(batch: &Batch) -> impl Iterator<Item = &Tensor> {
    [&batch.a].into_iter().chain(&batch.b).chain(&batch.inst)
}

impl Features {
    fn load(trained: &TrainedModel, options: &Options) -> Result<Option<Self>> {
        if trained.config().encoder.is_none() && options.style.is_none() {
            return Ok(None);
        }
        let encoder = FeatureEncoder::load_with(trained, &options.device, options.ctx())?;
        let folder = trained.features_dir();
        let clusters = StyleClusters::load(&folder, encoder.feat_num())?;
        let paths = (trained.path().to_owned(), folder);
        let features = Features { encoder, style: options.style, clusters, paths };
        if options.style.is_some() && features.clusters.is_none() {
            return Err(features.no_styles());
        }
        Ok(Some(features))
    }

    /// Features `[N, feat_num, H, W]` for a batch, within a limit, beside so many bytes of the generator's parameters.
    fn planes(&self, batch: &Batch, dtype: DType, limit: Option<&MemoryLimit>, parameters: u64) -> Result<Tensor> {
        if self.style.is_none() && batch.b.is_some() {
            return self.encoder.encode_within(batch, limit, parameters);
        }
        let inst = batch.inst.as_ref().ok_or(Error::NeedsInstances)?;
        let clusters = self.clusters.as_ref().ok_or_else(|| self.no_styles())?;
        let planes = clusters.draw(inst, self.style.unwrap_or(0))?;
        Ok(planes.to_device(inst.device())?.to_dtype(dtype)?)
    }

    fn no_styles(&self) -> Error {
        let (model, features) = self.paths.clone();
        Error::NoStyles { model, features }
    }
}
