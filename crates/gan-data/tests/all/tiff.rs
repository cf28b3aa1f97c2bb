//! Kinds of TIFF: palettes, integers with a sign or of 32 bits, floating point, pages, many channels.
#![allow(clippy::unwrap_used)]

use std::fs::File;
use std::path::{Path, PathBuf};

use gan_data::{DecodeOptions, Image, Raster, decode, decode_ids, pages, probe, tiff_pages, write_image};
use tempfile::TempDir;
use tiff::encoder::TiffEncoder;
use tiff::encoder::colortype::{ColorType, Gray32, Gray32Float, Gray64Float, GrayI8, GrayI16, GrayI32, RGB32Float};
use tiff::tags::Tag;

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Folder(TempDir::new().unwrap())
    }

    /// A TIFF of one row, with black and white if they are given.
    fn file<C: ColorType>(&self, name: &str, samples: &[C::Inner], range: Option<(f64, f64)>) -> PathBuf
    where
        [C::Inner]: tiff::encoder::TiffValue,
    {
        let path = self.0.path().join(name);
        let mut encoder = TiffEncoder::new(File::create(&path).unwrap()).unwrap();
        let width = samples.len() / C::SAMPLE_FORMAT.len();
        let mut image = encoder.new_image::<C>(width as u32, 1).unwrap();
        if let Some((low, high)) = range {
            image.encoder().write_tag(Tag::SMinSampleValue, low).unwrap();
            image.encoder().write_tag(Tag::SMaxSampleValue, high).unwrap();
        }
        image.write_data(samples).unwrap();
        path
    }
}

fn levels(path: &Path) -> Vec<u16> {
    let header = probe(path, &DecodeOptions::default()).unwrap();
    let Image::U16(raster) = decode(path, &DecodeOptions::default()).unwrap() else { panic!("{}", path.display()) };
    assert_eq!((header.depth, usize::from(header.channels)), (16, raster.channels()));
    raster.samples().to_vec()
}

#[track_caller]
fn refused(path: &Path, words: &[&str]) {
    let said = decode(path, &DecodeOptions::default()).unwrap_err().to_string();
    assert!(words.iter().all(|word| said.contains(word)), "{said}");
}

#[test]
fn every_kind_becomes_levels_of_sixteen_bits() {
    let at = Folder::new();
    assert_eq!(levels(&at.file::<GrayI16>("a.tif", &[-32_768, 0, 32_767], None)), [0, 32_768, 65_535]);
    assert_eq!(levels(&at.file::<GrayI8>("b.tif", &[-128, 0, 127], None)), [0, 128 * 257, 65_535]);
    assert_eq!(levels(&at.file::<GrayI32>("c.tif", &[-11_000, 25_200], None)), [21_768, 57_968]);
    assert_eq!(levels(&at.file::<Gray32>("d.tif", &[0, 1000, 65_535], None)), [0, 1000, 65_535]);
    assert_eq!(levels(&at.file::<Gray32Float>("e.tif", &[0.0, 0.5, 1.0], None)), [0, 32_768, 65_535]);
    assert_eq!(levels(&at.file::<Gray64Float>("f.tif", &[0.25], None)), [16_384]);
    assert_eq!(levels(&at.file::<RGB32Float>("g.tif", &[0.0, 0.2, 1.0], None)), [0, 13_107, 65_535]);
    // Black and white as the file says.
    assert_eq!(levels(&at.file::<GrayI16>("h.tif", &[-1000, 0, 3000], Some((-1000.0, 3000.0)))), [0, 16_384, 65_535]);
    assert_eq!(levels(&at.file::<Gray32Float>("i.tif", &[-4.0, 4.0], Some((-4.0, 4.0)))), [0, 65_535]);
}

#[test]
fn values_without_black_and_white_are_refused() {
    let at = Folder::new();
    refused(&at.file::<Gray32Float>("a.tif", &[0.0, 200.5], None), &["0 to 200.5", "SMaxSampleValue", "x=1, y=0"]);
    refused(&at.file::<Gray32Float>("b.tif", &[f32::NAN, 0.5], None), &["first NaN at x=0"]);
    refused(&at.file::<Gray32>("c.tif", &[7, 65_536], None), &["65536", "SMaxSampleValue"]);
    refused(&at.file::<GrayI16>("d.tif", &[0, 200], None), &["0 to 200", "next to nothing", "8- or 16-bit PNG"]);
    refused(&at.file::<GrayI16>("e.tif", &[0, 200], Some((0.0, 100.0))), &["0 to 100 can be read"]);
    assert_eq!(levels(&at.file::<GrayI16>("f.tif", &[0, 0], None)), [32_768; 2]);
}

#[test]
fn label_maps_may_be_of_any_integers() {
    let at = Folder::new();
    let ids = |path: &Path| decode_ids(path, &DecodeOptions::default()).map(|ids| ids.raster().samples().to_vec());
    assert_eq!(ids(&at.file::<GrayI32>("a.tif", &[0, 26_001, 70_000], None)).unwrap(), [0, 26_001, 70_000]);
    assert_eq!(ids(&at.file::<GrayI16>("b.tif", &[3, 200], None)).unwrap(), [3, 200]);
    for path in [at.file::<GrayI16>("c.tif", &[3, -1], None), at.file::<Gray32Float>("d.tif", &[0.5], None)] {
        assert!(ids(&path).unwrap_err().to_string().contains("save it as PNG"));
    }
    // The indices of a palette, as in PNG.
    let palette = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/whole/palette.tif");
    assert!(ids(&palette).unwrap().into_iter().max().unwrap() < 40);
}

#[test]
fn pages_are_chosen() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/whole/pages.tif");
    let count = tiff_pages(&path);
    assert!(count > 1 && count == pages(&std::fs::read(&path).unwrap()));
    let page = |page| decode(&path, &DecodeOptions { page, ..Default::default() });
    let all: Vec<Image> = (0..count).map(|at| page(at).unwrap()).collect();
    assert!(all[0] != all[1] && all[0] == decode(&path, &DecodeOptions::default()).unwrap());
    let said = page(count).unwrap_err().to_string();
    assert!(said.contains(&format!("page {} was asked for, and it has {count}", count + 1)), "{said}");
    let png = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/whole/palette.tif.png");
    assert!(decode(&png, &DecodeOptions { page: 1, ..Default::default() }).is_err());
    assert_eq!(tiff_pages(&png), 1);
}

#[test]
fn many_channels_are_pages() {
    let at = Folder::new();
    for image in [
        Image::U8(Raster::from_fn(4, 3, |x, y| [x as u8, y as u8, 3, 4, 5])),
        Image::U16(Raster::from_fn(4, 3, |x, y| [900 * x as u16, y as u16, 3, 4, 5])),
    ] {
        let path = at.0.path().join("a.tiff");
        write_image(&path, &image).unwrap();
        assert_eq!(tiff_pages(&path), 5);
        let planes: Vec<Image> =
            (0..5).map(|page| decode(&path, &DecodeOptions { page, ..Default::default() }).unwrap()).collect();
        let channel = |at: usize| match &image {
            Image::U8(raster) => Image::U8(raster.channel(at)),
            Image::U16(raster) => Image::U16(raster.channel(at)),
        };
        assert_eq!(planes, (0..5).map(channel).collect::<Vec<_>>());
    }
}
