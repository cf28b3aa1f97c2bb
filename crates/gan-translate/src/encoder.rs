//! The encoder of instance features.

use crate::bounded::{self, Demand};
use crate::device::DeviceConfig;
use crate::limit::MemoryLimit;
use crate::model_config::EncoderModel;
use crate::trained_model::TrainedModel;
use crate::{Error, Result};
use candle_core::Tensor;
use gan_data::Batch;
use gan_layers::bands::Dataflow;
use gan_layers::{Ctx, Sequence, instance_mean};

/// A trained encoder of instance features.
#[derive(Debug)]
pub struct FeatureEncoder {
    network: Sequence,
    model: EncoderModel,
    ctx: Ctx,
}

impl FeatureEncoder {
    /// Loads the encoder of a model.
    ///
    /// # Errors
    /// [`Error::NoEncoder`] if it has none; [`Error::Tensor`] if the device has no memory for it.
    pub fn load(model: &TrainedModel, device: &DeviceConfig) -> Result<Self> {
        Self::load_with(model, device, Ctx::translate())
    }

    pub(crate) fn load_with(trained: &TrainedModel, device: &DeviceConfig, ctx: Ctx) -> Result<Self> {
        let model = trained.config().encoder.clone().ok_or(Error::NoEncoder)?;
        let weights = trained.network(&model.network)?.var_builder(device.dtype, &device.device)?;
        Ok(FeatureEncoder { network: model.config.build(weights)?, model, ctx })
    }

    /// Features `[N, feat_num, H, W]` of the images `[N, C, H, W]` in `batch.b`, averaged over each instance in `batch.inst`
    /// `[N, 1, H, W]`.
    ///
    /// # Errors
    /// [`Error::NeedsInstances`] if the batch has no instance map, [`Error::Shape`] if it has no `b` or one of another size,
    /// [`Error::Tensor`] if the encoder does not take that size.
    pub fn encode(&self, batch: &Batch) -> Result<Tensor> {
        let inst = batch.inst.as_ref().ok_or(Error::NeedsInstances)?;
        let (n, _, h, w) = inst.dims4()?;
        let expected = [n, self.model.config.input_nc, h, w];
        let dims = batch.b.as_ref().map_or(&[][..], Tensor::dims);
        match &batch.b {
            Some(image) if dims == expected => Ok(instance_mean(&self.network.forward(image, &self.ctx)?, inst)?),
            _ => Err(Error::Shape {
                what: "the image that lends its style",
                got: dims.to_vec(),
                expected: format!("{expected:?}, the size of the label and instance maps,"),
            }),
        }
    }

    /// Refuses what the encoder has no memory for within a limit: it computes at once.
    pub(crate) fn check_memory(&self, batch: &Batch, limit: &MemoryLimit, demand: &Demand) -> Result<()> {
        let Some(image) = batch.b.as_ref().filter(|image| image.dims().first() == Some(&1)) else { return Ok(()) };
        let mut flow = Dataflow::new(image.into(), &self.ctx)?;
        let output = flow.apply_to_input(&self.network)?;
        bounded::check_at_once(&flow, output, 1, limit, demand)
    }

    /// Channels of the features.
    pub fn feat_num(&self) -> usize {
        self.model.config.feat_num
    }

    /// Clusters a label is to have at most.
    pub fn n_clusters(&self) -> usize {
        self.model.styles.n_clusters
    }

    /// Both sides of the input have to be multiples of this.
    pub fn size_multiple(&self) -> usize {
        1 << self.model.config.n_downsample
    }
}
