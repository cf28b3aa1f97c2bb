//! Feature vectors of a set of images.

use crate::{Error, Result};

/// Feature vectors `[N, D]`, one an image, in the precision of the network that computed them.
#[derive(Debug, Clone, PartialEq)]
pub struct Features {
    dimensions: usize,
    values: Vec<f32>,
}

impl Features {
    /// Vectors of `dimensions` values, one after the other.
    ///
    /// # Errors
    /// [`Error::Features`] for values that do not fill whole vectors, or that are not finite.
    pub fn new(dimensions: usize, values: Vec<f32>) -> Result<Self> {
        if dimensions == 0 || !values.len().is_multiple_of(dimensions) {
            return Err(Error::Features(format!("{} values make no vectors of {dimensions}", values.len())));
        }
        if let Some(at) = values.iter().position(|v| !v.is_finite()) {
            let (image, value) = (at / dimensions, values[at]);
            return Err(Error::Features(format!("the features of image {image} hold {value}")));
        }
        Ok(Features { dimensions, values })
    }

    /// Number of vectors.
    pub fn len(&self) -> usize {
        self.values.len() / self.dimensions
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Values a vector.
    pub fn dimensions(&self) -> usize {
        self.dimensions
    }

    /// All values, vector after vector.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// The vector of an image.
    pub(super) fn row(&self, index: usize) -> &[f32] {
        &self.values[index * self.dimensions..][..self.dimensions]
    }

    /// The mean vector, summed in order of the images.
    pub(super) fn mean(&self) -> Vec<f64> {
        let mut mean = vec![0.0; self.dimensions];
        for row in self.values.chunks_exact(self.dimensions) {
            mean.iter_mut().zip(row).for_each(|(mean, v)| *mean += f64::from(*v));
        }
        let n = self.len() as f64;
        mean.iter_mut().for_each(|mean| *mean /= n);
        mean
    }

    /// Refuses two sets of which one has fewer than `smallest` images, or whose vectors differ in length.
    pub(super) fn require_pair(&self, other: &Features, metric: &'static str, smallest: usize) -> Result<()> {
        if self.dimensions != other.dimensions {
            let (a, b) = (self.dimensions, other.dimensions);
            return Err(Error::Features(format!("vectors of {a} values and of {b}")));
        }
        let count = self.len().min(other.len());
        if count >= smallest { Ok(()) } else { Err(Error::TooFew { metric, count, smallest }) }
    }
}
