//! What a metric of validation does with images.

use crate::Result;
use gan_data::Raster;

/// A metric that sees held-out images one after the other. Several ranks see some of them each: so what is known of single
/// pairs, and the value of all of them, are two questions.
pub trait Measure: Send {
    /// Takes an image that was made and the real one, of the same number of channels; of the same size, except where
    /// [`Compares::Domains`](super::Compares::Domains).
    ///
    /// # Errors
    /// Those of networks that look at them.
    fn add(&mut self, made: &Raster<u8>, real: &Raster<u8>) -> Result<()>;

    /// What is known of the pairs since the last call, in their order: a row of numbers each.
    ///
    /// # Errors
    /// Those of networks that look at them.
    fn take(&mut self) -> Result<Vec<Vec<f64>>>;

    /// Forgets the pairs since the last call of [`Measure::take`].
    fn clear(&mut self);

    /// The value for the pairs with these rows, in order. Not finite where there is none.
    ///
    /// # Errors
    /// Those of the arithmetic.
    fn value(&self, rows: Vec<Vec<f64>>) -> Result<f64>;
}

/// The mean of a number of each pair of images, added up in their order.
struct MeanOf<F> {
    of: F,
    rows: Vec<Vec<f64>>,
}

pub(super) fn mean_of(of: impl FnMut(&Raster<u8>, &Raster<u8>) -> Result<f64> + Send + 'static) -> Box<dyn Measure> {
    Box::new(MeanOf { of, rows: Vec::new() })
}

impl<F: FnMut(&Raster<u8>, &Raster<u8>) -> Result<f64> + Send> Measure for MeanOf<F> {
    fn add(&mut self, made: &Raster<u8>, real: &Raster<u8>) -> Result<()> {
        self.rows.push(vec![(self.of)(made, real)?]);
        Ok(())
    }

    fn take(&mut self) -> Result<Vec<Vec<f64>>> {
        Ok(std::mem::take(&mut self.rows))
    }

    fn clear(&mut self) {
        self.rows.clear();
    }

    fn value(&self, rows: Vec<Vec<f64>>) -> Result<f64> {
        let sum = rows.iter().flatten().fold(0.0, |sum, value| sum + value);
        Ok(sum / rows.len() as f64)
    }
}
