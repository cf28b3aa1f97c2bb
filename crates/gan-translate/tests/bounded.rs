//! A limit of memory changes no bit of a translation.
#![allow(clippy::unwrap_used)]

mod support;

use candle_core::{DType, Device, Tensor};
use gan_data::{Batch, Direction};
use gan_nets::{Arch, GeneratorConfig, NormKind, Upsample};
use gan_translate::{Error, Estimate, InputKind, MemoryLimit, Model, ModelConfig, Options, TrainedModel};
use std::path::Path;
use support::{fixture, images, resnet, values, waves, write_model};

fn limit(folder: &Path, memory: u64) -> MemoryLimit {
    MemoryLimit { memory, scratch: folder.to_owned(), scratch_bytes: u64::MAX, alone: true }
}

fn open(model: &TrainedModel, limit: Option<MemoryLimit>, eval: bool) -> Model {
    Model::load(model, Options { limit, eval, ..Options::default() }).unwrap()
}

fn bits(t: &Tensor) -> Vec<u32> {
    values(t).into_iter().map(f32::to_bits).collect()
}

/// What a translation takes at least.
fn least(model: &TrainedModel, folder: &Path, batch: &Batch, eval: bool) -> Estimate {
    match open(model, Some(limit(folder, 0)), eval).translate_batch(batch) {
        Err(Error::TooLittleMemory { least, .. }) => *least,
        other => panic!("{other:?}"),
    }
}

/// Holds translations within the tightest limit, and within one half way to that of a translation as a whole, against the latter.
fn assert_same(what: &str, model: &TrainedModel, batch: &Batch, eval: bool) {
    let folder = tempfile::tempdir().unwrap();
    let whole = open(model, None, eval).translate_batch(batch).unwrap();
    let least = least(model, folder.path(), batch, eval);
    assert!(!least.whole && least.memory < least.memory_of_whole, "{what}: {least:?}");
    for memory in [least.memory, (least.memory + least.memory_of_whole) / 2, u64::MAX] {
        let y = open(model, Some(limit(folder.path(), memory)), eval).translate_batch(batch).unwrap();
        assert!(y.dims() == whole.dims() && bits(&y) == bits(&whole), "{what} differs in {memory} bytes");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "{what} leaves files behind");
}

fn image(channels: usize, h: usize, w: usize) -> Batch {
    Batch { a: waves(channels, h, w), b: None, inst: None, names: vec!["x".into()] }
}

fn model(folder: &Path, config: &ModelConfig) -> TrainedModel {
    write_model(folder, config);
    TrainedModel::open(folder).unwrap()
}

#[test]
fn every_architecture_and_norm() {
    let base = GeneratorConfig { ngf: 8, ..resnet(3, 3) };
    let mut cases = vec![
        GeneratorConfig { antialias: true, antialias_up: true, ..base.clone() },
        GeneratorConfig { upsample: Upsample::Resize, ..base.clone() },
        GeneratorConfig { arch: Arch::Unet, num_downs: 5, ..base.clone() },
        GeneratorConfig { arch: Arch::Unet, num_downs: 5, norm: NormKind::Batch, ..base.clone() },
        GeneratorConfig { arch: Arch::Global, n_downsample_global: 2, n_blocks_global: 1, ..base.clone() },
        GeneratorConfig {
            arch: Arch::Local,
            n_downsample_global: 2,
            n_blocks_global: 1,
            n_local_enhancers: 2,
            n_blocks_local: 1,
            ..base.clone()
        },
    ];
    cases.extend(
        [NormKind::Instance, NormKind::Batch, NormKind::None].map(|norm| GeneratorConfig { norm, ..base.clone() }),
    );
    for config in cases {
        let folder = tempfile::tempdir().unwrap();
        let model = model(folder.path(), &images(&[("g", Direction::A2b, config.clone())]));
        for (h, w) in [(451, 67), (1100, 21)] {
            let what = format!("{:?} {:?} {h}x{w}", config.arch, config.norm);
            assert_same(&what, &model, &image(3, h, w), false);
        }
        if config.norm == NormKind::Batch {
            assert_same("running statistics", &model, &image(3, 1100, 60), true);
        }
    }
}

#[test]
fn label_maps_with_instances_and_styles() {
    let model = TrainedModel::open(&fixture("pix2pixhd")).unwrap();
    let InputKind::Labels { label_nc, .. } = model.config().input else { panic!("not a model of labels") };
    let (h, w) = (533, 61);
    let ids = |below: usize| {
        let ids: Vec<u8> = (0..h * w).map(|i| (i / 40 % below) as u8).collect();
        Tensor::from_vec(ids, (1, 1, h, w), &Device::Cpu).unwrap()
    };
    let inst = ids(9).to_dtype(DType::U32).unwrap();
    let batch = Batch { a: ids(label_nc), b: Some(waves(3, h, w)), inst: Some(inst), names: vec!["x".into()] };
    assert_same("label maps", &model, &batch, false);
}

#[test]
fn what_does_not_fit_is_refused_before_it_starts() {
    let folder = tempfile::tempdir().unwrap();
    let model = model(folder.path(), &images(&[("g", Direction::A2b, resnet(3, 3))]));
    let batch = image(3, 900, 48);
    let needed = least(&model, folder.path(), &batch, false);
    assert_eq!((needed.size, needed.whole), ((48, 900), false));
    let tight = MemoryLimit { scratch_bytes: 0, ..limit(folder.path(), needed.memory - 1) };
    match open(&model, Some(tight.clone()), false).translate_batch(&batch) {
        Err(Error::TooLittleMemory { least, limit }) => {
            assert!(least.memory >= needed.memory && limit == tight);
        }
        other => panic!("{other:?}"),
    }
    // A folder for files that is not there.
    if needed.scratch > 0 {
        let gone = limit(&folder.path().join("none"), needed.memory);
        let error = open(&model, Some(gone), false).translate_batch(&batch).unwrap_err().to_string();
        assert!(error.contains("a scratch file in"), "{error}");
    }
}
