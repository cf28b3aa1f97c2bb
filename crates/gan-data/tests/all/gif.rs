//! GIF: the first image, whole. The files of `whole/` were written by Pillow, and each has a PNG of what Pillow reads.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use gan_data::{AlphaPolicy, DecodeOptions, Image, decode, decode_ids, list_images, pages, probe};
use tempfile::TempDir;

fn whole(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/whole").join(name)
}

#[test]
fn the_first_image_is_what_others_read() {
    let options = DecodeOptions { alpha: AlphaPolicy::Keep, ..Default::default() };
    for (name, frames) in [("interlaced.gif", 1), ("animated.gif", 3), ("transparent.gif", 1), ("palette.tif", 1)] {
        let (path, twin) = (whole(name), whole(&format!("{name}.png")));
        let image = decode(&path, &options).unwrap();
        assert_eq!(visible(&image), visible(&decode(&twin, &options).unwrap()), "{name}");
        let (header, (width, height)) = (probe(&path, &options).unwrap(), image.size());
        assert_eq!(
            (header.width as usize, header.height as usize, usize::from(header.channels)),
            (width, height, image.channels())
        );
        assert_eq!(pages(&fs::read(&path).unwrap()), frames, "{name}");
    }
    assert_eq!(decode(&whole("transparent.gif"), &DecodeOptions::default()).unwrap().channels(), 3);
    assert!(decode_ids(&whole("interlaced.gif"), &options).unwrap_err().to_string().contains("ids"));
}

/// Pixels, black where they are transparent.
fn visible(image: &Image) -> Vec<Vec<u8>> {
    let Image::U8(raster) = image else { panic!("GIF has 8 bits") };
    let pixels = raster.samples().chunks_exact(raster.channels());
    pixels.map(|p| if p.get(3) == Some(&0) { vec![0; 4] } else { p.to_vec() }).collect()
}

/// A GIF of a canvas, a background and an image at a place, of the colours black, red, green and blue.
fn gif(canvas: [u8; 2], background: u8, [left, top, width, height]: [u8; 4], data: &[u8]) -> Vec<u8> {
    let palette = [0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0, 255];
    let head = [b"GIF89a".as_slice(), &[canvas[0], 0, canvas[1], 0, 0x81, background, 0], &palette].concat();
    let image = [b',', left, 0, top, 0, width, 0, height, 0, 0];
    [&head, &image[..], &[2, data.len() as u8], data, &[0, b';']].concat()
}

#[test]
fn an_image_may_be_smaller_than_its_canvas() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("a.gif");
    // Codes of three bits: 4 clears, 5 ends.
    let codes = |codes: &[u16]| {
        let bits = codes.iter().enumerate().fold(0u32, |bits, (at, &code)| bits | u32::from(code) << (3 * at));
        bits.to_le_bytes()[..(3 * codes.len()).div_ceil(8)].to_vec()
    };
    fs::write(&path, gif([3, 2], 2, [1, 1, 2, 1], &codes(&[4, 1, 3, 5]))).unwrap();
    let keep = DecodeOptions { alpha: AlphaPolicy::Keep, ..Default::default() };
    let Image::U8(image) = decode(&path, &keep).unwrap() else { panic!() };
    assert_eq!(
        (image.size(), image.pixel(0, 0), image.pixel(1, 1)),
        ((3, 2), &[0, 255, 0, 0][..], &[255, 0, 0, 255][..])
    );
    assert_eq!(image.pixel(2, 1), [0, 0, 255, 255]);
    // A canvas that is too small grows; codes that end early, and colours that are not there, are refused.
    fs::write(&path, gif([0, 0], 0, [0, 0, 2, 1], &codes(&[4, 1, 3, 5]))).unwrap();
    assert_eq!(decode(&path, &keep).unwrap().size(), (2, 1));
    for (data, word) in [(codes(&[4, 1, 5]), "truncated"), (vec![], "truncated")] {
        fs::write(&path, gif([2, 1], 0, [0, 0, 2, 1], &data)).unwrap();
        let said = decode(&path, &keep).unwrap_err().to_string();
        assert!(said.contains(word) && said.contains("a.gif"), "{said}");
    }
    fs::write(dir.path().join("b.GIF"), "").unwrap();
    assert_eq!(list_images(dir.path(), &gan_data::Exclude::none()).unwrap().files.len(), 2);
}
