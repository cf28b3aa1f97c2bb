//! Metrics that look through a network.

use super::measure::{Measure, mean_of};
use crate::{DeviceConfig, Error, Result};
use candle_core::{DType, Device};
use gan_data::{Image, Raster};
use gan_metrics::distribution::{Features, Subsets, kid as kid_of};
use gan_metrics::features::{Extractor, FeatureCache};
use gan_metrics::networks::{INCEPTION, InceptionV3, Lpips, LpipsNet, WeightFiles};
use gan_metrics::protocol::Protocol;

/// LPIPS over AlexNet, its authors' choice for evaluation.
pub(super) fn lpips(device_config: &DeviceConfig, files: &WeightFiles) -> Result<Box<dyn Measure>> {
    let device = device_config.device.clone();
    let network = Lpips::find(LpipsNet::Alex, files, &device, DType::F32)?;
    Ok(mean_of(move |made, real| Ok(network.of_images(made, real, &device)?)))
}

/// Kernel Inception Distance of the translations and the images of their domain, by the protocol of clean-fid.
pub(super) fn kid(device_config: &DeviceConfig, files: &WeightFiles) -> Result<Box<dyn Measure>> {
    let (path, digest) = files.find("inception", &INCEPTION)?;
    let device = device_config.device.clone();
    let network = InceptionV3::load(&path, &device, DType::F32)?;
    let kind = if device.is_cpu() { "cpu" } else { "cuda" };
    // The real images are the same each time.
    let cache = FeatureCache::open(PROTOCOL, &digest, kind);
    Ok(Box::new(Kid { network, device, cache, made: Vec::new(), real: Vec::new() }))
}

const PROTOCOL: Protocol = Protocol::Clean;

/// The images of one validation, whose features are computed at its end.
struct Kid {
    network: InceptionV3,
    device: Device,
    cache: FeatureCache,
    made: Vec<Raster<u8>>,
    real: Vec<Raster<u8>>,
}

impl Measure for Kid {
    fn add(&mut self, made: &Raster<u8>, real: &Raster<u8>) -> Result<()> {
        self.made.push(colours(made)?);
        self.real.push(colours(real)?);
        Ok(())
    }

    /// The features of both images, one after the other.
    fn take(&mut self) -> Result<Vec<Vec<f64>>> {
        let nothing = FeatureCache::none();
        let features = |images: Vec<Raster<u8>>, cache| {
            let mut extractor = Extractor::new(&self.network, PROTOCOL, &self.device, cache);
            images.iter().try_for_each(|image| extractor.image(image))?;
            extractor.finish()
        };
        let (made, _) = features(std::mem::take(&mut self.made), &nothing)?;
        let (real, _) = features(std::mem::take(&mut self.real), &self.cache)?;
        let rows = |of: &Features| of.values().chunks_exact(of.dimensions()).map(<[f32]>::to_vec).collect::<Vec<_>>();
        let both = rows(&made).into_iter().zip(rows(&real));
        Ok(both.map(|(made, real)| made.into_iter().chain(real).map(f64::from).collect()).collect())
    }

    fn clear(&mut self) {
        self.made.clear();
        self.real.clear();
    }

    fn value(&self, rows: Vec<Vec<f64>>) -> Result<f64> {
        let length = rows.first().map_or(2, Vec::len) / 2;
        let set = |from: usize| {
            let values = rows.iter().flat_map(|row| row.iter().skip(from).take(length).map(|&value| value as f32));
            Features::new(length, values.collect())
        };
        Ok(kid_of(&set(0)?, &set(length)?, Subsets::keyed(0))?.mean())
    }
}

/// The network sees three channels.
fn colours(image: &Raster<u8>) -> Result<Raster<u8>> {
    match Image::U8(image.clone()).with_channels(3) {
        Some(Image::U8(colours)) => Ok(colours),
        _ => {
            let what = "a held-out image".into();
            Err(Error::Shape { what, got: format!("{} channels", image.channels()), expected: "1 to 4" })
        }
    }
}
