//! A run: its model translates a held-out part of its dataset.

use super::Args;
use super::measure::{ImageSet, Measure, Measured};
use super::metric::Metric;
use crate::commands::data_folders::{dataset_root, shown};
use crate::commands::train::resume;
use crate::commands::trained::open_trained;
use crate::exit::{BAD_DATA, BAD_MODEL, Coded, USAGE};
use crate::progress::bar;
use crate::wording::worded;
use anyhow::{Context, bail};
use candle_core::{DType, Device, Tensor};
use gan_data::{
    Batch, DataConfig, DataMode, Dataset, Depth, Image, Preprocess, Quantize, Raster, image_from_lab,
    image_from_tensor, recognise,
};
use gan_metrics::features::{rgb8, to_u8};
use gan_rng::{Key, Purpose};
use gan_train::config::ConfigSource;
use gan_train::resume_config;
use gan_translate::{DeviceConfig, InputKind, Model, ModelConfig, Options, OutputKind, WeightSet};
use std::path::{Path, PathBuf};

pub(super) fn measure(
    args: &Args,
    run: &Path,
    device: &DeviceConfig,
    mut measure: Measure<'_>,
) -> anyhow::Result<Measured> {
    let options = Options { limit: args.memory.of(device)?, device: device.clone(), ..Options::default() };
    let trained = open_trained(&args.checkpoint.of(run)?, args.checkpoint.weights())?;
    let model = Model::load(&trained, options).map_err(worded)?;
    let data = held_out(args, run, model.config())?;
    let dataset = gan_data::open(&data)?;
    let paired = match data.mode {
        DataMode::Unaligned => false,
        DataMode::Unpaired => data.phase != "train",
        _ => true,
    };
    if !paired && measure.selection.any(Metric::is_paired) {
        let reason = format!("a dataset of kind {} has no pairs", data.mode.name());
        if measure.selection.named {
            bail!(Coded(USAGE, format!("{reason}: --metrics fid,kid,pr compare its two sets")));
        }
        measure.selection.leave_out(Metric::is_paired, &reason);
    }
    let mut sets = [ImageSet::default(), ImageSet::default()];
    let average = if trained.weights() == WeightSet::Ema { " with averaged weights" } else { "" };
    sets[0].source = format!("{}{average} translating {}", run.display(), described(&data));
    sets[1].source = described(&data);
    let [inputs, targets] = lengths(&*dataset, &data);
    let mut extractors = measure.extractor().zip(measure.extractor());
    let items = measure.shard.of((0..dataset.len()).collect());
    let bar = bar(items.len(), "translating");
    for index in items {
        let item = dataset.item(index, Key::new(0, Purpose::Augment).at(index as u64))?;
        let name = item.name.clone();
        let mut batch = Batch::collate(vec![item])?;
        let truth = batch.b.take().ok_or_else(|| Coded(BAD_DATA, missing_truth(&data)))?;
        let colour = model.config().output == OutputKind::Colour;
        let real = image(&batch.a, &truth, colour)?;
        if index < targets {
            sets[1].add(real.size());
            if let Some((_, reals)) = &mut extractors {
                reals.image(&rgb(&real, &name)?)?;
            }
        }
        if index < inputs {
            let made = model.translate_batch(&batch).map_err(worded)?.to_device(&Device::Cpu)?;
            let fake = image(&batch.a, &made, colour).with_context(|| format!("cannot translate {name}"))?;
            sets[0].add(fake.size());
            if let Some((fakes, _)) = &mut extractors {
                fakes.image(&rgb(&fake, &name)?)?;
            }
            if paired {
                measure.pair(&name, &fake, &real).with_context(|| name.clone())?;
            }
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    let features = match extractors {
        Some((fakes, reals)) => Some([fakes.finish()?, reals.finish()?]),
        None => None,
    };
    let notes = trained.notes().iter().cloned().chain(dataset.describe().notes).collect();
    Ok(Measured { step: trained.step(), ..measure.finish(sets, features, notes) })
}

/// The dataset as it is to be translated: every image once, not mirrored, and where training crops at random, the whole image in
/// the size of the crops.
fn held_out(args: &Args, run: &Path, model: &ModelConfig) -> anyhow::Result<DataConfig> {
    let data = match (resume::of_run(run), &args.data) {
        (Some(method), named) => {
            let config = resume_config(run, method, |saved| (method.resolve)(&[ConfigSource::saved(saved)?]))?;
            let data = config.data();
            match named {
                Some(_) if data.mode.is_procedural() => {
                    let message = format!("{} draws its images: --data has no use; leave it out", run.display());
                    bail!(Coded(USAGE, message));
                }
                Some(named) => data.moved_to(dataset_root(named)),
                None => data,
            }
        }
        (None, Some(named)) => read_by(model, dataset_root(named)),
        (None, None) => {
            let message =
                format!("{} is no run folder, so its dataset is not known; name one with --data", run.display());
            bail!(Coded(BAD_MODEL, message));
        }
    };
    let load_size = if data.preprocess == Preprocess::ResizeAndCrop { data.crop_size } else { data.load_size };
    Ok(DataConfig {
        load_size,
        phase: args.split.clone(),
        shuffle: false,
        max_dataset_size: args.limit,
        ..data.without_augmentation()
    })
}

/// A dataset as a model reads it that knows its sizes and channels, but no dataset: what kind it is, its folders tell.
fn read_by(model: &ModelConfig, root: PathBuf) -> DataConfig {
    let (generator, sizes, read) = (&model.generators[0], &model.sizes, &model.read);
    let data = recognise(&DataConfig { root, instances: model.instances, ..DataConfig::default() });
    let (mode, label_nc, dont_care) = match model.input {
        InputKind::Labels { label_nc, dont_care } => (DataMode::Labelled, label_nc, dont_care),
        InputKind::Lightness => (DataMode::Colorization, 0, None),
        InputKind::Image if model.instances => (DataMode::Labelled, 0, None),
        InputKind::Image => (data.mode, 0, None),
    };
    DataConfig {
        mode,
        direction: generator.direction,
        input_nc: model.input_nc(generator),
        output_nc: generator.config.output_nc,
        preprocess: sizes.preprocess,
        load_size: sizes.load_size,
        crop_size: sizes.crop_size,
        multiple: sizes.multiple,
        label_nc,
        dont_care,
        instances: model.instances,
        labels_as: read.labels_as,
        exif: read.exif,
        alpha: read.alpha,
        ..data
    }
}

fn described(data: &DataConfig) -> String {
    if data.mode.is_procedural() {
        return format!("{} {}", data.mode.name(), data.phase);
    }
    format!("{} {}", shown(data), data.phase)
}

fn missing_truth(data: &DataConfig) -> String {
    format!("{}: the part {} has no real images to measure against; name another with --split", shown(data), data.phase)
}

/// Number of inputs and of targets. The shorter list of two unrelated ones is repeated in the dataset.
fn lengths(dataset: &dyn Dataset, data: &DataConfig) -> [usize; 2] {
    if data.mode != DataMode::Unaligned {
        return [dataset.len(); 2];
    }
    let files = dataset.item_files();
    [0, 1].map(|part| files.iter().filter(|file| file.part == part).count())
}

/// The image `[1, C, H, W]` in 8 bits; of a colorization, with the lightness of its input.
fn image(input: &Tensor, output: &Tensor, colour: bool) -> anyhow::Result<Raster<u8>> {
    let output = output.to_dtype(DType::F32)?;
    let image = match colour {
        true => image_from_lab(&input.squeeze(0)?, &output.squeeze(0)?)?,
        false => image_from_tensor(&output, Depth::U8, Quantize::Round)?,
    };
    Ok(to_u8(image))
}

fn rgb(image: &Raster<u8>, name: &str) -> gan_metrics::Result<Raster<u8>> {
    rgb8(Image::U8(image.clone()), Path::new(name))
}
