//! Images of many channels, stored as folders of planes.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use gan_data::{
    DataConfig, DataMode, DecodeOptions, Depth, Image, Preprocess, Quantize, Raster, decode, image_from_tensor,
    inspect, open, probe, write_image, write_planes,
};
use gan_rng::{Key, Purpose};
use tempfile::TempDir;

fn seven(width: usize, height: usize) -> Image {
    Image::U16(Raster::from_fn(width, height, |x, y| [0, 1, 2, 3, 4, 5, 6].map(|c| (9000 * c + 100 * y + x) as u16)))
}

#[test]
fn planes_round_trip_with_their_depth() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("scene.planes");
    write_planes(&path, &seven(12, 8)).unwrap();
    assert_eq!(decode(&path, &DecodeOptions::default()).unwrap(), seven(12, 8));
    let header = probe(&path, &DecodeOptions::default()).unwrap();
    assert_eq!((header.width, header.height, header.channels, header.depth), (12, 8, 7, 16));
    assert!(write_planes(&dir.path().join("scene"), &seven(2, 2)).is_err());
}

#[test]
fn mixed_depths_widen() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("scene.planes");
    write_image(&path.join("a.png"), &Image::U8(Raster::new(1, 1, 1, vec![255]))).unwrap();
    write_image(&path.join("b.png"), &Image::U16(Raster::new(1, 1, 1, vec![7]))).unwrap();
    let expected = Image::U16(Raster::new(1, 1, 2, vec![65_535, 7]));
    assert_eq!(decode(&path, &DecodeOptions::default()).unwrap(), expected);
}

#[test]
fn planes_that_do_not_fit_are_named() {
    let dir = TempDir::new().unwrap();
    let refused = |name: &str, second: Raster<u8>| {
        let path = dir.path().join(format!("{name}.planes"));
        write_image(&path.join("0.png"), &Image::U8(Raster::new(2, 2, 1, vec![0; 4]))).unwrap();
        write_image(&path.join("1.png"), &Image::U8(second)).unwrap();
        decode(&path, &DecodeOptions::default()).unwrap_err().to_string()
    };
    assert!(refused("size", Raster::new(3, 2, 1, vec![0; 6])).contains("1.png"));
    assert!(refused("colour", Raster::new(2, 2, 3, vec![0; 12])).contains("one channel"));
    let empty = dir.path().join("empty.planes");
    std::fs::create_dir(&empty).unwrap();
    assert!(decode(&empty, &DecodeOptions::default()).unwrap_err().to_string().contains("no plane"));
}

fn config(root: &Path) -> DataConfig {
    DataConfig {
        mode: DataMode::Aligned,
        root: root.to_path_buf(),
        input_nc: 7,
        output_nc: 1,
        preprocess: Preprocess::None,
        flip: false,
        ..Default::default()
    }
}

#[test]
fn datasets_and_reports_take_planes_for_images() {
    let dir = TempDir::new().unwrap();
    write_planes(&dir.path().join("trainA/scene.planes"), &seven(12, 8)).unwrap();
    let target = Image::U16(Raster::from_fn(12, 8, |x, y| [(700 * y + 51 * x) as u16]));
    write_image(&dir.path().join("trainB/scene.tiff"), &target).unwrap();
    let item = open(&config(dir.path())).unwrap().item(0, Key::new(0, Purpose::Augment)).unwrap();
    assert_eq!((item.name.as_str(), item.a.dims()), ("scene", &[7, 8, 12][..]));
    assert_eq!(image_from_tensor(&item.a, Depth::U16, Quantize::Round).unwrap(), seven(12, 8));
    assert_eq!(image_from_tensor(&item.b.unwrap(), Depth::U16, Quantize::Round).unwrap(), target);
    let report = inspect(&config(dir.path()), |_, _| ());
    assert!(report.problems.is_empty(), "{:?}", report.problems);
    let wrong = DataConfig { input_nc: 5, ..config(dir.path()) };
    let text = open(&wrong).unwrap().item(0, Key::new(0, Purpose::Augment)).unwrap_err().to_string();
    assert!(text.contains("7 channels and 5"), "{text}");
}
