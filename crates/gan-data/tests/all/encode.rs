//! What written files hold.
#![allow(clippy::unwrap_used)]

use std::fs;

use gan_data::{
    DecodeOptions, Image, LabelsAs, Palette, Raster, decode, decode_ids, label_maps, side_by_side, write_ids,
    write_image,
};
use tempfile::TempDir;

fn colour() -> Image {
    Image::U8(Raster::from_fn(3, 2, |x, y| [x as u8, y as u8, 200]))
}

fn grey() -> Image {
    Image::U16(Raster::from_fn(3, 2, |x, y| [(1000 * x + y) as u16]))
}

#[test]
fn portable_maps_are_what_their_names_say() {
    let dir = TempDir::new().unwrap();
    let written = |name: &str, image: &Image| {
        let path = dir.path().join(name);
        write_image(&path, image)
            .map(|()| (fs::read(&path).unwrap(), decode(&path, &DecodeOptions::default()).unwrap()))
    };
    for (name, image, head) in [
        ("a.ppm", colour(), "P6\n3 2\n255\n"),
        ("a.pgm", grey(), "P5\n3 2\n65535\n"),
        ("b.pnm", grey(), "P5\n3 2\n65535\n"),
        ("c.pnm", colour(), "P6\n3 2\n255\n"),
    ] {
        let (bytes, read) = written(name, &image).unwrap();
        assert!(bytes.starts_with(head.as_bytes()), "{name}");
        assert_eq!(read, image, "{name}");
    }
    // Grey in a file for colour is grey in colour.
    let (bytes, read) = written("d.ppm", &grey()).unwrap();
    assert!(bytes.starts_with(b"P6") && read == grey().with_channels(3).unwrap());
    assert!(written("e.pgm", &colour()).unwrap_err().to_string().contains("write a .ppm"));
    let alpha = Image::U8(Raster::zeros(2, 2, 4));
    assert!(written("f.ppm", &alpha).unwrap_err().to_string().contains(".png"));
    assert!(!dir.path().join("f.ppm").exists());
}

#[test]
fn arrays_are_what_numpy_reads() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("a.npy");
    for (image, head) in [
        (
            Image::U8(Raster::from_fn(3, 2, |x, y| [x as u8, y as u8, 9, 8, 7])),
            "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 3, 5), }",
        ),
        (grey(), "{'descr': '<u2', 'fortran_order': False, 'shape': (2, 3), }"),
    ] {
        write_image(&path, &image).unwrap();
        let bytes = fs::read(&path).unwrap();
        let start = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
        assert_eq!((&bytes[..8], start % 64, bytes[start - 1]), (&b"\x93NUMPY\x01\0"[..], 0, b'\n'));
        assert!(bytes[10..].starts_with(head.as_bytes()));
        let samples = match image {
            Image::U8(raster) => raster.samples().to_vec(),
            Image::U16(raster) => raster.samples().iter().flat_map(|s| s.to_le_bytes()).collect(),
        };
        assert_eq!(bytes[start..], samples);
    }
    let five = Image::U8(Raster::zeros(2, 2, 5));
    assert!(write_image(&dir.path().join("b.png"), &five).unwrap_err().to_string().contains(".tiff, a .npy"));
}

#[test]
fn fewer_planes_leave_no_old_ones() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("a.planes");
    let planes = |count| Image::U8(Raster::zeros(2, 2, count));
    write_image(&path, &planes(6)).unwrap();
    write_image(&path, &planes(5)).unwrap();
    assert_eq!(decode(&path, &DecodeOptions::default()).unwrap(), planes(5));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "something was left");
    fs::write(path.join("notes.txt"), "mine").unwrap();
    assert!(write_image(&path, &planes(3)).unwrap_err().to_string().contains("notes.txt"));
    assert_eq!((fs::read_dir(&path).unwrap().count(), fs::read_dir(dir.path()).unwrap().count()), (6, 1));
}

#[test]
fn images_stand_side_by_side() {
    let (left, right) =
        (Image::U8(Raster::new(1, 1, 1, vec![7])), Image::U8(Raster::new(2, 1, 3, vec![1, 2, 3, 4, 5, 6])));
    let row = side_by_side(vec![left, right.clone(), right], "x".as_ref()).unwrap();
    assert_eq!(row, Image::U8(Raster::new(5, 1, 3, vec![7, 7, 7, 1, 2, 3, 4, 5, 6, 1, 2, 3, 4, 5, 6])));
    let deep = side_by_side(
        vec![Image::U8(Raster::new(1, 1, 1, vec![255])), Image::U16(Raster::new(1, 1, 1, vec![9]))],
        "x".as_ref(),
    );
    assert_eq!(deep.unwrap(), Image::U16(Raster::new(2, 1, 1, vec![65_535, 9])));
    assert!(side_by_side(vec![colour(), Image::U8(Raster::zeros(3, 3, 3))], "x".as_ref()).is_err());
}

#[test]
fn levels_of_equal_colours_are_ids() {
    let dir = TempDir::new().unwrap();
    let at = |name: &str| dir.path().join(name);
    let rgb = DecodeOptions { labels_as: LabelsAs::Rgb, ..Default::default() };
    write_image(&at("a.png"), &Image::U8(Raster::new(2, 1, 3, vec![4, 4, 4, 255, 255, 255]))).unwrap();
    write_image(&at("b.png"), &Image::U8(Raster::new(2, 1, 3, vec![4, 4, 4, 4, 5, 4]))).unwrap();
    write_ids(&at("c.png"), &decode_ids(&at("a.png"), &rgb).unwrap()).unwrap();
    for options in [rgb, DecodeOptions::default()] {
        assert_eq!(decode_ids(&at("c.png"), &options).unwrap().raster().samples(), [4, 255]);
    }
    // Grey of four bits is not stretched to levels of eight.
    let mut encoder = png::Encoder::new(fs::File::create(at("d.png")).unwrap(), 2, 1);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::Four);
    encoder.write_header().unwrap().write_image_data(&[0x3f]).unwrap();
    assert_eq!(decode_ids(&at("d.png"), &rgb).unwrap().raster().samples(), [3, 15]);
    let said = decode_ids(&at("a.png"), &DecodeOptions::default()).unwrap_err().to_string();
    assert!(said.contains("in colour") && said.contains("labels_as = \"rgb\""), "{said}");
    let said = decode_ids(&at("b.png"), &rgb).unwrap_err().to_string();
    assert!(said.contains("x=1, y=0 it holds 4, 5, 4"), "{said}");
}

#[test]
fn maps_in_colour_become_label_maps() {
    let dir = TempDir::new().unwrap();
    let (maps, out) = (dir.path().join("maps"), dir.path().join("out"));
    let palette = Palette::parse("p".as_ref(), b"0,0,0,0\n7,9,8,7\n").unwrap();
    write_image(&maps.join("a.png"), &Image::U8(Raster::new(2, 1, 3, vec![9, 8, 7, 0, 0, 0]))).unwrap();
    write_image(&maps.join("sub/b.png"), &Image::U8(Raster::new(2, 1, 3, vec![9, 8, 6, 0, 0, 0]))).unwrap();
    let make = |nearest| label_maps(&maps, &out, &palette, nearest, &DecodeOptions::default(), |_, _| ());
    let said = make(false).unwrap_err().to_string();
    assert!(
        said.contains("1 of 2")
            && said.contains("b.png: colours that are not in the palette")
            && said.contains("9,8,6 (1 px, first at x=0, y=0)"),
        "{said}"
    );
    assert_eq!(decode_ids(&out.join("a.png"), &DecodeOptions::default()).unwrap().raster().samples(), [7, 0]);
    let made = make(true).unwrap();
    assert_eq!(made.notes, ["1 pixels of 1 maps had colours that are not in the palette; the nearest was taken"]);
    assert_eq!(decode_ids(&out.join("sub/b.png"), &DecodeOptions::default()).unwrap().raster().samples(), [7, 0]);
}
