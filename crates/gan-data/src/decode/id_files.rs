//! Reading label and instance maps: the stored integers, never the colours they stand for.

use std::io::Cursor;
use std::path::Path;

use image::{DynamicImage, ImageFormat};

use super::flaw::Flaw;
use super::limits::MOST_EXPANSION;
use super::source::Source;
use super::{DecodeOptions, REPLACE, pixels, source};
use crate::error::{Error, Result};
use crate::ids::IdMap;
use crate::raster::Raster;

const NOT_IDS: &str = "save it as PNG with one channel (8 or 16 bits) or with a palette";

/// Reads a map of integer ids: grey samples of up to 16 bits as stored, or the *indices* of a palette (PNG).
///
/// # Errors
/// As [`super::decode`]; and [`Error::Decode`] for colour images and for JPEG, which changes ids.
pub fn decode_ids(path: &Path, options: &DecodeOptions) -> Result<IdMap> {
    ids_from_bytes(path, &options.limits.read(path)?, options)
}

/// Decodes a map that was read already; `path` is for messages.
pub(crate) fn ids_from_bytes(path: &Path, bytes: &[u8], options: &DecodeOptions) -> Result<IdMap> {
    match image::guess_format(bytes) {
        Ok(ImageFormat::Png) => from_png(path, &source(path, bytes)?.0, options),
        Ok(ImageFormat::Jpeg) => Err(Error::decode(path, "JPEG compression changes ids", "export the map as PNG")),
        _ => from_grey(path, bytes, options),
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
            let reason = "the map is in colour, but ids are needed";
            return Err(Error::decode(path, reason, NOT_IDS));
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
fn unpacked(row: &[u8], bits: usize) -> impl Iterator<Item = u32> + '_ {
    let mask = (1u32 << bits) - 1;
    row.iter().flat_map(move |&byte| (0..8 / bits).map(move |i| (u32::from(byte) >> (8 - bits * (i + 1))) & mask))
}

fn from_grey(path: &Path, bytes: &[u8], options: &DecodeOptions) -> Result<IdMap> {
    let (image, orientation) = pixels(path, bytes, options)?;
    let (width, height) = (image.width() as usize, image.height() as usize);
    let ids = match image {
        DynamicImage::ImageLuma8(grey) => grey.into_raw().into_iter().map(u32::from).collect(),
        DynamicImage::ImageLuma16(grey) => grey.into_raw().into_iter().map(u32::from).collect(),
        other => {
            let reason = format!("pixels of kind {:?} are not ids", other.color());
            return Err(Error::decode(path, reason, NOT_IDS));
        }
    };
    Ok(IdMap::new(Raster::new(width, height, 1, ids).oriented(orientation)))
}
