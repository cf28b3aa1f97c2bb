//! Resampling against Pillow, to the bit.
#![allow(clippy::unwrap_used)]

use gan_data::{Depth, Filter, Image, Quantize, Raster, image_from_tensor, resize_nearest, resize_u8};
use md5::{Digest, Md5};

fn source() -> Raster<u8> {
    Raster::from_fn(120, 100, |x, y| [0, 1, 2].map(|c| (7 * x + 13 * y + 31 * c + (x * y) % 17) as u8))
}

#[track_caller]
fn assert_matches(raster: &Raster<u8>, size: (usize, usize), sum: u64, md5: &str) {
    assert_eq!((raster.height(), raster.width()), size);
    assert_eq!(raster.samples().iter().map(|&s| u64::from(s)).sum::<u64>(), sum);
    let digest: String = Md5::digest(raster.samples()).iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(digest, md5);
}

fn bicubic(width: usize, height: usize) -> Raster<u8> {
    resize_u8(&source(), width, height, Filter::Bicubic)
}

#[test]
fn source_is_the_agreed_one() {
    assert_matches(&source(), (100, 120), 4584080, "95f014c3f3f5b24a6f45b4e156277a36");
}

#[test]
fn bicubic_enlarges() {
    assert_matches(&bicubic(286, 286), (286, 286), 31247538, "010e9d9a0303c3c4289f053f7388d7ee");
}

#[test]
fn bicubic_shrinks_with_antialiasing() {
    assert_matches(&bicubic(64, 64), (64, 64), 1564710, "d6d252aeda3a2e6abadc36e55270b0dd");
}

#[test]
fn bilinear_shrinks_with_antialiasing() {
    let small = resize_u8(&source(), 64, 64, Filter::Bilinear);
    assert_matches(&small, (64, 64), 1564840, "42a00fb9d50f88bdd04d7e382d0d9d13");
}

#[test]
fn bicubic_to_a_width_of_200() {
    assert_matches(&bicubic(200, 166), (166, 200), 12683366, "79e8353c2dc2cab254d65fa777dd5d00");
}

#[test]
fn nearest_both_ways() {
    let large = resize_nearest(&source(), 286, 286);
    assert_matches(&large, (286, 286), 31256645, "65a8ec0cdcf67f202424b235099fc160");
    let small = resize_nearest(&source(), 50, 33);
    assert_matches(&small, (33, 50), 629223, "4e2dc7959ab9bf8fae4b1bd8b7b7cd20");
}

#[test]
fn grey_is_luma() {
    let Some(Image::U8(grey)) = Image::U8(source()).with_channels(1) else { panic!("8 bits stay 8 bits") };
    assert_matches(&grey, (100, 120), 1524713, "a8447b708e7157723d4f49d6a3aa4440");
}

#[test]
fn resize_crop_flip() {
    let mut cropped = bicubic(286, 286).crop(10, 20, 256, 256);
    cropped.flip_horizontal();
    assert_matches(&cropped, (256, 256), 25028993, "953338f119a8723235c3bac7ee3748cb");
}

#[test]
fn crop_beyond_the_edge() {
    let cropped = source().crop(50, 10, 110, 110);
    assert_matches(&cropped, (110, 110), 2413407, "468a5708747c8568eaa7c30f5902769c");
}

#[test]
fn tensor_and_back_as_the_reference_truncates() {
    let tensor = Image::U8(source()).to_tensor().unwrap();
    let Image::U8(back) = image_from_tensor(&tensor, Depth::U8, Quantize::Truncate).unwrap() else {
        panic!("asked for 8 bits")
    };
    assert_matches(&back, (100, 120), 4575212, "dc123b96fd463ff3cdbdeb3661b0a7cd");
}

#[test]
fn tensor_and_back_rounded_is_lossless() {
    let image = Image::U8(source());
    let tensor = image.to_tensor().unwrap();
    assert_eq!(image_from_tensor(&tensor, Depth::U8, Quantize::Round).unwrap(), image);
    let deep = Image::U16(Raster::from_fn(256, 256, |x, y| [(y * 256 + x) as u16]));
    let tensor = deep.to_tensor().unwrap();
    assert_eq!(image_from_tensor(&tensor, Depth::U16, Quantize::Round).unwrap(), deep);
}
