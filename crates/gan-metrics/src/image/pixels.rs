//! The images that are compared, as they lie in memory.

use crate::{Error, Result};
use gan_data::Raster;

/// A view of an 8-bit image, `[H][W][C]`, rows top to bottom, samples 0 … 255.
#[derive(Debug, Clone, Copy)]
pub struct Pixels<'a> {
    height: usize,
    width: usize,
    channels: usize,
    samples: &'a [u8],
}

impl<'a> Pixels<'a> {
    /// A view of samples in row-major, interleaved order.
    ///
    /// # Errors
    /// [`Error::Pixels`] if there is no sample, or not as many as the sizes say.
    pub fn new(height: usize, width: usize, channels: usize, samples: &'a [u8]) -> Result<Self> {
        let wanted = height.checked_mul(width).and_then(|pixels| pixels.checked_mul(channels));
        if samples.is_empty() || wanted != Some(samples.len()) {
            return Err(Error::Pixels { height, width, channels, samples: samples.len() });
        }
        Ok(Pixels { height, width, channels, samples })
    }

    /// Rows.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Columns.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Samples per pixel.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// All samples, row-major and interleaved.
    pub fn samples(&self) -> &'a [u8] {
        self.samples
    }

    /// Refuses a pair whose sizes or channels differ.
    pub(super) fn require_same_shape(&self, other: &Pixels<'_>) -> Result<()> {
        let shape = |p: &Pixels<'_>| [p.height, p.width, p.channels];
        if shape(self) == shape(other) {
            Ok(())
        } else {
            Err(Error::Shapes { first: shape(self), second: shape(other) })
        }
    }

    /// Refuses an image with a side that is shorter than `smallest`.
    pub(super) fn require_side(&self, smallest: usize, metric: &'static str) -> Result<()> {
        let Pixels { height, width, .. } = *self;
        if height.min(width) >= smallest { Ok(()) } else { Err(Error::TooSmall { metric, height, width, smallest }) }
    }
}

impl<'a> TryFrom<&'a Raster<u8>> for Pixels<'a> {
    type Error = Error;

    fn try_from(raster: &'a Raster<u8>) -> Result<Self> {
        Pixels::new(raster.height(), raster.width(), raster.channels(), raster.samples())
    }
}
