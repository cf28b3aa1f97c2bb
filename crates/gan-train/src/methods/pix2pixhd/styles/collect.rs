//! Running the encoder over a training set and clustering what it finds.

use super::kmeans;
use crate::checkpoint::tensors;
use crate::methods::pix2pixhd::SPEC;
use crate::resume::sealed;
use crate::storage::{Durability, Storage, replace_file};
use crate::{DeviceConfig, Error, MethodConfig, Result, to_device};
use candle_core::{DType, Device};
use gan_data::{Batch, DataConfig, Loader};
use gan_rng::{Key, Purpose};
use gan_translate::{FeatureEncoder, MemoryLimit, StyleClusters, TrainedModel, label_of};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;

/// Only instances larger than this many 32nds of their image are clustered: features of smaller ones are noise.
const MIN_AREA: f64 = 0.5;

/// `clusters.json`: where the clusters come from.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StyleReport {
    /// Step of the checkpoint whose encoder was used.
    pub step: u64,
    /// Training images that were encoded.
    #[serde(rename = "pictures")]
    pub images: usize,
    /// Channels of the features.
    pub feat_num: usize,
    /// The labels that were seen, ascending.
    pub labels: Vec<LabelStyles>,
}

/// What was found for one label.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LabelStyles {
    /// The label.
    pub label: u32,
    /// Its instances in the training set.
    pub instances: usize,
    /// Those large enough to be clustered (more than a 64th of their image).
    pub used: usize,
    /// Instances in each cluster; empty if none was large enough.
    pub clusters: Vec<usize>,
}

/// What is known of one label so far.
#[derive(Default)]
struct Found {
    instances: usize,
    features: Vec<Vec<f64>>,
}

/// Encodes every training image of a run, clusters the features of its instances by label and writes
/// `RUN/features/`. The images pass the run's own preprocessing, in order and without mirroring; `data` names another
/// folder to read them from. Each is encoded within a limit of memory, if there is one. `progress` hears how many images are done, and of how many.
///
/// # Errors
/// [`Error::Config`] if the model has no encoder, is no checkpoint, or not one instance was large enough; errors of reading and
/// writing.
pub fn encode_features(
    trained: &TrainedModel,
    data: Option<&Path>,
    (device_config, limit): (&DeviceConfig, Option<&MemoryLimit>),
    storage: &dyn Storage,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<StyleReport> {
    let encoder = FeatureEncoder::load(trained, device_config).map_err(|error| match error {
        gan_translate::Error::NoEncoder => refused(
            trained,
            "this model has no styles: they need an instance feature encoder (pix2pixhd trained with encoder.instance_feat=true)",
        ),
        other => other.into(),
    })?;
    let (step, run) = run_of(trained)?;
    let (config, seed) = (in_order(run.data(), data), run.train().seed);
    let loader = Loader::new(gan_data::open(&config)?, config.loader(seed))?;
    let images = loader.batches_per_epoch();
    let mut found = BTreeMap::new();
    progress(0, images);
    // Training counts epochs from 1, so that epoch 0 has crops of its own.
    for (i, batch) in loader.epoch(0, 0).enumerate() {
        collect((&encoder, limit), &to_device(batch?, device_config)?, &mut found)?;
        progress(i + 1, images);
    }
    let (clusters, labels) = cluster(&encoder, &found, Key::new(seed, Purpose::Style).at_name("clusters"));
    if clusters.labels().next().is_none() {
        return Err(Error::Config {
            origin: "encode-features".into(),
            message: format!(
                "not one instance in {images} images covers more than a 64th of its image; name other data"
            ),
        });
    }
    let report = StyleReport { step, images, feat_num: encoder.feat_num(), labels };
    write(storage, trained, &clusters, &report)?;
    Ok(report)
}

/// The images whose styles [`encode_features`] finds: the training set of a run or the folder `data`, in order and not augmented.
///
/// # Errors
/// [`Error::Config`] if the model is no checkpoint of a run.
pub fn encoded_data(trained: &TrainedModel, data: Option<&Path>) -> Result<DataConfig> {
    Ok(in_order(run_of(trained)?.1.data(), data))
}

/// The step of a checkpoint, and the configuration of its run.
fn run_of(trained: &TrainedModel) -> Result<(u64, Box<dyn MethodConfig>)> {
    let manifest =
        trained.manifest().ok_or_else(|| refused(trained, "it is no run, whose training set would be known"))?;
    Ok((manifest.step, sealed(trained.path(), &manifest.model, &SPEC)?))
}

fn refused(trained: &TrainedModel, message: &str) -> Error {
    Error::Config { origin: trained.path().display().to_string(), message: message.into() }
}

/// One image at a time, in order and not augmented.
fn in_order(config: DataConfig, data: Option<&Path>) -> DataConfig {
    let config = match data {
        Some(root) => config.moved_to(root.to_path_buf()),
        None => config,
    };
    DataConfig { shuffle: false, batch_size: 1, ..config.without_augmentation() }
}

/// Adds the instances of one image.
fn collect(
    (encoder, limit): (&FeatureEncoder, Option<&MemoryLimit>),
    batch: &Batch,
    found: &mut BTreeMap<u32, Found>,
) -> Result<()> {
    let Some(inst) = &batch.inst else {
        return Err(Error::Config {
            origin: batch.names.join(", "),
            message: "it has no instance map; styles belong to instances".into(),
        });
    };
    let planes = encoder.encode_within(batch, limit, 0)?.to_device(&Device::Cpu)?.to_dtype(DType::F64)?;
    let channels = planes.squeeze(0)?.flatten_from(1)?.to_vec2::<f64>()?;
    let ids = inst.to_device(&Device::Cpu)?.to_dtype(DType::U32)?.flatten_all()?.to_vec1::<u32>()?;
    // Features are the same all over an instance: its first pixel tells them.
    let mut instances: BTreeMap<u32, (usize, usize)> = BTreeMap::new();
    for (pixel, &id) in ids.iter().enumerate() {
        instances.entry(id).or_insert((pixel, 0)).1 += 1;
    }
    let unit = (ids.len() / 32).max(1);
    for (id, (pixel, count)) in instances {
        let label = found.entry(label_of(id)).or_default();
        label.instances += 1;
        if count as f64 / unit as f64 > MIN_AREA {
            label.features.push(channels.iter().map(|plane| plane[pixel]).collect());
        }
    }
    Ok(())
}

fn cluster(encoder: &FeatureEncoder, found: &BTreeMap<u32, Found>, key: Key) -> (StyleClusters, Vec<LabelStyles>) {
    let mut by_label = BTreeMap::new();
    let mut labels = Vec::new();
    for (&label, Found { instances, features }) in found {
        let clustering = kmeans::cluster(features, encoder.n_clusters(), key.at(u64::from(label)));
        let used = features.len();
        labels.push(LabelStyles { label, instances: *instances, used, clusters: clustering.counts });
        if !clustering.centres.is_empty() {
            let centres = clustering.centres.iter().map(|c| c.iter().map(|&x| x as f32).collect()).collect();
            by_label.insert(label, centres);
        }
    }
    (StyleClusters::new(encoder.feat_num(), by_label), labels)
}

/// Writes the report first: only the clusters count for translation, and they are replaced in one go.
fn write(storage: &dyn Storage, trained: &TrainedModel, clusters: &StyleClusters, report: &StyleReport) -> Result<()> {
    let folder = trained.features_dir();
    storage.create_dir_all(&folder).map_err(|e| Error::io("create", &folder, e))?;
    let mut json = serde_json::to_vec_pretty(report).map_err(|e| Error::Unsavable { reason: e.to_string() })?;
    json.push(b'\n');
    replace_file(storage, &folder.join("clusters.json"), &json, Durability::Flushed)?;
    let path = folder.join(StyleClusters::FILE);
    let mut bytes = Vec::new();
    tensors::write(&mut bytes, &path, StyleClusters::FILE, &clusters.to_tensors()?)?;
    replace_file(storage, &path, &bytes, Durability::Flushed)
}
