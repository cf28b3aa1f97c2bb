//! pix2pixHD at translation: where instance features come from.

use super::{Config, FeatureConfig};
use crate::conditioning::Condition;
use crate::config::read;
use crate::method::{Place, TranslateOptions, Translator};
use crate::methods::{NO_ENCODER, contradiction, load_generator, target, weights};
use crate::storage::Disk;
use crate::styles::{FeatureEncoder, StyleClusters, no_styles};
use crate::{Error, Result, Trained, smallest_side};
use candle_core::{DType, Tensor};
use gan_data::Batch;
use gan_layers::{Ctx, Sequence, instance_mean};
use gan_nets::CapturedGenerator;

/// The encoder of a trained model.
pub(super) struct Encoder {
    network: Sequence,
    feat_num: usize,
    n_clusters: usize,
    size_multiple: usize,
    ctx: Ctx,
}

impl Encoder {
    pub(super) fn load(config: &Config, trained: &Trained, place: &Place) -> Result<Self> {
        if !config.encoder.instance_feat {
            return Err(contradiction(NO_ENCODER));
        }
        let FeatureConfig { feat_num, n_clusters, n_downsample_e, .. } = config.encoder;
        let network = config.encoder().build(weights(trained, "e", place)?)?;
        Ok(Encoder { network, feat_num, n_clusters, size_multiple: 1 << n_downsample_e, ctx: Ctx::translate() })
    }
}

impl FeatureEncoder for Encoder {
    fn encode(&self, batch: &Batch) -> Result<Tensor> {
        let picture = target(batch)?;
        let Some(inst) = &batch.inst else {
            return Err(contradiction("instance features need instance maps: give them with --inst"));
        };
        let (_, _, h, w) = inst.dims4()?;
        if (picture.dim(2)?, picture.dim(3)?) != (h, w) {
            return Err(Error::Shape {
                what: "the picture that lends its style".into(),
                got: format!("{:?}", picture.dims()),
                expected: "the size of the label and instance maps (resize it to that)",
            });
        }
        Ok(instance_mean(&self.network.forward(picture, &self.ctx)?, inst)?)
    }
    fn feat_num(&self) -> usize {
        self.feat_num
    }
    fn n_clusters(&self) -> usize {
        self.n_clusters
    }
}

struct HdTranslator {
    config: Config,
    generator: CapturedGenerator,
    features: Option<Features>,
    dtype: DType,
}

/// Where the instance features of a translation come from.
struct Features {
    encoder: Encoder,
    /// Style that is drawn whatever the batch holds.
    style: Option<u64>,
    clusters: Option<StyleClusters>,
    trained: Trained,
}

pub(super) fn translator(trained: &Trained, options: &TranslateOptions, place: &Place) -> Result<Box<dyn Translator>> {
    let config: Config = read(trained.config())?;
    let generator = options.prepare(load_generator(&config.generator(), trained, "g", place)?);
    let mut features = None;
    if config.encoder.instance_feat || options.style.is_some() {
        let encoder = Encoder { ctx: options.ctx(), ..Encoder::load(&config, trained, place)? };
        let clusters = StyleClusters::load(&Disk, &trained.features_dir(), encoder.feat_num)?;
        if options.style.is_some() && clusters.is_none() {
            return Err(no_styles(trained));
        }
        features = Some(Features { encoder, style: options.style, clusters, trained: trained.without_weights() });
    }
    Ok(Box::new(HdTranslator { config, generator, features, dtype: place.dtype }))
}

impl Features {
    /// Planes `[N, feat_num, H, W]` for a batch.
    fn planes(&self, batch: &Batch, dtype: DType) -> Result<Tensor> {
        if self.style.is_none() && batch.b.is_some() {
            return self.encoder.encode(batch);
        }
        let Some(inst) = &batch.inst else {
            return Err(contradiction("styles belong to instances: give instance maps with --inst"));
        };
        let clusters = self.clusters.as_ref().ok_or_else(|| no_styles(&self.trained))?;
        let planes = clusters.draw(inst, self.style.unwrap_or(0))?;
        Ok(planes.to_device(inst.device())?.to_dtype(dtype)?)
    }
}

impl Translator for HdTranslator {
    fn translate(&self, batch: &Batch) -> Result<Tensor> {
        let mut input = Condition::new(batch, self.config.classes(), self.dtype)?;
        if let Some(features) = &self.features {
            input = input.with(&features.planes(batch, self.dtype)?)?;
        }
        Ok(self.generator.forward(&input)?)
    }
    fn size_multiple(&self) -> usize {
        // Both are powers of two: the larger is a multiple of the smaller.
        let encoder = self.features.as_ref().map_or(1, |f| f.encoder.size_multiple);
        self.generator.config().size_multiple().max(encoder)
    }
    fn smallest_side(&self) -> usize {
        smallest_side(self.generator.config()).max(self.size_multiple())
    }
}
