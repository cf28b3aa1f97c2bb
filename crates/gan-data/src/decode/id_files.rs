//! Reading label and instance maps: the stored integers, never the colours they stand for.

use std::fmt::Display;
use std::io::Cursor;
use std::path::Path;

use image::ImageFormat;
use image::metadata::Orientation;

use super::flaw::Flaw;
use super::limits::MOST_EXPANSION;
use super::source::Source;
use super::tiff::Uncommon;
use super::{DecodeOptions, LabelsAs, REPLACE, header, source, stored};
use crate::dynamic_image::Image;
use crate::error::{Error, Result};
use crate::ids::IdMap;
use crate::raster::Raster;

/// Reads a map of integer ids: grey samples as stored, the *indices* of a palette (PNG, TIFF), or with [`LabelsAs::Rgb`] the level of
/// colours, those of palettes included, whose red, green and blue are equal.
///
/// # Errors
/// As [`super::decode`]; and [`Error::Decode`] for other colour images and for JPEG, which changes ids.
pub fn decode_ids(path: &Path, options: &DecodeOptions) -> Result<IdMap> {
    decode_ids_bytes(path, &options.limits.read(path)?, options)
}

/// Decodes a map that was read already, as [`decode_ids`] does; `path` is for messages.
///
/// # Errors
/// As [`decode_ids`].
pub fn decode_ids_bytes(path: &Path, bytes: &[u8], options: &DecodeOptions) -> Result<IdMap> {
    let (source, format) = source(path, bytes, options)?;
    if format == ImageFormat::Jpeg {
        return Err(Error::decode(path, "JPEG compression changes ids", "export the map as PNG"));
    }
    if options.labels_as == LabelsAs::Rgb && header(path, &source.bytes, format, &options.limits)?.channels > 2 {
        return from_levels(path, &source, format, options);
    }
    match format {
        ImageFormat::Png => from_png(path, &source, options),
        _ => from_grey(path, &source, format, options),
    }
}

/// PNG is read without the decoder's expansions: palettes stay indices, 1-, 2- and 4-bit samples stay integers.
fn from_png(path: &Path, source: &Source<'_>, options: &DecodeOptions) -> Result<IdMap> {
    let file: &[u8] = &source.bytes;
    let damaged = |e: png::DecodingError| Error::decode(path, e, REPLACE);
    let limits = png::Limits { bytes: usize::try_from(options.limits.max_bytes).unwrap_or(usize::MAX) };
    let mut decoder = png::Decoder::new_with_limits(Cursor::new(file), limits);
    decoder.set_transformations(png::Transformations::IDENTITY);
    let mut reader = decoder.read_info().map_err(damaged)?;
    let (width, height) = reader.info().size();
    let (color, depth) = (reader.info().color_type, reader.info().bit_depth);
    let step = match color {
        png::ColorType::Grayscale | png::ColorType::Indexed => 1,
        png::ColorType::GrayscaleAlpha => 2,
        png::ColorType::Rgb | png::ColorType::Rgba => {
            return Err(in_colour(path));
        }
    };
    let bytes = reader.output_buffer_size().unwrap_or(usize::MAX);
    options.limits.check(path, width, height, bytes as u64)?;
    options.limits.check_ratio(path, file.len() as u64, bytes as u64, MOST_EXPANSION)?;
    let mut packed = vec![0; bytes];
    let frame = reader.next_frame(&mut packed).map_err(damaged)?;
    let (width, height) = (width as usize, height as usize);
    let mut ids = Vec::with_capacity(width * height);
    for row in packed.chunks_exact(frame.line_size) {
        match depth {
            png::BitDepth::Sixteen => {
                let samples = row.chunks_exact(2).map(|b| u32::from(u16::from_be_bytes([b[0], b[1]])));
                ids.extend(samples.step_by(step).take(width));
            }
            png::BitDepth::Eight => ids.extend(row.iter().step_by(step).take(width).map(|&b| u32::from(b))),
            packed => ids.extend(unpacked(row, packed as usize).take(width)),
        }
    }
    if ids.len() != width * height {
        return Err(Flaw::Truncated.of(path));
    }
    Ok(IdMap::new(Raster::new(width, height, 1, ids).oriented(source.orientation(options))))
}

/// Samples of 1, 2 or 4 bits, most significant first.
pub(super) fn unpacked(row: &[u8], bits: usize) -> impl Iterator<Item = u32> + '_ {
    let mask = (1u32 << bits) - 1;
    row.iter().flat_map(move |&byte| (0..8 / bits).map(move |i| (u32::from(byte) >> (8 - bits * (i + 1))) & mask))
}

fn from_grey(path: &Path, source: &Source<'_>, format: ImageFormat, options: &DecodeOptions) -> Result<IdMap> {
    if format == ImageFormat::Tiff
        && let Some(page) = Uncommon::open(path, &source.bytes, &options.limits)?
    {
        return Ok(IdMap::new(page.ids()?.oriented(source.orientation(options))));
    }
    let image = stored(path, &source.bytes, format, &options.limits)?;
    match image.channels() {
        1 => Ok(first_channel(&image, source.orientation(options))),
        _ => Err(in_colour(path)),
    }
}

/// Colours that are grey; alpha does not matter.
fn from_levels(path: &Path, source: &Source<'_>, format: ImageFormat, options: &DecodeOptions) -> Result<IdMap> {
    fn coloured<T: Copy + Default + PartialEq + Display>(raster: &Raster<T>) -> Option<(usize, String)> {
        let mut pixels = raster.samples().chunks_exact(raster.channels());
        let at = pixels.clone().position(|pixel| pixel[0] != pixel[1] || pixel[0] != pixel[2])?;
        pixels.nth(at).map(|pixel| (at, format!("{}, {}, {}", pixel[0], pixel[1], pixel[2])))
    }
    let image = stored(path, &source.bytes, format, &options.limits)?;
    let found = match &image {
        Image::U8(raster) => coloured(raster),
        Image::U16(raster) => coloured(raster),
    };
    if let Some((at, colour)) = found {
        let (x, y) = (at % image.size().0, at / image.size().0);
        let reason = format!("at x={x}, y={y} it holds {colour}, and red, green and blue have to be equal");
        return Err(Error::InColour { path: path.to_path_buf(), reason });
    }
    Ok(first_channel(&image, source.orientation(options)))
}

fn first_channel(image: &Image, orientation: Orientation) -> IdMap {
    let (width, height) = image.size();
    let ids = match image {
        Image::U8(raster) => raster.samples().iter().step_by(raster.channels()).map(|&v| v.into()).collect(),
        Image::U16(raster) => raster.samples().iter().step_by(raster.channels()).map(|&v| v.into()).collect(),
    };
    IdMap::new(Raster::new(width, height, 1, ids).oriented(orientation))
}

pub(super) fn in_colour(path: &Path) -> Error {
    Error::InColour { path: path.to_path_buf(), reason: "it is in colour, and ids are needed".to_owned() }
}
