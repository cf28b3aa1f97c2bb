//! Decoding: what is kept, what is refused, and that damage never panics.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use gan_data::{
    AlphaPolicy, DecodeLimits, DecodeOptions, Error, IdMap, Image, Raster, decode, decode_ids, probe, write_ids,
    write_image,
};
use tempfile::TempDir;

fn gradient(width: usize, height: usize) -> Raster<u8> {
    Raster::from_fn(width, height, |x, y| [(x * 9) as u8, (y * 11) as u8, (x * y) as u8])
}

fn deep(width: usize, height: usize) -> Raster<u16> {
    Raster::from_fn(width, height, |x, y| [(x * 2003) as u16, (y * 3001) as u16, (x * y * 7) as u16])
}

fn read(path: &Path) -> Image {
    decode(path, &DecodeOptions::default()).unwrap()
}

#[test]
fn lossless_formats_round_trip() {
    let dir = TempDir::new().unwrap();
    let eight = Image::U8(gradient(19, 13));
    for name in ["a.png", "a.bmp", "a.ppm", "a.tiff", "a.webp"] {
        let path = dir.path().join(name);
        write_image(&path, &eight).unwrap();
        assert_eq!(read(&path), eight, "{name}");
    }
    let sixteen = Image::U16(deep(19, 13));
    for name in ["b.png", "b.tiff"] {
        let path = dir.path().join(name);
        write_image(&path, &sixteen).unwrap();
        assert_eq!(read(&path), sixteen, "{name}");
        let header = probe(&path, &DecodeOptions::default()).unwrap();
        assert_eq!((header.width, header.height, header.channels, header.depth), (19, 13, 3, 16));
    }
    let leftovers = fs::read_dir(dir.path())
        .unwrap()
        .filter(|e| e.as_ref().unwrap().file_name().to_string_lossy().ends_with(".partial"));
    assert_eq!(leftovers.count(), 0);
}

#[test]
fn jpeg_is_close() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("a.jpg");
    let smooth = Raster::from_fn(64, 48, |x, y| [(x * 3) as u8, (y * 4) as u8, 128]);
    write_image(&path, &Image::U8(smooth.clone())).unwrap();
    let Image::U8(back) = read(&path) else { panic!("jpeg has 8 bits") };
    let worst = back.samples().iter().zip(smooth.samples()).map(|(a, b)| a.abs_diff(*b)).max();
    assert!(worst.unwrap() < 16, "{worst:?}");
}

#[test]
fn alpha_is_dropped_kept_or_laid_over_white() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("a.png");
    let rgba = Raster::new(2, 1, 4, vec![10, 20, 30, 0, 100, 100, 100, 51]);
    write_image(&path, &Image::U8(rgba.clone())).unwrap();
    let with = |alpha| decode(&path, &DecodeOptions { alpha, ..Default::default() }).unwrap();
    assert_eq!(with(AlphaPolicy::Keep), Image::U8(rgba));
    assert_eq!(with(AlphaPolicy::Drop), Image::U8(Raster::new(2, 1, 3, vec![10, 20, 30, 100, 100, 100])));
    let composite = vec![255, 255, 255, 224, 224, 224];
    assert_eq!(with(AlphaPolicy::Composite), Image::U8(Raster::new(2, 1, 3, composite)));
}

/// A PNG with its own palette, where index and colour differ.
fn palette_png(path: &Path, indices: &[u8], width: u32, height: u32, depth: png::BitDepth) {
    let mut encoder = png::Encoder::new(fs::File::create(path).unwrap(), width, height);
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_depth(depth);
    encoder.set_palette((0..=255u8).flat_map(|i| [255 - i, i / 2, 7]).collect::<Vec<_>>());
    encoder.write_header().unwrap().write_image_data(indices).unwrap();
}

#[test]
fn palette_label_maps_give_indices_and_images_give_colours() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("label.png");
    palette_png(&path, &[0, 1, 34, 255], 2, 2, png::BitDepth::Eight);
    let ids = decode_ids(&path, &DecodeOptions::default()).unwrap();
    assert_eq!(ids.raster().samples(), [0, 1, 34, 255]);
    assert_eq!(ids.first_not_below(35), Some((1, 1, 255)));
    let Image::U8(colours) = read(&path) else { panic!("palettes have 8 bits") };
    assert_eq!(colours.pixel(0, 1), [255 - 34, 17, 7]);
}

#[test]
fn packed_palettes_are_unpacked() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("label.png");
    palette_png(&path, &[0b0001_1011, 0b1100_0000, 0b1110_0100, 0b0100_0000], 5, 2, png::BitDepth::Two);
    let ids = decode_ids(&path, &DecodeOptions::default()).unwrap();
    assert_eq!(ids.raster().samples(), [0, 1, 2, 3, 3, 3, 2, 1, 0, 1]);
}

#[test]
fn sixteen_bit_ids_survive() {
    let dir = TempDir::new().unwrap();
    for name in ["inst.png", "inst.tiff"] {
        let path = dir.path().join(name);
        let ids = IdMap::new(Raster::new(2, 2, 1, vec![0, 33_001, 26_000, 65_535]));
        write_ids(&path, &ids).unwrap();
        assert_eq!(decode_ids(&path, &DecodeOptions::default()).unwrap(), ids, "{name}");
    }
    let too_large = IdMap::new(Raster::new(1, 1, 1, vec![65_536]));
    assert!(matches!(write_ids(&dir.path().join("x.png"), &too_large), Err(Error::Encode { .. })));
}

#[test]
fn colour_and_jpeg_are_not_label_maps() {
    let dir = TempDir::new().unwrap();
    for name in ["a.png", "a.jpg", "a.bmp"] {
        let path = dir.path().join(name);
        write_image(&path, &Image::U8(gradient(8, 8))).unwrap();
        let error = decode_ids(&path, &DecodeOptions::default()).unwrap_err();
        assert!(error.to_string().contains("PNG"), "{error}");
        assert!(error.to_string().contains(name), "{error}");
    }
}

/// A JPEG of 24x16 with an EXIF orientation spliced in after its start marker.
fn oriented_jpeg(path: &Path, orientation: u8) {
    write_image(path, &Image::U8(Raster::from_fn(24, 16, |x, _| [if x < 12 { 250 } else { 5 }; 3]))).unwrap();
    let mut bytes = fs::read(path).unwrap();
    let tiff = [b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0", &[orientation, 0, 0, 0][..], &[0; 4]].concat();
    let body = [&b"Exif\0\0"[..], &tiff].concat();
    let length = (body.len() as u16 + 2).to_be_bytes();
    bytes.splice(2..2, [&[0xff, 0xe1][..], &length, &body].concat());
    fs::write(path, bytes).unwrap();
}

#[test]
fn exif_orientation_is_honoured_unless_ignored() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("a.jpg");
    for orientation in 1..=8 {
        oriented_jpeg(&path, orientation);
        let upright = read(&path);
        let sideways = orientation >= 5;
        assert_eq!(upright.size(), if sideways { (16, 24) } else { (24, 16) }, "orientation {orientation}");
        let header = probe(&path, &DecodeOptions::default()).unwrap();
        assert_eq!((header.width as usize, header.height as usize), upright.size());
        let Image::U8(raster) = upright else { panic!("jpeg has 8 bits") };
        let bright_corner = raster.pixel(0, 0)[0] > 128;
        assert_eq!(bright_corner, matches!(orientation, 1 | 4 | 5 | 6), "orientation {orientation}");
        let raw = decode(&path, &DecodeOptions { exif: false, ..Default::default() }).unwrap();
        assert_eq!(raw.size(), (24, 16));
    }
}

#[test]
fn what_is_no_image_is_named() {
    let dir = TempDir::new().unwrap();
    let html = dir.path().join("page.jpg");
    fs::write(&html, "<!doctype html><title>404</title>").unwrap();
    let empty = dir.path().join("empty.png");
    fs::write(&empty, "").unwrap();
    let folder = dir.path().join("folder.png");
    fs::create_dir(&folder).unwrap();
    for path in [html, empty, folder, dir.path().join("missing.png")] {
        for result in
            [decode(&path, &DecodeOptions::default()).map(drop), decode_ids(&path, &DecodeOptions::default()).map(drop)]
        {
            let text = result.unwrap_err().to_string();
            assert!(text.contains(path.file_name().unwrap().to_str().unwrap()), "{text}");
        }
    }
}

#[test]
fn limits_hold_before_anything_is_allocated() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("a.png");
    write_image(&path, &Image::U8(gradient(100, 60))).unwrap();
    let limited = |limits| {
        let options = DecodeOptions { limits, ..Default::default() };
        (decode(&path, &options).is_ok(), matches!(decode(&path, &options), Err(Error::TooLarge { .. })))
    };
    assert_eq!(limited(DecodeLimits { max_pixels: 6000, ..Default::default() }), (true, false));
    assert_eq!(limited(DecodeLimits { max_pixels: 5999, ..Default::default() }), (false, true));
    assert_eq!(limited(DecodeLimits { max_side: 99, ..Default::default() }), (false, true));
    assert_eq!(limited(DecodeLimits { max_bytes: 17_999, ..Default::default() }), (false, true));
}

/// A PNG header that announces a huge image and holds nothing.
fn bomb(path: &Path, width: u32, height: u32) {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(png::ColorType::Grayscale);
    drop(encoder.write_header().unwrap());
    fs::write(path, bytes).unwrap();
}

#[test]
fn huge_headers_are_refused_at_once() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("bomb.png");
    for (width, height) in [(65_535, 65_535), (30_000, 30_000), (8_000, 8_000), (1, 70_000), (0x7fff_ffff, 1)] {
        bomb(&path, width, height);
        // The best of three tries: other tests run beside this one.
        let tries = (0..3).map(|_| {
            let start = Instant::now();
            assert!(decode(&path, &DecodeOptions::default()).is_err());
            assert!(decode_ids(&path, &DecodeOptions::default()).is_err());
            start.elapsed()
        });
        assert!(tries.min().unwrap() < Duration::from_millis(500));
    }
}

#[test]
fn truncations_are_errors_and_damage_never_panics() {
    let dir = TempDir::new().unwrap();
    let colour = Image::U8(gradient(23, 17));
    let files: Vec<PathBuf> =
        ["a.png", "a.jpg", "a.webp", "a.bmp", "a.ppm", "a.tiff"].iter().map(|n| dir.path().join(n)).collect();
    for file in &files {
        write_image(file, &colour).unwrap();
    }
    let label = dir.path().join("label.png");
    palette_png(&label, &[3; 64], 8, 8, png::BitDepth::Eight);
    for file in files.iter().chain([&label]) {
        let whole = fs::read(file).unwrap();
        // A new file every time: overwriting one makes some file systems wait for the disk.
        let fresh = |kind: &str, at: usize| {
            file.with_file_name(format!("{}-{kind}-{at}", file.file_name().unwrap().to_string_lossy()))
        };
        let step = (whole.len() / 97).max(1);
        // The last two bytes of a JPEG file are only its end marker.
        for length in (0..whole.len() - 2).step_by(step) {
            let cut = fresh("cut", length);
            fs::write(&cut, &whole[..length]).unwrap();
            assert!(decode(&cut, &DecodeOptions::default()).is_err(), "{} cut to {length}", file.display());
            assert!(decode_ids(&cut, &DecodeOptions::default()).is_err(), "{} cut to {length}", file.display());
        }
        // And bytes that lie.
        for at in (0..whole.len()).step_by(step) {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x5a;
            let cut = fresh("damaged", at);
            fs::write(&cut, &damaged).unwrap();
            let _ = decode(&cut, &DecodeOptions::default());
            let _ = decode_ids(&cut, &DecodeOptions::default());
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn pipes_are_refused_at_once() {
    let dir = TempDir::new().unwrap();
    let pipe = |name: &str| {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        path
    };
    let file = pipe("a.png");
    write_image(&dir.path().join("b.planes/0.png"), &Image::U8(Raster::zeros(2, 2, 1))).unwrap();
    let planes = pipe("b.planes/1.png").parent().unwrap().to_path_buf();
    let options = DecodeOptions::default();
    for result in
        [decode(&file, &options).map(drop), decode_ids(&file, &options).map(drop), decode(&planes, &options).map(drop)]
    {
        let text = result.unwrap_err().to_string();
        assert!(text.contains("named pipe"), "{text}");
    }
    assert!(probe(&file, &options).is_err());
}
