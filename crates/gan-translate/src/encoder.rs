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
use gan_layers::{Builder, Ctx, Sequence, instance_mean};

/// A trained encoder of instance features.
#[derive(Debug)]
pub struct FeatureEncoder {
    network: Sequence,
    /// Bytes of its parameters.
    parameters: u64,
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
        let shapes = Builder::shapes_only();
        model.config.build(shapes.clone())?;
        let parameters = shapes.params() * device.dtype.size_in_bytes() as u64;
        Ok(FeatureEncoder { network: model.config.build(weights)?, parameters, model, ctx })
    }

    /// Features `[N, feat_num, H, W]` of the images `[N, C, H, W]` in `batch.b`, averaged over each instance in `batch.inst`
    /// `[N, 1, H, W]`.
    ///
    /// # Errors
    /// [`Error::NeedsInstances`] if the batch has no instance map, [`Error::Shape`] if it has no `b` or one of another size,
    /// [`Error::Tensor`] if the encoder does not take that size.
    pub fn encode(&self, batch: &Batch) -> Result<Tensor> {
        self.encode_within(batch, None, 0)
    }

    /// The same of one image within a limit of memory, beside so many bytes of the parameters of other networks.
    ///
    /// # Errors
    /// As [`FeatureEncoder::encode`]; [`Error::TooLittleMemory`].
    pub fn encode_within(&self, batch: &Batch, limit: Option<&MemoryLimit>, others: u64) -> Result<Tensor> {
        let inst = batch.inst.as_ref().ok_or(Error::NeedsInstances)?;
        let (n, _, h, w) = inst.dims4()?;
        let expected = [n, self.model.config.input_nc, h, w];
        let dims = batch.b.as_ref().map_or(&[][..], Tensor::dims);
        match &batch.b {
            Some(image) if dims == expected => {
                let features = match limit.filter(|limit| n == 1 && limit.of_device != image.device().is_cpu()) {
                    Some(limit) => self.features_within(image, batch, limit, others)?,
                    None => self.network.forward(image, &self.ctx)?,
                };
                Ok(instance_mean(&features.to_device(inst.device())?, inst)?)
            }
            _ => Err(Error::Shape {
                what: "the image that lends its style",
                got: dims.to_vec(),
                expected: format!("{expected:?}, the size of the label and instance maps,"),
            }),
        }
    }

    fn features_within(&self, image: &Tensor, batch: &Batch, limit: &MemoryLimit, others: u64) -> Result<Tensor> {
        let mut flow = Dataflow::new(image.into(), &self.ctx)?;
        let output = flow.apply_to_input(&self.network)?;
        let tensors = [&batch.a].into_iter().chain(&batch.b).chain(&batch.inst);
        // Beside the features, there are their means.
        let held = bounded::bytes(tensors) + flow.size(output).bytes();
        let demand = Demand::of_tensors(others + self.parameters, held);
        bounded::evaluate(&flow, output, limit, &demand, || self.network.forward(image, &self.ctx))
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
