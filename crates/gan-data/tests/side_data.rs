//! Side data of images takes no memory worth mentioning, however large it is or would become.
#![allow(clippy::unwrap_used)]

use std::alloc::System;
use std::borrow::Cow;
use std::fs;
use std::path::Path;
use std::sync::Mutex;

use cap::Cap;
use gan_data::{DecodeOptions, Image, Raster, decode, decode_ids, probe, write_image};
use tempfile::TempDir;

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

/// The limit is the whole process's: one test at a time.
static ALONE: Mutex<()> = Mutex::new(());

/// What reading a file of a few pixels may take beside twice its size.
const FLOOR: usize = 4 << 20;

/// Reads a file where more memory than that aborts the process.
fn reads(path: &Path) -> Image {
    let options = DecodeOptions::default();
    let length = fs::metadata(path).unwrap().len() as usize;
    ALLOCATOR.set_limit(ALLOCATOR.allocated() + FLOOR + 2 * length).unwrap();
    let _ = decode_ids(path, &options);
    let header = probe(path, &options).unwrap();
    let image = decode(path, &options).unwrap();
    ALLOCATOR.set_limit(usize::MAX).unwrap();
    assert_eq!((header.width as usize, header.height as usize), image.size());
    image
}

#[test]
fn profiles_and_texts_are_not_read() {
    let _alone = ALONE.lock().unwrap();
    const LARGE: usize = 64 << 20;
    let dir = TempDir::new().unwrap();
    let raster = Raster::from_fn(24, 16, |x, y| [(x * 9) as u8, (y * 11) as u8, 7]);

    // A kilobyte that inflates to 64 MiB, thrice.
    let mut info = png::Info::with_size(24, 16);
    info.color_type = png::ColorType::Rgb;
    info.icc_profile = Some(Cow::Owned(vec![0; LARGE]));
    let path = dir.path().join("bomb.png");
    let mut encoder = png::Encoder::with_info(fs::File::create(&path).unwrap(), info).unwrap();
    encoder.add_ztxt_chunk("Comment".to_owned(), "a".repeat(LARGE)).unwrap();
    encoder.add_itxt_chunk("XML:com.adobe.xmp".to_owned(), "b".repeat(LARGE)).unwrap();
    encoder.write_header().unwrap().write_image_data(raster.samples()).unwrap();
    assert_eq!(reads(&path), Image::U8(raster.clone()));

    // 8 MiB of profile, in segments of 64 KiB, in front of the image.
    let path = dir.path().join("profile.jpg");
    write_image(&path, &Image::U8(raster)).unwrap();
    let plain = reads(&path);
    let segment = [&[0xff, 0xe2, 0xff, 0xff][..], b"ICC_PROFILE\0\x01\xff", &[0; 65_519]].concat();
    let mut bytes = fs::read(&path).unwrap();
    bytes.splice(2..2, segment.repeat(128));
    fs::write(&path, bytes).unwrap();
    assert_eq!(reads(&path), plain);
}

/// A TIFF of one grey pixel whose orientation is said to have 2^30 values.
#[test]
fn arrays_that_a_file_cannot_hold_are_refused() {
    let _alone = ALONE.lock().unwrap();
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("a.tif");
    let entry = |tag: u16, kind: u16, count: u32, value: u32| {
        [&tag.to_le_bytes()[..], &kind.to_le_bytes(), &count.to_le_bytes(), &value.to_le_bytes()].concat()
    };
    let entries = |orientations: u32, widths: u32| {
        let fields = [(256, 1), (257, 1), (258, 8), (259, 1), (262, 1), (273, 8)].map(|(tag, v)| entry(tag, 3, 1, v));
        let fields = [&entry(256, 3, widths, 1)[..], &fields[1..].concat()];
        let [rest @ .., length] =
            [entry(274, 3, orientations, 6), entry(277, 3, 1, 1), entry(278, 3, 1, 1), entry(279, 3, 1, 1)];
        [&b"II*\0\x0c\0\0\0\x50\0\0\0\x0a\0"[..], &fields.concat(), &rest.concat(), &length, &[0; 4]].concat()
    };
    fs::write(&path, entries(1, 1)).unwrap();
    assert_eq!(reads(&path), Image::U8(Raster::new(1, 1, 1, vec![0x50])));
    // An array that is not looked at here, and one that decoders read at once.
    for (orientations, widths) in [(1 << 30, 1), (1, 7 << 20)] {
        fs::write(&path, entries(orientations, widths)).unwrap();
        ALLOCATOR.set_limit(ALLOCATOR.allocated() + FLOOR).unwrap();
        let error = decode(&path, &DecodeOptions::default()).unwrap_err().to_string();
        ALLOCATOR.set_limit(usize::MAX).unwrap();
        assert!(error.contains("truncated"), "{error}");
    }
}
