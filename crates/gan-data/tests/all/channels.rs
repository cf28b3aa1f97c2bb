//! Networks get the channels that files have, and none that was made up.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use gan_data::{AlphaPolicy, DataConfig, DataMode, Image, Preprocess, Raster, open, write_image};
use gan_rng::{Key, Purpose};
use tempfile::TempDir;

fn config(mode: DataMode, root: &Path, channels: (usize, usize), alpha: AlphaPolicy) -> DataConfig {
    DataConfig {
        mode,
        root: root.to_path_buf(),
        input_nc: channels.0,
        output_nc: channels.1,
        preprocess: Preprocess::None,
        flip: false,
        alpha,
        ..Default::default()
    }
}

fn rgba(width: usize) -> Image {
    Image::U8(Raster::from_fn(width, 4, |x, y| [(x * 9) as u8, (y * 50) as u8, 200, (x * 15 + y) as u8]))
}

/// First item: input and target, as values.
fn item(config: &DataConfig) -> Result<(Vec<f32>, Vec<f32>), String> {
    let item = open(config).unwrap().item(0, Key::new(0, Purpose::Augment)).map_err(|e| e.to_string())?;
    let values = |t: candle_core::Tensor| t.flatten_all().unwrap().to_vec1().unwrap();
    Ok((values(item.a), item.b.map(values).unwrap_or_default()))
}

fn values(image: &Image) -> Vec<f32> {
    image.to_tensor().unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

#[test]
fn each_side_of_a_pair_gets_its_own_channels() {
    let dir = TempDir::new().unwrap();
    write_image(&dir.path().join("train/0.png"), &rgba(16)).unwrap();
    let (left, right) = (rgba(16).crop(0, 0, 8, 4), rgba(16).crop(8, 0, 8, 4));
    let opaque = |image: &Image| values(&image.clone().with_channels(3).unwrap());
    for alpha in [AlphaPolicy::Drop, AlphaPolicy::Keep] {
        let config = |channels| config(DataMode::Aligned, dir.path(), channels, alpha);
        assert_eq!(item(&config((4, 4))).unwrap(), (values(&left), values(&right)));
        assert_eq!(item(&config((4, 3))).unwrap(), (values(&left), opaque(&right)));
        assert_eq!(item(&config((3, 4))).unwrap(), (opaque(&left), values(&right)));
    }
    let composite = item(&config(DataMode::Aligned, dir.path(), (4, 3), AlphaPolicy::Composite)).unwrap();
    assert_eq!(composite.0, values(&left));
    assert_ne!(composite.1, opaque(&right));
}

#[test]
fn alpha_is_never_made_up() {
    let dir = TempDir::new().unwrap();
    let colour = rgba(8).with_channels(3).unwrap();
    for side in ["trainA/0.png", "trainB/0.png", "0.png"] {
        write_image(&dir.path().join(side), &colour).unwrap();
    }
    for mode in [DataMode::Aligned, DataMode::Unaligned, DataMode::Single] {
        for alpha in [AlphaPolicy::Drop, AlphaPolicy::Keep, AlphaPolicy::Composite] {
            for channels in [2, 4] {
                let text = item(&config(mode, dir.path(), (channels, 3), alpha)).unwrap_err();
                assert!(text.contains("0.png") && text.contains("alpha"), "{text}");
            }
            assert!(item(&config(mode, dir.path(), (3, 3), alpha)).is_ok());
        }
    }
}

#[test]
fn the_two_channels_of_colorization_are_not_alpha() {
    let dir = TempDir::new().unwrap();
    write_image(&dir.path().join("train/0.png"), &rgba(8)).unwrap();
    let (lightness, colour) = item(&config(DataMode::Colorization, dir.path(), (1, 2), AlphaPolicy::Drop)).unwrap();
    assert_eq!((lightness.len(), colour.len()), (32, 64));
}
