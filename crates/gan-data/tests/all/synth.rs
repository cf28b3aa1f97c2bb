//! Procedural datasets: deterministic, consistent, and in the folders that the file datasets read.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::sync::Mutex;

use candle_core::DType;
use gan_data::{
    DataConfig, DataMode, FACADE_CLASSES, Preprocess, STREET_CLASSES, SynthFiles, SynthKind, day, facade, night, open,
    street, write_synth,
};
use gan_rng::{Key, Purpose};
use tempfile::TempDir;

fn key() -> Key {
    Key::new(0, Purpose::Augment)
}

#[test]
fn scenes_depend_on_seed_and_index_only() {
    assert_eq!(facade(1, 2, 48), facade(1, 2, 48));
    assert_ne!(facade(1, 2, 48).0, facade(1, 3, 48).0);
    assert_ne!(facade(1, 2, 48).0, facade(2, 2, 48).0);
    assert_eq!(street(1, 2, 48), street(1, 2, 48));
    assert_ne!(street(1, 2, 48).0, street(1, 3, 48).0);
}

#[test]
fn a_scene_is_the_same_at_every_size() {
    let (small, _) = facade(3, 1, 64);
    let (large, _) = facade(3, 1, 192);
    let agree =
        (0..64 * 64).filter(|i| small.pixel(i % 64, i / 64) == large.pixel(i % 64 * 3 + 1, i / 64 * 3 + 1)).count();
    assert!(agree > 64 * 64 * 9 / 10, "{agree}");
}

#[test]
fn every_class_occurs_and_no_other() {
    let palette: BTreeSet<[u8; 3]> = FACADE_CLASSES.iter().map(|class| class.1).collect();
    let mut seen = BTreeSet::new();
    for index in 0..40 {
        seen.extend(facade(0, index, 64).0.samples().as_chunks::<3>().0.iter().copied());
    }
    assert_eq!(seen, palette);
    let mut labels = BTreeSet::new();
    for index in 0..40 {
        labels.extend(street(0, index, 96).0.raster().samples().iter().copied());
    }
    assert_eq!(labels, (0..STREET_CLASSES.len() as u32).collect());
}

#[test]
fn instances_lie_within_one_label() {
    let mut objects = 0;
    for index in 0..20 {
        let (labels, instances, _) = street(5, index, 64);
        for (&label, &instance) in labels.raster().samples().iter().zip(instances.raster().samples()) {
            let of = if instance < 1000 { instance } else { instance / 1000 };
            assert_eq!(of, label);
            objects += usize::from(instance >= 1000);
        }
    }
    assert!(objects > 1000);
}

/// Colours that a label map explains: what an L1 model can win by looking at the labels.
#[test]
fn photographs_follow_their_label_maps() {
    let (mut within, mut overall) = (0.0, 0.0);
    for index in 0..12 {
        let (labels, photo) = facade(0, index, 64);
        let mut groups = std::collections::BTreeMap::<[u8; 3], Vec<f64>>::new();
        for (label, pixel) in labels.samples().as_chunks::<3>().0.iter().zip(photo.samples().as_chunks::<3>().0) {
            groups.entry(*label).or_default().push(f64::from(pixel[0]));
        }
        let spread = |values: &[f64]| {
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            values.iter().map(|v| (v - mean).powi(2)).sum::<f64>()
        };
        within += groups.values().map(|values| spread(values)).sum::<f64>();
        overall += spread(&groups.into_values().flatten().collect::<Vec<_>>());
    }
    assert!(within < 0.65 * overall, "{}", within / overall);
}

#[test]
fn night_is_darker_than_day_and_shows_the_same_scene() {
    let (day_4, night_4) = (day(0, 4, 64), night(0, 4, 64));
    let mean =
        |r: &gan_data::Raster<u8>| r.samples().iter().map(|&s| f64::from(s)).sum::<f64>() / r.samples().len() as f64;
    assert!(mean(&night_4) < 0.65 * mean(&day_4));
    assert_ne!(night(0, 5, 64), night_4);
}

fn config(mode: DataMode) -> DataConfig {
    DataConfig { mode, load_size: 40, crop_size: 32, max_dataset_size: Some(6), label_nc: 16, ..Default::default() }
}

#[test]
fn items_come_from_memory() {
    let facades = open(&config(DataMode::Facades)).unwrap();
    assert_eq!(facades.len(), 6);
    let item = facades.item(0, key()).unwrap();
    assert_eq!((item.a.dims(), item.b.unwrap().dims()), (&[3, 32, 32][..], &[3, 32, 32][..]));
    let streets = open(&config(DataMode::Streets)).unwrap().item(5, key()).unwrap();
    assert_eq!((streets.a.dtype(), streets.inst.unwrap().dtype()), (DType::U8, DType::U32));
    assert!(open(&DataConfig { label_nc: 15, ..config(DataMode::Streets) }).is_err());
    let test = DataConfig { phase: "test".into(), ..config(DataMode::Facades) };
    let pixels =
        |config: &DataConfig| open(config).unwrap().item(0, key()).unwrap().a.flatten_all().unwrap().to_vec1::<f32>();
    assert_ne!(pixels(&test).unwrap(), pixels(&config(DataMode::Facades)).unwrap());
}

#[test]
fn files_and_memory_hold_the_same_items() {
    let dir = TempDir::new().unwrap();
    let modes = [
        (SynthKind::Facades, DataMode::Facades, DataMode::Aligned),
        (SynthKind::Streets, DataMode::Streets, DataMode::Labelled),
        (SynthKind::Unpaired, DataMode::Unpaired, DataMode::Unaligned),
    ];
    for (kind, in_memory, on_disk) in modes {
        let root = dir.path().join(format!("{kind:?}"));
        let heard = Mutex::new(Vec::new());
        let what = SynthFiles { kind, seed: 0, size: 40, train: 3, test: 2 };
        let files = write_synth(&root, &what, |done, of| heard.lock().unwrap().push((done, of))).unwrap();
        assert!(files.iter().all(|file| file.is_file()));
        let mut heard = heard.into_inner().unwrap();
        heard.sort_unstable();
        assert_eq!(heard, (1..=5).map(|done| (done, 5)).collect::<Vec<_>>());
        for (phase, items) in [("train", 3), ("test", 2)] {
            let base = DataConfig {
                phase: phase.into(),
                preprocess: Preprocess::None,
                flip: false,
                max_dataset_size: Some(items),
                shuffle: false,
                root: root.clone(),
                ..config(in_memory)
            };
            let memory = open(&base).unwrap();
            let disk = open(&DataConfig { mode: on_disk, ..base }).unwrap();
            assert_eq!(disk.len(), items);
            disk.check().unwrap();
            for index in 0..items {
                let (memory, disk) = (memory.item(index, key()).unwrap(), disk.item(index, key()).unwrap());
                let same = |a: &candle_core::Tensor, b: &candle_core::Tensor| {
                    let flat = |t: &candle_core::Tensor| {
                        t.to_dtype(DType::F32).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap()
                    };
                    assert_eq!(flat(a), flat(b), "{kind:?} {phase} {index}");
                };
                same(&memory.a, &disk.a);
                if kind != SynthKind::Unpaired || phase == "test" {
                    same(&memory.b.unwrap(), &disk.b.unwrap());
                }
                assert_eq!(memory.inst.is_some(), disk.inst.is_some());
                if let (Some(memory), Some(disk)) = (&memory.inst, &disk.inst) {
                    same(memory, disk);
                }
            }
        }
    }
}
