//! One look for many images: statistics of norms over a sample of them, in place of each image's own.
//!
//! An instance norm (and a batch norm that is not in evaluation mode) normalizes each image by its own statistics. A passing car changes
//! those, and with them every pixel of a frame. Statistics that were gathered once are constants: what the model makes of a pixel
//! then depends on what it sees around that pixel alone.

use crate::many::{stack, stacked};
use crate::reader::Input;
use crate::{Error, Model, Result};
use candle_core::{DType, Device, Tensor};
use gan_data::Batch;
use gan_fs::{Durability, read_regular, replace};
use gan_layers::{ChannelMoments, NormKind, NormObserver, NormStatistics};
use gan_nets::Generator;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// Largest file that is read.
const MAX_FILE: u64 = 64 << 20;

/// Most pixels of images that are looked at as one batch, which takes the memory of an image of as many.
const TOGETHER: usize = 1 << 20;
/// Bytes of memory from which on that is done.
const ENOUGH: u64 = 4 << 30;

/// Statistics of a model's norms over a sample of images ([`Model::statistics_of`]), for [`Model::use_statistics`].
#[derive(Debug, Clone, PartialEq)]
pub struct Statistics {
    norms: NormStatistics,
    images: usize,
    generator: String,
}

/// The file, which is JSON.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    format: u32,
    /// BLAKE3 of the generator's parameters.
    generator: String,
    images: usize,
    norms: BTreeMap<String, Moments>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Moments {
    mean: Vec<f32>,
    var: Vec<f32>,
}

const FORMAT: u32 = 1;

impl Statistics {
    /// Of how many images they are.
    pub fn images(&self) -> usize {
        self.images
    }

    /// Reads a file that [`Statistics::save`] wrote.
    ///
    /// # Errors
    /// [`Error::BadStatistics`].
    pub fn load(path: &Path) -> Result<Self> {
        let bad = |reason: String| Error::BadStatistics { path: path.to_owned(), reason };
        let bytes = read_regular(path, MAX_FILE).map_err(|error| bad(error.to_string()))?;
        let file: File = serde_json::from_slice(&bytes).map_err(|error| bad(error.to_string()))?;
        if file.format != FORMAT {
            return Err(bad(format!("it has format {}, and {FORMAT} is known", file.format)));
        }
        for (norm, Moments { mean, var }) in &file.norms {
            let sound = mean.iter().all(|m| m.is_finite()) && var.iter().all(|v| v.is_finite() && *v >= 0.0);
            if !sound || mean.is_empty() || mean.len() != var.len() {
                return Err(bad(format!("the statistics of {norm} are no means and variances")));
            }
        }
        let moments = file.norms.into_iter().map(|(path, Moments { mean, var })| (path, ChannelMoments { mean, var }));
        Ok(Statistics { norms: NormStatistics(moments.collect()), images: file.images, generator: file.generator })
    }

    /// Writes them as JSON; the file appears as a whole.
    ///
    /// # Errors
    /// [`Error::StatisticsFile`].
    pub fn save(&self, path: &Path) -> Result<()> {
        let moments = |ChannelMoments { mean, var }: &ChannelMoments| Moments { mean: mean.clone(), var: var.clone() };
        let norms = self.norms.0.iter().map(|(path, m)| (path.clone(), moments(m))).collect();
        let file = File { format: FORMAT, generator: self.generator.clone(), images: self.images, norms };
        let failed = |reason: String| Error::StatisticsFile { path: path.to_owned(), reason };
        let bytes = serde_json::to_vec(&file).map_err(|error| failed(error.to_string()))?;
        let written = replace(path, Durability::Visible, |out| out.write_all(&bytes));
        written.map_err(|error| failed(format!("{error}: {}", error.source)))
    }
}

impl Model {
    /// Whether it normalizes each image by that image's own statistics, so that others can take their place.
    pub fn has_own_statistics(&self) -> bool {
        match self.generator().norm {
            NormKind::Instance | NormKind::InstanceAffine => true,
            NormKind::Batch => !self.options().eval,
            NormKind::None => false,
        }
    }

    /// The statistics of some inputs together, as though they were one image. Of each only one forward pass is needed; as many as have a
    /// megapixel together share one, and are normalized together in it.
    ///
    /// # Errors
    /// [`Error::NoOwnStatistics`]; those of the inputs, and of [`Model::translate_input`].
    pub fn statistics_of(&self, inputs: impl IntoIterator<Item = Result<Input>>) -> Result<Statistics> {
        if !self.has_own_statistics() {
            return Err(Error::NoOwnStatistics);
        }
        let observer = NormObserver::default();
        let observed = self.networks().observed(&observer, self.options())?;
        let (mut group, mut pixels, mut images): (Vec<Batch>, usize, usize) = (Vec::new(), 0, 0);
        let show = |group: &mut Vec<Batch>| -> Result<()> {
            if !group.is_empty() {
                let batch = stacked(&group.iter().collect::<Vec<_>>())?;
                self.networks().show(&observed, &self.to_device(&batch)?)?;
                group.clear();
            }
            Ok(())
        };
        // One at a time, each within the limit, where memory is short.
        let short = self.options().limit.as_ref().is_some_and(|limit| limit.alone || limit.memory < ENOUGH);
        let together = if short { 0 } else { TOGETHER };
        for input in inputs {
            let batch = input?.batch;
            let (_, _, h, w) = batch.a.dims4()?;
            if group.first().is_some_and(|first| !stack(first, &batch)) || pixels + h * w > together {
                show(&mut group)?;
                pixels = 0;
            }
            pixels += h * w;
            images += 1;
            group.push(batch);
        }
        show(&mut group)?;
        Ok(Statistics { norms: observer.finish(), images, generator: fingerprint(self.networks().own())? })
    }

    /// From now on translates with these statistics in place of each image's own; `None` goes back to those.
    ///
    /// # Errors
    /// [`Error::NoOwnStatistics`], [`Error::OtherStatistics`].
    pub fn use_statistics(&mut self, statistics: Option<&Statistics>) -> Result<()> {
        if let Some(Statistics { generator, .. }) = statistics {
            if !self.has_own_statistics() {
                return Err(Error::NoOwnStatistics);
            }
            if *generator != fingerprint(self.networks().own())? {
                return Err(Error::OtherStatistics);
            }
        }
        let options = self.options().clone();
        self.networks_mut().use_statistics(statistics.map(|statistics| &statistics.norms), &options)
    }
}

/// BLAKE3 of the parameters of a generator, in order, as F32.
fn fingerprint(generator: &Generator) -> Result<String> {
    let mut hasher = blake3::Hasher::new();
    let mut failed = None;
    generator.for_each_param(&mut |param| {
        let values = |t: &Tensor| t.to_dtype(DType::F32)?.to_device(&Device::Cpu)?.flatten_all()?.to_vec1::<f32>();
        match values(param.tensor()) {
            Ok(values) => {
                let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
                hasher.update(&bytes);
            }
            Err(error) => failed = Some(error),
        }
    });
    match failed {
        Some(error) => Err(error.into()),
        None => Ok(hasher.finalize().to_hex().to_string()),
    }
}
