//! Statistics of norms that are gathered over some images and then are constants for others.

use crate::layers::norm::{BatchNorm, NormLayer};
use crate::layers::observed_norm::ObservedNorm;
use crate::{Counter, Layer, Node, Param, Sequence};
use candle_core::{DType, Device, Result, Tensor, bail};
use gan_kernels::norm::Moments;
use gan_kernels::weight::Weight;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Mean and biased variance of each channel of what a norm normalizes.
#[derive(Debug, Clone, PartialEq)]
pub struct ChannelMoments {
    /// Means, one a channel.
    pub mean: Vec<f32>,
    /// Biased variances, one a channel, not negative.
    pub var: Vec<f32>,
}

/// The moments of every norm of a network, by the norm's path.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NormStatistics(pub BTreeMap<String, ChannelMoments>);

/// Collects what the norms of [`Sequence::observed`] see, over all passes. Clones collect into the same place.
#[derive(Debug, Clone, Default)]
pub struct NormObserver(Arc<Mutex<BTreeMap<String, Sums>>>);

/// Sums over pixels, divided by nothing yet.
#[derive(Debug, Clone, Default)]
struct Sums {
    count: f64,
    mean: Vec<f64>,
    square: Vec<f64>,
}

impl NormObserver {
    /// Adds the moments `[C]` of so many elements a channel.
    pub(crate) fn add(&self, path: &str, moments: &Moments, count: usize) -> Result<()> {
        let values = |t: &Tensor| t.to_device(&Device::Cpu)?.to_dtype(DType::F64)?.to_vec1::<f64>();
        let (mean, var) = (values(&moments.mean)?, values(&moments.var)?);
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let sums = all.entry(path.to_owned()).or_default();
        sums.mean.resize(mean.len(), 0.0);
        sums.square.resize(mean.len(), 0.0);
        let count = count as f64;
        sums.count += count;
        for (i, (mean, var)) in mean.iter().zip(&var).enumerate() {
            sums.mean[i] += count * mean;
            sums.square[i] += count * (var + mean * mean);
        }
        Ok(())
    }

    /// The moments of all elements that were seen, as though they were of one image; none if nothing was seen.
    pub fn finish(&self) -> NormStatistics {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let moments = |sums: &Sums| {
            let mean: Vec<f64> = sums.mean.iter().map(|sum| sum / sums.count).collect();
            let var = sums.square.iter().zip(&mean).map(|(sum, mean)| (sum / sums.count - mean * mean).max(0.0) as f32);
            ChannelMoments { var: var.collect(), mean: mean.iter().map(|&mean| mean as f32).collect() }
        };
        NormStatistics(all.iter().map(|(path, sums)| (path.clone(), moments(sums))).collect())
    }
}

impl Sequence {
    /// The same layers, whose norms tell the observer what they see. In each pass they normalize all images of the batch together, so that
    /// a batch is treated as one image would be; running statistics are neither used nor moved. For forward passes alone.
    ///
    /// # Errors
    /// The network was built over a [`ParamStore`](crate::ParamStore): its weights may change.
    pub fn observed(&self, observer: &NormObserver) -> Result<Sequence> {
        self.refuse_trainable()?;
        self.map_layers(&|node| {
            Ok(node.layer.get::<NormLayer>().map(|norm| Layer::new(ObservedNorm::new(norm.clone(), observer.clone()))))
        })
    }

    /// The same network with these statistics in place of each image's own: every norm becomes a batch norm, which is part of the convolution
    /// in front of it where there is one ([`Sequence::folded`]). For [`NormMode::Running`](crate::NormMode) alone.
    ///
    /// # Errors
    /// The statistics lack a norm of the network or have another number of channels; the network was built over a
    /// [`ParamStore`](crate::ParamStore).
    pub fn with_statistics(&self, statistics: &NormStatistics) -> Result<Sequence> {
        self.refuse_trainable()?;
        let mut like = (DType::F32, Device::Cpu);
        self.each_param(&mut |param| like = (param.tensor().dtype(), param.tensor().device().clone()));
        self.map_layers(&|node| node.layer.get().map(|norm| constant(node, norm, statistics, &like)).transpose())?
            .folded()
    }

    fn refuse_trainable(&self) -> Result<()> {
        if self.is_trainable() {
            bail!(
                "statistics of norms are gathered and kept for a network built for translation, not for a trainable one"
            )
        }
        Ok(())
    }
}

/// A norm with constant statistics.
fn constant(node: &Node, norm: &NormLayer, statistics: &NormStatistics, like: &(DType, Device)) -> Result<Layer> {
    let Some(moments) = statistics.0.get(&node.path) else {
        bail!("there are no statistics for the norm {}", node.path)
    };
    let (channels, (dtype, device)) = (moments.mean.len(), like);
    if moments.var.len() != channels || norm.params().is_some_and(|(weight, _)| weight.tensor().dims() != [channels]) {
        bail!("the statistics for the norm {} are of {channels} channels, which it has not", node.path)
    }
    let tensor =
        |values: Vec<f32>| Tensor::from_vec(values, channels, &Device::Cpu)?.to_device(device)?.to_dtype(*dtype);
    let filled = |value: f32| -> Result<Param> {
        Ok(Param { weight: Weight::constant(tensor(vec![value; channels])?), grad: None })
    };
    let (weight, bias) = match norm.params() {
        Some((weight, bias)) => (weight.clone(), bias.clone()),
        None => (filled(1.0)?, filled(0.0)?),
    };
    let running = Moments { mean: tensor(moments.mean.clone())?, var: tensor(moments.var.clone())? };
    let eps = norm.spec(gan_kernels::act::Act::Identity).eps;
    let batches = Counter::default();
    Ok(Layer::new(NormLayer::Batch(BatchNorm { weight, bias, eps, running, batches, tracked: None })))
}
