//! The metrics of validation, a line each in [`METRICS`].

use super::measure::{Measure, mean_of};
use super::networks;
use crate::{DeviceConfig, Result};
use gan_data::Raster;
use gan_metrics::image::{Pixels, mae, ms_ssim, psnr, ssim};
use gan_metrics::networks::WeightFiles;

/// A metric by name.
#[derive(Debug)]
pub struct Metric {
    /// Its name in a configuration and in events.
    pub name: &'static str,
    /// Which values are better.
    pub better: Better,
    /// What it is given.
    pub compares: Compares,
    /// Whether it is measured unless metrics are named, where what it compares is the best that the data allows.
    pub by_default: bool,
    /// Makes it ready, on the device where networks translate. Called once a launch.
    pub open: fn(&DeviceConfig, &WeightFiles) -> Result<Box<dyn Measure>>,
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

/// All metrics. A number of each pair of images, by a network or not, is a `mean_of`.
pub const METRICS: &[Metric] = &[
    Metric {
        name: "l1",
        better: Better::Lower,
        compares: Compares::Targets,
        by_default: true,
        open: |_, _| Ok(mean_of(pixels(mae))),
    },
    Metric {
        name: "psnr",
        better: Better::Higher,
        compares: Compares::Targets,
        by_default: true,
        open: |_, _| Ok(mean_of(pixels(psnr))),
    },
    Metric {
        name: "ssim",
        better: Better::Higher,
        compares: Compares::Targets,
        by_default: true,
        open: |_, _| Ok(mean_of(pixels(ssim))),
    },
    Metric {
        name: "ms_ssim",
        better: Better::Higher,
        compares: Compares::Targets,
        by_default: false,
        open: |_, _| Ok(mean_of(pixels(ms_ssim))),
    },
    Metric {
        name: "lpips",
        better: Better::Lower,
        compares: Compares::Targets,
        by_default: false,
        open: networks::lpips,
    },
    Metric {
        name: "cycle_l1",
        better: Better::Lower,
        compares: Compares::Cycles,
        by_default: true,
        open: |_, _| Ok(mean_of(pixels(mae))),
    },
    Metric { name: "kid", better: Better::Lower, compares: Compares::Domains, by_default: true, open: networks::kid },
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

/// A metric of gan-metrics on two images.
fn pixels(
    of: fn(&Pixels<'_>, &Pixels<'_>) -> gan_metrics::Result<f64>,
) -> impl Fn(&Raster<u8>, &Raster<u8>) -> Result<f64> + Send + 'static {
    move |made, real| Ok(of(&Pixels::try_from(made)?, &Pixels::try_from(real)?)?)
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
            let mut measure =
                (Metric::find(name).unwrap().open)(&DeviceConfig::cpu(), &WeightFiles::fetched()).unwrap();
            assert!(measure.value(Vec::new()).unwrap().is_nan(), "there is no image");
            // The second time shows that the first one left nothing.
            for _ in 0..2 {
                images.iter().for_each(|&(made, real)| measure.add(&pixels(made), &pixels(real)).unwrap());
                let rows = measure.take().unwrap();
                let value = measure.value(rows).unwrap();
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
