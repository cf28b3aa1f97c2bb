//! Label and instance maps: images whose pixels are integer ids.

use candle_core::{Device, Tensor};

use crate::error::Result;
use crate::raster::Raster;
use crate::resample::resize_nearest;
use crate::warp::Field;

/// A map of ids, one a pixel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdMap(Raster<u32>);

impl IdMap {
    /// Wraps ids; the raster must have one channel.
    ///
    /// # Panics
    /// If the raster has more than one channel.
    #[must_use]
    pub fn new(raster: Raster<u32>) -> Self {
        assert_eq!(raster.channels(), 1, "a map of ids has one channel");
        Self(raster)
    }

    /// The ids.
    #[must_use]
    pub fn raster(&self) -> &Raster<u32> {
        &self.0
    }

    /// `(width, height)` in pixels.
    #[must_use]
    pub fn size(&self) -> (usize, usize) {
        self.0.size()
    }

    /// Resizes by picking nearest pixels: ids are never blended.
    #[must_use]
    pub fn resize(self, width: usize, height: usize) -> Self {
        if self.size() == (width, height) { self } else { Self(resize_nearest(&self.0, width, height)) }
    }

    /// The window `(x, y, width, height)`; id 0 beyond the edge.
    #[must_use]
    pub fn crop(&self, x: usize, y: usize, width: usize, height: usize) -> Self {
        Self(self.0.crop(x, y, width, height))
    }

    /// Mirrors left and right in place.
    pub fn flip_horizontal(&mut self) {
        self.0.flip_horizontal();
    }

    /// Every pixel from where it is nearest in the field.
    #[must_use]
    pub fn warp(&self, field: &Field) -> Self {
        Self(field.nearest(&self.0))
    }

    /// Replaces one id by another.
    pub fn replace(&mut self, from: u32, to: u32) {
        self.0.samples_mut().iter_mut().filter(|id| **id == from).for_each(|id| *id = to);
    }

    /// The first pixel, in reading order, whose id is not below `limit`: `(x, y, id)`.
    #[must_use]
    pub fn first_not_below(&self, limit: u32) -> Option<(u32, u32, u32)> {
        self.find(|id| id >= limit)
    }

    /// The first pixel, in reading order, whose id `matches`: `(x, y, id)`.
    pub(crate) fn find(&self, matches: impl Fn(u32) -> bool) -> Option<(u32, u32, u32)> {
        let at = self.0.samples().iter().position(|&id| matches(id))?;
        let width = self.0.width();
        Some(((at % width) as u32, (at / width) as u32, self.0.samples()[at]))
    }

    /// The ids as `[1, H, W]`: U8 if all fit, else U32.
    ///
    /// # Errors
    /// [`Error::Tensor`](crate::Error::Tensor) passes on what candle answers; the ids always fill the shape.
    pub fn to_tensor(&self) -> Result<Tensor> {
        let shape = (1, self.0.height(), self.0.width());
        let bytes: Option<Vec<u8>> = self.0.samples().iter().map(|&id| u8::try_from(id).ok()).collect();
        match bytes {
            Some(bytes) => Ok(Tensor::from_vec(bytes, shape, &Device::Cpu)?),
            None => self.to_tensor_u32(),
        }
    }

    /// The ids as `[1, H, W]` U32.
    ///
    /// # Errors
    /// As [`IdMap::to_tensor`].
    pub fn to_tensor_u32(&self) -> Result<Tensor> {
        let shape = (1, self.0.height(), self.0.width());
        Ok(Tensor::from_vec(self.0.samples().to_vec(), shape, &Device::Cpu)?)
    }
}
