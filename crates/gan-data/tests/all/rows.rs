//! Images read in rows are those that are decoded as a whole, and are refused where these are.

use std::fs;
use std::path::{Path, PathBuf};

use gan_data::{
    AlphaPolicy, DecodeLimits, DecodeOptions, IdRowReader, Image, LabelsAs, Raster, Result, RowReader, decode,
    decode_ids, write_image,
};
use tempfile::TempDir;
use tiff::encoder::{Compression, TiffEncoder, colortype};

fn keep() -> DecodeOptions {
    DecodeOptions { alpha: AlphaPolicy::Keep, ..DecodeOptions::default() }
}

/// All rows in bands of so many; `None` for a file that is not read in rows.
fn in_bands(path: &Path, options: &DecodeOptions, count: usize) -> Result<Option<Image>> {
    let Some(mut reader) = RowReader::open(path, options)? else { return Ok(None) };
    let header = reader.header();
    let (width, height) = (header.width as usize, header.height as usize);
    let (mut eight, mut sixteen) = (Vec::new(), Vec::new());
    for first in (0..height).step_by(count) {
        match reader.read(&(first..height.min(first + count)))? {
            Image::U8(rows) => eight.extend_from_slice(rows.samples()),
            Image::U16(rows) => sixteen.extend_from_slice(rows.samples()),
        }
    }
    let channels = header.channels.into();
    Ok(Some(match header.depth {
        8 => Image::U8(Raster::new(width, height, channels, eight)),
        _ => Image::U16(Raster::new(width, height, channels, sixteen)),
    }))
}

/// Holds a file in rows against the whole; returns whether it is read in rows.
fn assert_same(path: &Path, options: &DecodeOptions) -> bool {
    let mut read = false;
    for count in [1, 7, 1000] {
        if let Some(image) = in_bands(path, options, count).unwrap() {
            assert!(image == decode(path, options).unwrap(), "{} in bands of {count}", path.display());
            read = true;
        }
    }
    if let Ok(Some(mut reader)) = IdRowReader::open(path, options) {
        let whole = decode_ids(path, options).unwrap();
        let (width, height) = reader.size();
        assert_eq!(whole.size(), (width, height));
        // Any order: the last row, then the first ones.
        for rows in [height - 1..height, 0..height.min(3), 0..height] {
            let ids = reader.read(&rows).unwrap();
            assert!(ids == whole.crop(0, rows.start, width, rows.len()), "{}: rows {rows:?}", path.display());
        }
    }
    read
}

fn noise(count: usize) -> Vec<u16> {
    (0..count as u64).map(|i| (i * i * 2_654_435_761 % 65_521) as u16).collect()
}

/// A file for each kind of image that is written here.
fn written(folder: &Path) -> Vec<PathBuf> {
    let (width, height) = (37, 29);
    let mut files = Vec::new();
    for channels in 1..=4 {
        let deep = noise(width * height * channels);
        let eight: Vec<u8> = deep.iter().map(|&v| v as u8).collect();
        for (depth, image) in [
            (8, Image::U8(Raster::new(width, height, channels, eight))),
            (16, Image::U16(Raster::new(width, height, channels, deep))),
        ] {
            for extension in ["png", "tif"] {
                let path = folder.join(format!("{channels}-{depth}.{extension}"));
                write_image(&path, &image).unwrap();
                files.push(path);
            }
        }
    }
    files
}

/// A PNG of samples of few bits, with a palette if there are colours.
fn packed_png(path: &Path, bits: png::BitDepth, palette: Option<(Vec<u8>, Vec<u8>)>) {
    let (width, height) = (21u32, 9u32);
    let mut encoder = png::Encoder::new(fs::File::create(path).unwrap(), width, height);
    encoder.set_depth(bits);
    encoder.set_color(png::ColorType::Grayscale);
    let mut largest = 255u8 >> (8 - bits as usize);
    if let Some((colours, alpha)) = palette {
        encoder.set_color(png::ColorType::Indexed);
        largest = largest.min((colours.len() / 3 - 1) as u8);
        encoder.set_palette(colours);
        encoder.set_trns(alpha);
    }
    let row = (width as usize * bits as usize).div_ceil(8);
    let per_byte = 8 / bits as usize;
    let count = usize::from(largest) + 1;
    let byte = |i: usize| (0..per_byte).fold(0, |byte, k| (byte << bits as usize) | ((i * 5 + k * 3) % count));
    let data: Vec<u8> = (0..row * height as usize).map(|i| byte(i) as u8).collect();
    encoder.write_header().unwrap().write_image_data(&data).unwrap();
}

/// A TIFF of three channels in tiles of 16 x 16, or of planes in tiles, of either size of offsets.
fn tiled_tiff(big: bool, planes: bool, (width, height): (usize, usize)) -> Vec<u8> {
    let (across, down) = (width.div_ceil(16), height.div_ceil(16));
    let value = |x: usize, y: usize, c: usize| (x * 7 + y * 13 + c * 101) as u8;
    let mut tiles: Vec<Vec<u8>> = Vec::new();
    let channels: Vec<Vec<usize>> = if planes { (0..3).map(|c| vec![c]).collect() } else { vec![vec![0, 1, 2]] };
    for channels in &channels {
        for tile in 0..across * down {
            let (left, top) = (tile % across * 16, tile / across * 16);
            let pixels = (0..256).map(|i| (left + i % 16, top + i / 16));
            tiles.push(pixels.flat_map(|(x, y)| channels.iter().map(move |&c| value(x, y, c))).collect());
        }
    }
    let wide = if big { 8 } else { 4 };
    let number = |value: u64, width: usize| value.to_le_bytes()[..width].to_vec();
    let mut fields: Vec<(u16, u16, Vec<u64>)> = vec![
        (256, 4, vec![width as u64]),
        (257, 4, vec![height as u64]),
        (258, 3, vec![8; 3]),
        (259, 3, vec![1]),
        (262, 3, vec![2]),
        (277, 3, vec![3]),
        (284, 3, vec![if planes { 2 } else { 1 }]),
        (322, 3, vec![16]),
        (323, 3, vec![16]),
        (324, if big { 16 } else { 4 }, vec![0; tiles.len()]),
        (325, 4, tiles.iter().map(|tile| tile.len() as u64).collect()),
    ];
    let size = |kind: u16| match kind {
        3 => 2,
        4 => 4,
        _ => 8,
    };
    let (head, entry) = if big { (24, 20) } else { (10, 12) };
    let lists = head + fields.len() * entry + wide;
    let outside = |(_, kind, values): &(u16, u16, Vec<u64>)| {
        Some(size(*kind) * values.len()).filter(|length| *length > wide).unwrap_or(0)
    };
    let mut at = (lists + fields.iter().map(outside).sum::<usize>()) as u64;
    for (place, tile) in fields[9].2.iter_mut().zip(&tiles) {
        *place = at;
        at += tile.len() as u64;
    }
    let mut bytes = match big {
        true => [&b"II\x2b\0\x08\0\0\0"[..], &number(16, 8), &number(fields.len() as u64, 8)].concat(),
        false => [&b"II*\0"[..], &number(8, 4), &number(fields.len() as u64, 2)].concat(),
    };
    let mut list = Vec::new();
    for (tag, kind, values) in &fields {
        bytes.extend([number((*tag).into(), 2), number((*kind).into(), 2), number(values.len() as u64, wide)].concat());
        let content: Vec<u8> = values.iter().flat_map(|&value| number(value, size(*kind))).collect();
        if content.len() > wide {
            bytes.extend(number((lists + list.len()) as u64, wide));
            list.extend(content);
        } else {
            bytes.extend(content.iter().copied().chain([0; 8]).take(wide));
        }
    }
    bytes.extend(vec![0; wide]);
    bytes.extend(list);
    bytes.extend(tiles.concat());
    bytes
}

/// Files of every kind that is read in rows.
fn readable(folder: &Path) -> Vec<PathBuf> {
    let mut files = written(folder);
    let palette = |count: u8| ((0..3 * count).map(|i| i.wrapping_mul(37)).collect::<Vec<u8>>(), vec![255, 128, 0]);
    for (name, bits, colours) in [
        ("grey1", png::BitDepth::One, None),
        ("grey2", png::BitDepth::Two, None),
        ("grey4", png::BitDepth::Four, None),
        ("palette4", png::BitDepth::Four, Some(palette(11))),
        ("palette8", png::BitDepth::Eight, Some(palette(60))),
    ] {
        files.push(folder.join(format!("{name}.png")));
        packed_png(&files[files.len() - 1], bits, colours);
    }
    for (name, big) in [("tiles", false), ("big-tiles", true)] {
        files.push(folder.join(format!("{name}.tif")));
        fs::write(&files[files.len() - 1], tiled_tiff(big, false, (45, 37))).unwrap();
    }
    let samples: Vec<u8> = noise(40 * 30 * 3).iter().map(|&v| v as u8).collect();
    for (name, compression) in [("deflate", Compression::Deflate(Default::default())), ("lzw", Compression::Lzw)] {
        files.push(folder.join(format!("{name}.tif")));
        let file = fs::File::create(&files[files.len() - 1]).unwrap();
        let mut encoder = TiffEncoder::new_big(file).unwrap().with_compression(compression);
        let mut image = encoder.new_image::<colortype::RGB8>(40, 30).unwrap();
        image.rows_per_strip(7).unwrap();
        image.write_data(&samples).unwrap();
    }
    files
}

#[test]
fn every_kind_of_file() {
    let folder = TempDir::new().unwrap();
    for path in readable(folder.path()) {
        assert!(assert_same(&path, &keep()), "{} is not read in rows", path.display());
        for alpha in [AlphaPolicy::Drop, AlphaPolicy::Composite] {
            assert_same(&path, &DecodeOptions { alpha, ..keep() });
        }
    }
    // Tiles of planes are decoded as a whole.
    for big in [false, true] {
        let path = folder.path().join("planes.tif");
        fs::write(&path, tiled_tiff(big, true, (45, 37))).unwrap();
        assert!(!assert_same(&path, &keep()));
    }
    // The fixtures of whole images, whether they are read in rows or not.
    let whole = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/whole");
    let read: Vec<String> = fs::read_dir(whole)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| assert_same(path, &DecodeOptions::default()))
        .map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
        .collect();
    assert!(["lzw.tif", "pages.tif", "palette.tif", "animated.png"].iter().all(|name| read.contains(&(*name).into())));
}

#[test]
fn pages_and_levels() {
    let whole = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/whole/pages.tif");
    for page in 0..3 {
        let options = DecodeOptions { page, ..keep() };
        match decode(&whole, &options) {
            Ok(_) => assert!(assert_same(&whole, &options), "page {page}"),
            Err(error) => assert_eq!(in_bands(&whole, &options, 9).unwrap_err().to_string(), error.to_string()),
        }
    }
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("levels.png");
    let grey: Vec<u8> = (0..60u8).flat_map(|v| [v, v, v]).collect();
    let mut raster = Raster::new(6, 10, 3, grey);
    write_image(&path, &Image::U8(raster.clone())).unwrap();
    let rgb = DecodeOptions { labels_as: LabelsAs::Rgb, ..keep() };
    let ids = IdRowReader::open(&path, &rgb).unwrap().unwrap().read(&(4..6)).unwrap();
    assert_eq!(ids, decode_ids(&path, &rgb).unwrap().crop(0, 4, 6, 2));
    // Colours are no ids, and the place of the first is told.
    raster.pixel_mut(5, 7)[1] = 200;
    write_image(&path, &Image::U8(raster)).unwrap();
    let told = IdRowReader::open(&path, &rgb).unwrap().unwrap().read(&(6..9)).unwrap_err().to_string();
    assert_eq!(told, decode_ids(&path, &rgb).unwrap_err().to_string());
    assert!(IdRowReader::open(&path, &keep()).is_err());
}

#[test]
fn what_lacks_a_part_is_refused() {
    let folder = TempDir::new().unwrap();
    let cut = folder.path().join("cut");
    for path in readable(folder.path()) {
        let bytes = fs::read(&path).unwrap();
        for length in (0..bytes.len()).step_by(bytes.len() / 40 + 1) {
            fs::write(&cut, &bytes[..length]).unwrap();
            let rows = in_bands(&cut, &keep(), 4);
            assert!(
                decode(&cut, &keep()).is_err() && !matches!(rows, Ok(Some(_))),
                "{length} bytes of {}",
                path.display()
            );
        }
        // A byte of the pixels: PNG has checksums.
        if path.extension().is_some_and(|extension| extension == "png") {
            let mut damaged = bytes.clone();
            let at = bytes.len() - 30;
            damaged[at] ^= 0x55;
            fs::write(&cut, damaged).unwrap();
            assert_eq!(decode(&cut, &keep()).is_err(), in_bands(&cut, &keep(), 4).is_err(), "{}", path.display());
        }
    }
}

#[test]
fn rows_of_any_order_and_a_file_that_changes() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.png");
    let image = Image::U8(Raster::from_fn(30, 200, |x, y| [(x * y) as u8, x as u8, y as u8]));
    write_image(&path, &image).unwrap();
    let mut reader = RowReader::open(&path, &keep()).unwrap().unwrap();
    for rows in [150..160, 20..31, 31..32, 199..200, 0..200] {
        assert!(reader.read(&rows).unwrap() == image.crop(0, rows.start, 30, rows.len()), "{rows:?}");
    }
    // Somebody writes to it.
    let file = fs::OpenOptions::new().append(true).open(&path).unwrap();
    std::io::Write::write_all(&mut &file, b"more").unwrap();
    let error = reader.read(&(0..1)).unwrap_err().to_string();
    assert!(error.contains("written to while it was read"), "{error}");
}

#[test]
fn limits_are_those_of_the_whole() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.png");
    write_image(&path, &Image::U8(Raster::zeros(300, 200, 3))).unwrap();
    for limits in [
        DecodeLimits { max_pixels: 59_999, ..DecodeLimits::default() },
        DecodeLimits { max_side: 299, ..DecodeLimits::default() },
        DecodeLimits { max_bytes: 100_000, ..DecodeLimits::default() },
    ] {
        let options = DecodeOptions { limits, ..keep() };
        let error = RowReader::open(&path, &options).err().unwrap().to_string();
        assert_eq!(error, decode(&path, &options).unwrap_err().to_string());
    }
}
