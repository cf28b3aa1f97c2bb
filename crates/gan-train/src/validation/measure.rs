//! What a metric of validation does with images.

use crate::Result;
use gan_data::Raster;

/// A metric that sees the held-out images one after the other.
pub trait Measure: Send {
    /// Takes an image that was made and the real one, of the same number of channels; of the same size, except where
    /// [`Compares::Domains`](super::Compares::Domains).
    ///
    /// # Errors
    /// Those of networks that look at them.
    fn add(&mut self, made: &Raster<u8>, real: &Raster<u8>) -> Result<()>;

    /// The value for the images since the last call. Not finite where there is none.
    ///
    /// # Errors
    /// Those of the arithmetic.
    fn take(&mut self) -> Result<f64>;
}

/// The mean of a number of each pair of images, in their order.
struct MeanOf<F> {
    of: F,
    sum: f64,
    images: u64,
}

pub(super) fn mean_of(of: impl FnMut(&Raster<u8>, &Raster<u8>) -> Result<f64> + Send + 'static) -> Box<dyn Measure> {
    Box::new(MeanOf { of, sum: 0.0, images: 0 })
}

impl<F: FnMut(&Raster<u8>, &Raster<u8>) -> Result<f64> + Send> Measure for MeanOf<F> {
    fn add(&mut self, made: &Raster<u8>, real: &Raster<u8>) -> Result<()> {
        self.sum += (self.of)(made, real)?;
        self.images += 1;
        Ok(())
    }

    fn take(&mut self) -> Result<f64> {
        let mean = self.sum / self.images as f64;
        (self.sum, self.images) = (0.0, 0);
        Ok(mean)
    }
}
