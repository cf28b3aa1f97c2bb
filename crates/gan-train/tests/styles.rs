//! pix2pixHD's styles from end to end: train with an instance feature encoder, find clusters, draw styles.
#![allow(clippy::unwrap_used)]

use candle_core::{DType, Tensor};
use gan_data::{Batch, DataConfig, DataMode, Preprocess};
use gan_rng::{Key, Purpose};
use gan_train::config::ConfigSource;
use gan_train::methods::pix2pixhd::styles::encode_features;
use gan_train::storage::Disk;
use gan_train::{DeviceConfig, Job, METHODS, find, train};
use gan_translate::{Error, Model, Options, StyleClusters, TrainedModel, label_of};
use std::path::Path;

/// Images of the training set.
const IMAGES: usize = 4;

/// Trains pix2pixHD's tiny model on streets for a few steps.
fn trained(run: &Path, more: &[&str]) -> TrainedModel {
    let method = find(METHODS, "pix2pixhd").unwrap();
    let own = [
        "data.mode=streets",
        "label_nc=16",
        "max_dataset_size=4",
        "max_steps=3",
        "workers=2",
        "n_clusters=3",
        "preprocess=none",
    ];
    let settings: Vec<ConfigSource> = method
        .smoke_overrides
        .iter()
        .chain(&own)
        .chain(more)
        .map(|s| ConfigSource::Setting((*s).to_string()))
        .collect();
    train(Job {
        method,
        config: (method.resolve)(&settings).unwrap(),
        dataset: None,
        run: run.to_path_buf(),
        resume: false,
        device_config: DeviceConfig::cpu(),
        argv: Vec::new(),
        version: "test".into(),
        revision: None,
        stop: Default::default(),
        observers: Vec::new(),
        ranks: std::sync::Arc::new(gan_train::Single),
    })
    .unwrap();
    TrainedModel::open(run).unwrap()
}

/// A street that is not in the training set, with its photograph: 45x45, which no network takes as it is.
fn street(trained: &TrainedModel) -> Batch {
    let saved = ConfigSource::saved(&trained.manifest().unwrap().model).unwrap();
    let config = (find(METHODS, "pix2pixhd").unwrap().resolve)(&[saved]).unwrap().data();
    let (load_size, crop_size) = (48, 45);
    let preprocess = Preprocess::ResizeAndCrop;
    let config = DataConfig { phase: "test".into(), preprocess, load_size, crop_size, ..config };
    assert_eq!(config.mode, DataMode::Streets);
    let item = gan_data::open(&config).unwrap().item(0, Key::new(0, Purpose::Test)).unwrap();
    Batch::collate(vec![item]).unwrap()
}

fn translated(trained: &TrainedModel, batch: &Batch, style: Option<u64>) -> Vec<f32> {
    let model = Model::load(trained, Options { style, ..Options::default() }).unwrap();
    let y = model.translate_batch(batch).unwrap();
    assert_eq!(y.dims(), [1, 3, 45, 45]);
    y.flatten_all().unwrap().to_vec1().unwrap()
}

fn ids(inst: &Tensor) -> Vec<u32> {
    inst.to_dtype(DType::U32).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

#[test]
fn styles_are_found_and_drawn() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let trained = trained(&run, &[]);
    let with_photo = street(&trained);
    let batch = Batch { b: None, ..with_photo.clone() };

    // Without clusters: an error, at once if a style is asked for.
    let early = Model::load(&trained, Options { style: Some(1), ..Options::default() }).err().unwrap();
    let late = Model::open(&run).unwrap().translate_batch(&batch).unwrap_err();
    for error in [early, late] {
        assert!(matches!(&error, Error::NoStyles { model, .. } if *model == run), "{error}");
    }

    let mut told = Vec::new();
    let report =
        encode_features(&trained, None, (&DeviceConfig::cpu(), None), &Disk, &mut |done, of| told.push((done, of)))
            .unwrap();
    assert_eq!(told, (0..=IMAGES).map(|i| (i, IMAGES)).collect::<Vec<_>>());
    assert_eq!((report.step, report.images, report.feat_num), (3, IMAGES, 3));

    let clusters = StyleClusters::load(&trained.features_dir(), 3).unwrap().unwrap();
    for label in &report.labels {
        let found = clusters.of_label(label.label);
        assert_eq!(found.len(), label.clusters.len());
        assert_eq!(label.clusters.iter().sum::<usize>(), label.used);
        assert!(label.used <= label.instances && found.len() <= label.used.min(3));
        // Means of what tanh gives.
        assert!(found.iter().flatten().all(|x| x.abs() < 1.0), "{found:?}");
    }
    // The road is one large instance in every image, and every image is different.
    let road = report.labels.iter().find(|l| l.label == 0).unwrap();
    assert_eq!((road.instances, road.used, road.clusters.len()), (IMAGES, IMAGES, 3));

    let seen = ids(batch.inst.as_ref().unwrap());
    assert!(seen.iter().any(|&id| clusters.of_label(label_of(id)).len() > 1), "nothing to choose from");
    let styles: Vec<Vec<f32>> = (0..6).map(|n| translated(&trained, &batch, Some(n))).collect();
    assert_eq!(styles[1], translated(&trained, &batch, Some(1)), "the same style, the same image");
    assert_eq!(styles[1], translated(&trained, &with_photo, Some(1)), "a style that is asked for is drawn");
    assert_eq!(styles[0], translated(&trained, &batch, None), "style 0 without a wish");
    assert!(styles[1..].iter().all(|s| *s != styles[0]), "other styles, other images");
    let encoded = translated(&trained, &with_photo, None);
    assert!(styles.iter().all(|s| *s != encoded), "the photograph's own style");

    // The same again gives the same bytes; a checkpoint folder leads to the same files.
    let bytes = || std::fs::read(run.join("features/clusters.safetensors")).unwrap();
    let before = bytes();
    std::fs::remove_dir_all(run.join("features")).unwrap();
    let checkpoint = TrainedModel::open(&run.join("checkpoints/3")).unwrap();
    assert_eq!(
        encode_features(&checkpoint, None, (&DeviceConfig::cpu(), None), &Disk, &mut |_, _| ()).unwrap(),
        report
    );
    assert!(bytes() == before);
    let names = std::fs::read_dir(run.join("features")).unwrap().count();
    assert_eq!(names, 2, "clusters.json, clusters.safetensors and no temporary file");
}

#[test]
fn models_without_an_encoder_say_so() {
    let folder = tempfile::tempdir().unwrap();
    let trained = trained(&folder.path().join("run"), &["instance_feat=false"]);
    let error =
        encode_features(&trained, None, (&DeviceConfig::cpu(), None), &Disk, &mut |_, _| ()).unwrap_err().to_string();
    assert!(error.contains("instance_feat=true"), "{error}");
    let asked = Options { style: Some(0), ..Options::default() };
    assert!(matches!(Model::load(&trained, asked), Err(Error::NoEncoder)));
    assert!(!trained.features_dir().exists());
    translated(&trained, &street(&trained), None);
}
