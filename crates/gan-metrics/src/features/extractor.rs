//! Images in, features out.

use super::cache::{FeatureCache, ImageHash};
use super::read::rgb8;
use crate::distribution::Features;
use crate::networks::InceptionV3;
use crate::protocol::Protocol;
use crate::{Error, Result};
use candle_core::{DType, Device, Tensor};
use gan_data::{DecodeOptions, Raster, decode};
use rayon::prelude::*;
use std::path::Path;

/// Length of the network's feature vectors.
const DIMENSIONS: usize = 2048;

/// Images that go through the network together.
const BATCH: usize = 16;

/// The features of one set of images, in the order in which they come.
#[derive(Debug)]
pub struct Extractor<'a> {
    network: &'a InceptionV3,
    protocol: Protocol,
    device: &'a Device,
    cache: &'a FeatureCache,
    values: Vec<f32>,
    /// Images whose features are computed with the next batch: their places, hashes and network inputs.
    waiting: Vec<(usize, Option<ImageHash>, Tensor)>,
    computed: usize,
}

/// What there is of an image before the network has seen it.
enum Prepared {
    Known(Vec<f32>),
    Input(Option<ImageHash>, Tensor),
}

impl<'a> Extractor<'a> {
    /// An empty set.
    pub fn new(network: &'a InceptionV3, protocol: Protocol, device: &'a Device, cache: &'a FeatureCache) -> Self {
        Extractor { network, protocol, device, cache, values: Vec::new(), waiting: Vec::new(), computed: 0 }
    }

    /// Number of files that fill a batch of the network.
    pub const BATCH: usize = BATCH;

    /// Adds image files. As in the reference packages, colours are read as RGB, and the orientation of EXIF is ignored.
    ///
    /// # Errors
    /// [`Error::Data`] and [`Error::Io`] for files that cannot be read.
    pub fn files<P: AsRef<Path> + Sync>(&mut self, paths: &[P]) -> Result<()> {
        let prepared: Vec<Prepared> =
            paths.par_iter().map(|path| self.prepare(path.as_ref())).collect::<Result<_>>()?;
        prepared.into_iter().try_for_each(|image| self.add(image))
    }

    /// Adds an image of three channels.
    ///
    /// # Errors
    /// [`Error::Pixels`] for another number of channels.
    pub fn image(&mut self, image: &Raster<u8>) -> Result<()> {
        let hash = ImageHash::of_pixels(image);
        let prepared = match self.cache.get(&hash, DIMENSIONS) {
            Some(features) => Prepared::Known(features),
            None => Prepared::Input(Some(hash), self.protocol.network_input(image, DType::F32)?),
        };
        self.add(prepared)
    }

    fn prepare(&self, path: &Path) -> Result<Prepared> {
        // A folder of planes has no bytes of its own, and is refused when it is read.
        let hash = match path.is_dir() {
            true => None,
            false => {
                let bytes = std::fs::read(path).map_err(|source| Error::Io { path: path.to_owned(), source })?;
                Some(ImageHash::of_file(&bytes))
            }
        };
        if let Some(features) = hash.and_then(|hash| self.cache.get(&hash, DIMENSIONS)) {
            return Ok(Prepared::Known(features));
        }
        let image = decode(path, &DecodeOptions { exif: false, ..DecodeOptions::default() })?;
        Ok(Prepared::Input(hash, self.protocol.network_input(&rgb8(image, path)?, DType::F32)?))
    }

    fn add(&mut self, image: Prepared) -> Result<()> {
        let place = self.values.len();
        match image {
            Prepared::Known(features) => self.values.extend(features),
            Prepared::Input(hash, input) => {
                self.values.resize(place + DIMENSIONS, 0.0);
                self.waiting.push((place, hash, input));
            }
        }
        if self.waiting.len() < BATCH { Ok(()) } else { self.compute() }
    }

    fn compute(&mut self) -> Result<()> {
        let inputs: Vec<&Tensor> = self.waiting.iter().map(|(_, _, input)| input).collect();
        let batch = Tensor::stack(&inputs, 0)?.to_device(self.device)?;
        let features = self.network.features(&batch)?.to_dtype(DType::F32)?.to_vec2::<f32>()?;
        for ((place, hash, _), features) in self.waiting.drain(..).zip(features) {
            if let Some(hash) = hash.filter(|_| features.iter().all(|v| v.is_finite())) {
                self.cache.put(&hash, &features);
            }
            self.values[place..place + DIMENSIONS].copy_from_slice(&features);
            self.computed += 1;
        }
        Ok(())
    }

    /// The features of all images, and how many of them the network computed.
    ///
    /// # Errors
    /// [`Error::Candle`] if the device has no memory; [`Error::Features`] if the network makes no numbers of an image.
    pub fn finish(mut self) -> Result<(Features, usize)> {
        if !self.waiting.is_empty() {
            self.compute()?;
        }
        Ok((Features::new(DIMENSIONS, self.values)?, self.computed))
    }
}
