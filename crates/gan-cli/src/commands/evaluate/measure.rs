//! What is computed of images: values of pairs as they come, features of sets.

use super::metric::{Metric, Selection};
use super::networks::Networks;
use crate::shard::Shard;
use candle_core::Device;
use gan_data::Raster;
use gan_metrics::distribution::Features;
use gan_metrics::features::{Extractor, FeatureCache};
use gan_metrics::image::{Pixels, mae, ms_ssim, psnr, ssim};
use gan_metrics::protocol::Protocol;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What is known of a set of images.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct ImageSet {
    /// Where it comes from, in words.
    pub(super) source: String,
    pub(super) images: usize,
    /// Number of files of each format; empty for images that were never files.
    pub(super) formats: BTreeMap<String, usize>,
    /// Number of images of each size, `WIDTHxHEIGHT`.
    pub(super) sizes: BTreeMap<String, usize>,
}

impl ImageSet {
    pub(super) fn add(&mut self, (width, height): (usize, usize)) {
        self.images += 1;
        *self.sizes.entry(format!("{width}x{height}")).or_default() += 1;
    }

    /// Adds another part of the same set.
    pub(super) fn join(&mut self, part: &ImageSet) {
        self.source.clone_from(&part.source);
        self.images += part.images;
        for (sum, counts) in [(&mut self.formats, &part.formats), (&mut self.sizes, &part.sizes)] {
            counts.iter().for_each(|(name, count)| *sum.entry(name.clone()).or_default() += count);
        }
    }
}

/// Everything that was computed.
#[derive(Debug, Default)]
pub(super) struct Measured {
    pub(super) fake: ImageSet,
    pub(super) real: ImageSet,
    /// Names of the pairs, and the values of each metric in their order.
    pub(super) names: Vec<String>,
    pub(super) values: BTreeMap<Metric, Vec<f64>>,
    /// Features of the translated and of the real images, and how many of them the network computed.
    pub(super) features: Option<[(Features, usize); 2]>,
    pub(super) selection: Selection,
    pub(super) notes: Vec<String>,
    /// Step of the checkpoint that translated.
    pub(super) step: Option<u64>,
}

/// The computation.
pub(super) struct Measure<'a> {
    networks: &'a Networks,
    device: &'a Device,
    /// The items that are measured.
    pub(super) shard: Shard,
    protocol: Protocol,
    cache: &'a FeatureCache,
    pub(super) selection: Selection,
    names: Vec<String>,
    values: BTreeMap<Metric, Vec<f64>>,
}

impl<'a> Measure<'a> {
    pub(super) fn new(
        networks: &'a Networks,
        device: &'a Device,
        (protocol, cache): (Protocol, &'a FeatureCache),
        selection: Selection,
        shard: Shard,
    ) -> Self {
        let (names, values) = (Vec::new(), BTreeMap::new());
        Measure { networks, device, shard, protocol, cache, selection, names, values }
    }

    /// Where features of a set go, if a metric needs them.
    pub(super) fn extractor(&self) -> Option<Extractor<'a>> {
        let (network, _) = self.networks.inception.as_ref().filter(|_| self.selection.any(Metric::is_of_sets))?;
        Some(Extractor::new(network, self.protocol, self.device, self.cache))
    }

    /// Compares an image with its truth, of the same size and channels.
    pub(super) fn pair(&mut self, name: &str, fake: &Raster<u8>, real: &Raster<u8>) -> anyhow::Result<()> {
        let (a, b) = (Pixels::try_from(fake)?, Pixels::try_from(real)?);
        let metrics: Vec<Metric> = self.selection.metrics().filter(|metric| metric.is_paired()).collect();
        for metric in metrics {
            let value = match metric {
                Metric::L1 => mae(&a, &b),
                Metric::Psnr => psnr(&a, &b),
                Metric::Ssim => ssim(&a, &b),
                Metric::MsSsim => ms_ssim(&a, &b),
                _ => self.perceptual(fake, real),
            };
            match value {
                Ok(value) => self.values.entry(metric).or_default().push(value),
                Err(error @ gan_metrics::Error::TooSmall { .. }) if !self.selection.named => {
                    self.values.remove(&metric);
                    let reason = format!("{error} ({name})");
                    self.selection.leave_out(|other| other == metric, &reason);
                }
                Err(error) => return Err(error.into()),
            }
        }
        self.names.push(name.to_owned());
        Ok(())
    }

    fn perceptual(&self, fake: &Raster<u8>, real: &Raster<u8>) -> gan_metrics::Result<f64> {
        let network = self.networks.lpips.as_ref().map(|lpips| &lpips.network);
        Ok(network.map(|network| network.of_images(fake, real, self.device)).transpose()?.unwrap_or_default())
    }

    pub(super) fn finish(
        self,
        [fake, real]: [ImageSet; 2],
        features: Option<[(Features, usize); 2]>,
        mut notes: Vec<String>,
    ) -> Measured {
        notes.extend(self.networks.notes.iter().cloned());
        let Measure { names, values, selection, .. } = self;
        Measured { fake, real, names, values, features, selection, notes, step: None }
    }
}
