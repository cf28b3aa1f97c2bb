//! Inputs for the samples of a model folder: named ones, those of the run's dataset, or drawn ones.

use super::source::SourceArgs;
use crate::commands::train::resume;
use crate::exit::{BAD_MODEL, Coded, USAGE};
use anyhow::bail;
use candle_core::{DType, Tensor};
use gan_data::{
    Batch, DataConfig, Depth, IdMap, Image, Preprocess, Quantize, Raster, decode, decode_ids, image_from_lab,
    image_from_tensor, partner,
};
use gan_export::{Sample, SampleImage};
use gan_rng::{Key, Purpose};
use gan_train::config::ConfigSource;
use gan_train::resume_config;
use gan_translate::{InputKind, ModelConfig, StyleClusters, TrainedModel};
use std::path::{Path, PathBuf};

/// Samples of a folder.
const COUNT: usize = 2;
/// Side of a drawn sample, in pixels.
const SIDE: usize = 256;

/// Samples, and where they are from, in words.
pub(super) struct Samples {
    pub(super) samples: Vec<Sample>,
    pub(super) about: String,
}

impl Samples {
    /// Named files with their instance maps; else images of the run's dataset; else drawn ones.
    pub(super) fn of(
        source: &SourceArgs,
        trained: &TrainedModel,
        named: &[PathBuf],
        inst: Option<&Path>,
    ) -> anyhow::Result<Self> {
        let model = trained.config();
        let found = if !named.is_empty() {
            let samples = named.iter().map(|path| read(path, inst, model)).collect::<anyhow::Result<_>>()?;
            Samples { samples, about: "samples: the files that were named".into() }
        } else if let Some(found) = source.folder().and_then(|run| of_dataset(run, model)) {
            found
        } else {
            let samples = (0..COUNT as u64).map(|index| drawn(index, model)).collect();
            Samples {
                samples,
                about: "samples: drawn images, for lack of the dataset; --sample FILE names better ones".into(),
            }
        };
        let styles = trained.features_dir().join(StyleClusters::FILE).is_file();
        if model.encoder.is_some() && !styles && found.samples.iter().any(|sample| sample.style.is_none()) {
            let shown = source.model.display();
            bail!(Coded(
                BAD_MODEL,
                format!(
                    "{shown}: there are no styles to draw from yet; find them with `gan-cli encode-features --model {shown}`"
                )
            ));
        }
        Ok(found)
    }
}

/// A file, with its instance map: a file, or that of its name in a folder.
fn read(path: &Path, inst: Option<&Path>, model: &ModelConfig) -> anyhow::Result<Sample> {
    let options = model.read.decode_options(false);
    let input = match model.input {
        InputKind::Labels { .. } => SampleImage::Labels(decode_ids(path, &options)?),
        InputKind::Image | InputKind::Lightness => SampleImage::Image(decode(path, &options)?),
    };
    let instances = match inst {
        _ if !model.instances => None,
        None => bail!(Coded(
            USAGE,
            "this model was trained with instance maps: name those of the samples with --inst".into()
        )),
        Some(folder) if folder.is_dir() => {
            let name = path.file_stem().map_or(path, Path::new);
            Some(decode_ids(&partner(folder, name)?, &options)?)
        }
        Some(file) => Some(decode_ids(file, &options)?),
    };
    Ok(Sample { input, instances, style: None })
}

/// The first inputs of the run's dataset, of the part that is farthest from training; nothing where it cannot be read.
fn of_dataset(run: &Path, model: &ModelConfig) -> Option<Samples> {
    let method = resume::of_run(run)?;
    let config = resume_config(run, method, |saved| (method.resolve)(&[ConfigSource::saved(saved)?])).ok()?;
    let data = config.data();
    for phase in ["test", "val", "train"] {
        let load_size = if data.preprocess == Preprocess::ResizeAndCrop { data.crop_size } else { data.load_size };
        let part = DataConfig {
            load_size,
            phase: phase.to_owned(),
            shuffle: false,
            max_dataset_size: Some(COUNT),
            ..data.clone().without_augmentation()
        };
        let Ok(dataset) = gan_data::open(&part) else { continue };
        let item = |index: usize| {
            let item = dataset.item(index, Key::new(0, Purpose::Augment).at(index as u64)).ok()?;
            of_batch(&Batch::collate(vec![item]).ok()?, model).ok()
        };
        let samples: Option<Vec<Sample>> = (0..dataset.len().min(COUNT)).map(item).collect();
        if let Some(samples) = samples.filter(|samples| !samples.is_empty()) {
            let whose =
                if data.mode.is_procedural() { data.mode.name().to_owned() } else { data.root.display().to_string() };
            let about = format!(
                "samples: the first of {whose} ({phase}); check that they may be published, or name others with --sample FILE"
            );
            return Some(Samples { samples, about });
        }
    }
    None
}

/// A batch of one as files would hold it.
fn of_batch(batch: &Batch, model: &ModelConfig) -> anyhow::Result<Sample> {
    let image = |planes: &Tensor| Ok::<Image, anyhow::Error>(image_from_tensor(planes, Depth::U8, Quantize::Round)?);
    let input = match model.input {
        InputKind::Labels { label_nc, dont_care } => {
            let mut labels = ids(&batch.a)?;
            if let Some(dont_care) = dont_care {
                labels.replace(label_nc as u32, dont_care);
            }
            SampleImage::Labels(labels)
        }
        InputKind::Lightness => match &batch.b {
            Some(colour) => SampleImage::Image(image_from_lab(&batch.a.squeeze(0)?, &colour.squeeze(0)?)?),
            None => SampleImage::Image(image(&batch.a)?),
        },
        InputKind::Image => SampleImage::Image(image(&batch.a)?),
    };
    let instances = batch.inst.as_ref().filter(|_| model.instances).map(ids).transpose()?;
    let style = batch.b.as_ref().filter(|_| model.encoder.is_some()).map(image).transpose()?;
    Ok(Sample { input, instances, style })
}

fn ids(map: &Tensor) -> anyhow::Result<IdMap> {
    let (_, _, height, width) = map.dims4()?;
    let samples = map.to_dtype(DType::U32)?.flatten_all()?.to_vec1()?;
    Ok(IdMap::new(Raster::new(width, height, 1, samples)))
}

/// A drawn input.
fn drawn(index: u64, model: &ModelConfig) -> Sample {
    let InputKind::Labels { label_nc, .. } = model.input else {
        let (_, photo) = gan_data::facade(0, index, SIDE);
        let instances = model.instances.then(|| gan_data::street(0, index, SIDE).1);
        return Sample { input: SampleImage::Image(Image::U8(photo)), instances, style: None };
    };
    let (labels, instances, _) = gan_data::street(0, index, SIDE);
    let labels = labels.raster().samples().iter().map(|label| label % label_nc as u32).collect();
    let labels = IdMap::new(Raster::new(SIDE, SIDE, 1, labels));
    Sample { input: SampleImage::Labels(labels), instances: model.instances.then_some(instances), style: None }
}
