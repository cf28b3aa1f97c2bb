//! Metrics of pairs: made images against those that they should be.

use crate::arrays;
use crate::errors::{invalid, raised};
use crate::threads::SHARED;
use gan_data::{DecodeOptions, Exclude, Image, ImageFile, decode, list_images, pair_images};
use gan_metrics::features::alike;
use gan_metrics::image::{Pixels, mae, ms_ssim, psnr, ssim};
use gan_metrics::{Error, Result};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::path::{Path, PathBuf};

type Metric = fn(&Pixels<'_>, &Pixels<'_>) -> Result<f64>;

/// By the names of `gan-cli evaluate`.
const METRICS: [(&str, Metric); 4] = [("l1", mae), ("psnr", psnr), ("ssim", ssim), ("ms-ssim", ms_ssim)];

/// Means of l1, psnr, ssim and ms-ssim over pairs of made and real images: arrays, lists of arrays, or two folders.
#[pyfunction]
#[pyo3(signature = (made, real, metrics=None))]
pub(crate) fn evaluate<'py>(
    py: Python<'py>,
    made: &Bound<'py, PyAny>,
    real: &Bound<'py, PyAny>,
    metrics: Option<Vec<String>>,
) -> PyResult<Bound<'py, PyDict>> {
    let wanted = metrics.as_deref().map(named).transpose()?;
    let pairs = match (Given::new(made, "the made images")?, Given::new(real, "the real images")?) {
        (Given::Images(made), Given::Images(real)) if made.len() == real.len() => {
            Pairs::Images(made.into_iter().zip(real).collect())
        }
        (Given::Images(made), Given::Images(real)) => {
            let (made, real) = (made.len(), real.len());
            return Err(invalid(format!("there are {made} made images and {real} real ones; give as many of both")));
        }
        (Given::Folder(made), Given::Folder(real)) => Pairs::Files(made, real),
        _ => {
            return Err(invalid(
                "one side is a folder and the other is not: give two folders, or arrays on both sides",
            ));
        }
    };
    let sums = py.detach(|| SHARED.run(|| pairs.sums(wanted).map_err(raised)))??;
    if sums.pairs == 0 {
        return Err(invalid("there are no images to compare; give at least one pair"));
    }
    let means = PyDict::new(py);
    for (name, _, sum) in sums.metrics {
        means.set_item(name, sum / sums.pairs as f64)?;
    }
    Ok(means)
}

fn named(names: &[String]) -> PyResult<Vec<(&'static str, Metric)>> {
    let all = METRICS.map(|(name, _)| name).join(", ");
    let one = |name: &String| METRICS.iter().find(|(known, _)| known == name).copied();
    let unknown = |name: &String| invalid(format!("there is no metric \"{name}\"; there are {all}"));
    names.iter().map(|name| one(name).ok_or_else(|| unknown(name))).collect()
}

enum Given {
    Folder(PathBuf),
    Images(Vec<Image>),
}

impl Given {
    /// A path, an array of one or several images, or a list or tuple of images of any sizes.
    fn new(any: &Bound<'_, PyAny>, what: &str) -> PyResult<Self> {
        if let Ok(folder) = any.extract() {
            return Ok(Given::Folder(folder));
        }
        if any.is_instance_of::<pyo3::types::PyList>() || any.is_instance_of::<pyo3::types::PyTuple>() {
            let mut images = Vec::new();
            for image in any.try_iter()? {
                images.extend(arrays::images(&image?, what)?.items);
            }
            return Ok(Given::Images(images));
        }
        Ok(Given::Images(arrays::images(any, what)?.items))
    }
}

enum Pairs {
    Images(Vec<(Image, Image)>),
    Files(PathBuf, PathBuf),
}

impl Pairs {
    /// The sum of each metric that is wanted, or of each that the sizes of the images allow.
    fn sums(self, wanted: Option<Vec<(&'static str, Metric)>>) -> Result<Sums> {
        let mut sums = Sums::new(wanted);
        match self {
            Pairs::Images(pairs) => {
                for (made, real) in pairs {
                    sums.add([made, real], [Path::new("a made image"), Path::new("the real one")])?;
                }
            }
            Pairs::Files(made, real) => {
                // One may lie in the other.
                let (of_made, of_real) = (list(&made, &real)?, list(&real, &made)?);
                for (a, b) in pair_images((&made, &of_made), (&real, &of_real))? {
                    let read = |file: &ImageFile| decode(&file.path, &DecodeOptions::default());
                    sums.add([read(&a)?, read(&b)?], [&a.path, &b.path])?;
                }
            }
        }
        Ok(sums)
    }
}

fn list(folder: &Path, other: &Path) -> Result<Vec<ImageFile>> {
    Ok(list_images(folder, &Exclude::outputs([other]))?.files)
}

struct Sums {
    metrics: Vec<(&'static str, Metric, f64)>,
    /// Whether the metrics were named: then none is left out.
    named: bool,
    pairs: usize,
}

impl Sums {
    fn new(wanted: Option<Vec<(&'static str, Metric)>>) -> Self {
        let named = wanted.is_some();
        let metrics = wanted.unwrap_or_else(|| METRICS.to_vec());
        Sums { metrics: metrics.into_iter().map(|(name, metric)| (name, metric, 0.0)).collect(), named, pairs: 0 }
    }

    fn add(&mut self, pair: [Image; 2], paths: [&Path; 2]) -> Result<()> {
        let [a, b] = alike(pair, paths)?;
        let (a, b) = (Pixels::try_from(&a)?, Pixels::try_from(&b)?);
        let mut kept = Vec::new();
        for (name, metric, sum) in std::mem::take(&mut self.metrics) {
            match metric(&a, &b) {
                Ok(value) => kept.push((name, metric, sum + value)),
                Err(Error::TooSmall { .. }) if !self.named => {}
                Err(error) => return Err(error),
            }
        }
        self.metrics = kept;
        self.pairs += 1;
        Ok(())
    }
}
