//! The metrics of validation, a line each in [`METRICS`].

use crate::{DeviceConfig, Result};
use gan_data::Raster;

/// A metric by name.
#[derive(Debug)]
pub struct Metric {
    /// Its name in a configuration and in events.
    pub name: &'static str,
    /// Which values are better.
    pub better: Better,
    /// What it is given.
    pub compares: Compares,
    /// Whether it is measured unless metrics are named: it needs no weights and little time.
    pub by_default: bool,
    /// Makes it ready, on the device where networks translate. Called once a launch.
    pub open: fn(&DeviceConfig) -> Result<Box<dyn Measure>>,
}

/// Which values of a metric are better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Better {
    /// Lower ones.
    Lower,
    /// Higher ones.
    Higher,
}

/// The two images that a metric is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compares {
    /// A translation and the target of the same item.
    Targets,
    /// What comes back through both generators (A to B to A, and B to A to B) and the image that went in.
    Cycles,
    /// A translation and some image of the domain that it is translated to; each image occurs once.
    Domains,
}

/// A metric that sees the held-out images one after the other.
pub trait Measure: Send {
    /// Takes an image that was made and the real one, of the same number of channels; of the same size, except where
    /// [`Compares::Domains`].
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

/// All metrics. A number of each pair of images, by a network or not, is a [`mean_of`].
pub const METRICS: &[Metric] = &[
    Metric {
        name: "l1",
        better: Better::Lower,
        compares: Compares::Targets,
        by_default: true,
        open: |_| Ok(mean_of(mae)),
    },
    Metric {
        name: "psnr",
        better: Better::Higher,
        compares: Compares::Targets,
        by_default: true,
        open: |_| Ok(mean_of(psnr)),
    },
    Metric {
        name: "cycle_l1",
        better: Better::Lower,
        compares: Compares::Cycles,
        by_default: true,
        open: |_| Ok(mean_of(mae)),
    },
];

impl Metric {
    /// The metric of this name.
    #[must_use]
    pub fn find(name: &str) -> Option<&'static Metric> {
        METRICS.iter().find(|metric| metric.name == name)
    }
}

impl Better {
    /// Whether `value` is better than `than`. What is not finite is never better.
    #[must_use]
    pub fn is(self, value: f64, than: f64) -> bool {
        value.is_finite()
            && match self {
                Better::Lower => value < than,
                Better::Higher => value > than,
            }
    }
}

/// The mean of a number of each pair of images, in their order.
struct MeanOf<F> {
    of: F,
    sum: f64,
    images: u64,
}

fn mean_of(of: impl FnMut(&Raster<u8>, &Raster<u8>) -> Result<f64> + Send + 'static) -> Box<dyn Measure> {
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

/// Mean absolute difference in levels of 0 … 255.
fn mae(made: &Raster<u8>, real: &Raster<u8>) -> Result<f64> {
    Ok(mean(made, real, f64::from))
}

/// Peak signal-to-noise ratio in dB: `10 log10(255² / MSE)`, infinite for equal images.
fn psnr(made: &Raster<u8>, real: &Raster<u8>) -> Result<f64> {
    Ok(10.0 * (255.0 * 255.0 / mean(made, real, |difference| f64::from(difference).powi(2))).log10())
}

fn mean(made: &Raster<u8>, real: &Raster<u8>, of: impl Fn(u8) -> f64) -> f64 {
    let pairs = made.samples().iter().zip(real.samples());
    pairs.map(|(made, real)| of(made.abs_diff(*real))).sum::<f64>() / made.samples().len() as f64
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn means_over_images() {
        let pixels = |samples: [u8; 2]| Raster::new(2, 1, 1, samples.to_vec());
        let images = [([0, 255], [255, 255]), ([10, 20], [12, 16])];
        let of_mse = |mse: f64| 10.0 * (65025.0 / mse).log10();
        for (name, expected) in [("l1", (127.5 + 3.0) / 2.0), ("psnr", (of_mse(32512.5) + of_mse(10.0)) / 2.0)] {
            let mut measure = (Metric::find(name).unwrap().open)(&DeviceConfig::cpu()).unwrap();
            assert!(measure.take().unwrap().is_nan(), "there is no image");
            // The second time shows that the first one left nothing.
            for _ in 0..2 {
                images.iter().for_each(|&(made, real)| measure.add(&pixels(made), &pixels(real)).unwrap());
                let value = measure.take().unwrap();
                assert!((value - expected).abs() < 1e-12, "{name}: {value}");
            }
        }
    }

    #[test]
    fn better_has_a_direction() {
        assert!(Better::Lower.is(1.0, 2.0) && !Better::Lower.is(2.0, 2.0) && Better::Higher.is(3.0, 2.0));
        assert!(!Better::Higher.is(f64::INFINITY, 2.0) && !Better::Lower.is(f64::NAN, 2.0));
    }

    #[test]
    fn names_occur_once() {
        for (i, metric) in METRICS.iter().enumerate() {
            assert!(METRICS[..i].iter().all(|other| other.name != metric.name), "{}", metric.name);
        }
    }
}
