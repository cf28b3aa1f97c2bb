//! Rotation, scaling, elastic deformation and colours at random: what the parts of an item share, and what never changes.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::Path;

use candle_core::{DType, Tensor};
use gan_data::{DataConfig, DataMode, Image, Item, JitterOn, Preprocess, Raster, open, write_image};
use gan_rng::{Key, Purpose};
use tempfile::TempDir;

fn key(index: u64) -> Key {
    Key::new(2, Purpose::Augment).at(index)
}

fn values(t: &Tensor) -> Vec<f32> {
    t.to_dtype(DType::F32).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

/// Pairs of two times the same image.
fn twins(dir: &Path) -> DataConfig {
    let color = |x: usize, y: usize| [(x * 5) as u8, (y * 6) as u8, ((x * y) % 251) as u8];
    let pair = Raster::from_fn(96, 40, |x, y| color(x % 48, y));
    write_image(&dir.join("train/a.png"), &Image::U8(pair)).unwrap();
    DataConfig { root: dir.to_owned(), load_size: 40, crop_size: 32, ..DataConfig::default() }
}

fn item(config: &DataConfig, index: u64) -> Item {
    open(config).unwrap().item(0, key(index)).unwrap()
}

/// Each way to augment, alone and with the others.
fn all(base: &DataConfig) -> Vec<DataConfig> {
    let with =
        |rotate, scale, elastic, color_jitter| DataConfig { rotate, scale, elastic, color_jitter, ..base.clone() };
    vec![
        with(20.0, 0.0, 0.0, 0.0),
        with(0.0, 0.3, 0.0, 0.0),
        with(0.0, 0.0, 0.05, 0.0),
        with(0.0, 0.0, 0.0, 0.4),
        with(20.0, 0.3, 0.05, 0.4),
    ]
}

#[test]
fn both_images_of_a_pair_change_alike() {
    let dir = TempDir::new().unwrap();
    let plain = twins(dir.path());
    for config in all(&plain) {
        let mut changed = 0;
        for index in 0..10 {
            let one = item(&config, index);
            assert_eq!(values(&one.a), values(one.b.as_ref().unwrap()));
            assert_eq!(values(&one.a), values(&item(&config, index).a), "a function of its key");
            changed += usize::from(values(&one.a) != values(&item(&plain, index).a));
        }
        assert!(changed >= 9, "{config:?}");
    }
}

/// Crop and flip are those of the same key without: a strength near zero gives nearly the same image.
#[test]
fn what_is_turned_on_does_not_shift_other_draws() {
    let dir = TempDir::new().unwrap();
    let plain = twins(dir.path());
    let slight = DataConfig { rotate: 1e-7, scale: 1e-9, elastic: 1e-9, color_jitter: 1e-9, ..plain.clone() };
    for index in 0..10 {
        let (have, want) = (values(&item(&slight, index).a), values(&item(&plain, index).a));
        let worst = have.iter().zip(&want).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst < 0.01, "{worst}");
    }
    assert_eq!(slight.without_augmentation(), DataConfig { flip: false, ..plain });
}

#[test]
fn colours_change_only_where_they_are_asked_to() {
    let dir = TempDir::new().unwrap();
    let plain = twins(dir.path());
    for (color_jitter_on, input, target) in
        [(JitterOn::Both, true, true), (JitterOn::Input, true, false), (JitterOn::Target, false, true)]
    {
        let one = item(&DataConfig { color_jitter: 0.4, color_jitter_on, ..plain.clone() }, 1);
        let before = item(&plain, 1);
        assert_eq!(values(&one.a) != values(&before.a), input);
        assert_eq!(values(&one.b.unwrap()) != values(&before.b.unwrap()), target);
    }
    let lab = DataConfig { mode: DataMode::Colorization, input_nc: 1, output_nc: 2, color_jitter: 0.4, ..plain };
    lab.validate().unwrap();
    let refused = DataConfig { color_jitter_on: JitterOn::Target, ..lab }.validate().unwrap_err().to_string();
    assert!(refused.contains("color_jitter_on"), "{refused}");
}

/// Label and instance maps move together and hold no combination that was not there: nothing is mixed.
#[test]
fn maps_of_ids_move_together_and_are_never_mixed() {
    let plain = DataConfig {
        mode: DataMode::Streets,
        label_nc: 16,
        load_size: 64,
        max_dataset_size: Some(1),
        preprocess: Preprocess::Resize,
        flip: false,
        ..DataConfig::default()
    };
    let combinations = |item: &Item| -> BTreeSet<(u32, u32)> {
        let (labels, instances) = (values(&item.a), values(item.inst.as_ref().unwrap()));
        labels.iter().zip(instances).map(|(label, instance)| (*label as u32, instance as u32)).collect()
    };
    let before = item(&plain, 0);
    for config in all(&plain) {
        let moves = config.rotate + config.scale + config.elastic > 0.0;
        for index in 0..5 {
            let one = item(&config, index);
            assert!(combinations(&one).is_subset(&combinations(&before)));
            assert_eq!(values(&one.a) != values(&before.a), moves, "label maps have no colours");
            assert_ne!(values(&one.b.unwrap()), values(before.b.as_ref().unwrap()));
        }
    }
}

/// Nothing comes in from outside: a bright image stays bright to its corners.
#[test]
fn borders_are_reflected() {
    let dir = TempDir::new().unwrap();
    write_image(&dir.path().join("train/a.png"), &Image::U8(Raster::from_fn(64, 32, |_, _| [200; 3]))).unwrap();
    let config = DataConfig {
        root: dir.path().to_owned(),
        preprocess: Preprocess::None,
        rotate: 180.0,
        scale: 1.0,
        elastic: 0.1,
        ..DataConfig::default()
    };
    for index in 0..10 {
        assert!(values(&item(&config, index).a).iter().all(|v| (v - (200.0 / 255.0 - 0.5) / 0.5).abs() < 1e-6));
    }
}
