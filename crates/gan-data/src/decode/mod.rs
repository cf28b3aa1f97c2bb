//! Reading picture files: png, jpeg, webp, bmp, pnm and tiff; 8 or 16 bits; grey or colour, with or without alpha.

mod id_files;
mod limits;
mod planes;

use std::io::{BufRead, Cursor, Seek};
use std::path::Path;

use image::{DynamicImage, ImageDecoder, ImageError, ImageReader};
use serde::{Deserialize, Serialize};

pub use self::id_files::decode_ids;
pub(crate) use self::id_files::ids_from_bytes;
pub use self::limits::DecodeLimits;
pub(crate) use self::planes::{is_planes, join_planes};
use crate::error::{Error, Result};
use crate::picture::Picture;
use crate::raster::Raster;

/// What becomes of an alpha channel.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AlphaPolicy {
    /// Ignored: hidden colours appear as stored. What the reference does.
    #[default]
    Drop,
    /// Kept as a channel of its own.
    Keep,
    /// Laid over white.
    Composite,
}

/// How to read a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecodeOptions {
    /// What a file may take.
    pub limits: DecodeLimits,
    /// What becomes of alpha.
    pub alpha: AlphaPolicy,
    /// Whether the EXIF orientation is obeyed (photographs stand upright) or ignored (as the reference does).
    pub exif: bool,
}

impl Default for DecodeOptions {
    fn default() -> Self {
        Self { limits: DecodeLimits::default(), alpha: AlphaPolicy::Drop, exif: true }
    }
}

/// What a file's header says; see [`probe`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Width in pixels, after orientation.
    pub width: u32,
    /// Height in pixels, after orientation.
    pub height: u32,
    /// Samples a pixel as decoded (palettes count as colour).
    pub channels: u8,
    /// Bits a sample: 8 or 16 (32 for floating point, which [`decode`] refuses).
    pub depth: u32,
}

/// The remedy for what most often ails a picture file.
const REPLACE: &str = "copy or download it again, or save it anew as PNG";

/// Reads a picture.
///
/// The format is told from the content, not from the name. The size is checked against the limits before pixels are
/// allocated. Colour stays colour and grey stays grey: see [`Picture::with_channels`].
///
/// A folder named `….planes` is a picture too: each of its files, in order of their names, is one grey channel. That
/// is how pictures of more than four channels are stored; see [`crate::write_planes`].
///
/// # Errors
/// [`Error::Io`], [`Error::TooLarge`] or [`Error::Decode`].
pub fn decode(path: &Path, options: &DecodeOptions) -> Result<Picture> {
    if is_planes(path) {
        return join_planes(path, options, |file| decode(file, options));
    }
    picture_from_bytes(path, &options.limits.read(path)?, options)
}

/// Decodes a file that was read already; `path` is for messages.
pub(crate) fn picture_from_bytes(path: &Path, bytes: &[u8], options: &DecodeOptions) -> Result<Picture> {
    let mut decoder = open_decoder(path, Cursor::new(bytes), bytes.len() as u64, &options.limits)?;
    let orientation = if options.exif { decoder.orientation().ok() } else { None };
    let image = DynamicImage::from_decoder(decoder).map_err(|e| refused(path, &e))?;
    let picture = from_dynamic(path, image)?;
    let picture = apply_alpha(picture, options.alpha);
    Ok(match orientation {
        Some(orientation) => picture.oriented(orientation),
        None => picture,
    })
}

/// Reads only the header.
///
/// # Errors
/// As [`decode`].
pub fn probe(path: &Path, options: &DecodeOptions) -> Result<Header> {
    if is_planes(path) {
        return planes::probe(path, options);
    }
    let (file, length) = options.limits.open(path)?;
    let mut decoder = open_decoder(path, file, length, &options.limits)?;
    let (width, height) = decoder.dimensions();
    let color = decoder.color_type();
    let channels = color.channel_count();
    let depth = u32::from(color.bits_per_pixel()) / u32::from(channels);
    let sideways = options.exif && decoder.orientation().is_ok_and(|o| o.to_exif() >= 5);
    let (width, height) = if sideways { (height, width) } else { (width, height) };
    Ok(Header { width, height, channels, depth })
}

/// A decoder over `source`, a file of `length` bytes, whose header is within the limits.
fn open_decoder<'a>(
    path: &Path,
    source: impl BufRead + Seek + 'a,
    length: u64,
    limits: &DecodeLimits,
) -> Result<impl ImageDecoder + 'a> {
    let mut reader = ImageReader::new(source).with_guessed_format().map_err(|e| Error::io("read", path, e))?;
    if reader.format().is_none() {
        let reason = "the content is not a picture of a known format";
        return Err(Error::decode(path, reason, "supported are png, jpeg, webp, bmp, pnm and tiff"));
    }
    // Lossless WebP holds an even picture of any size in a few bytes.
    let ratio_is_bounded = reader.format() != Some(image::ImageFormat::WebP);
    let mut allowed = image::Limits::default();
    allowed.max_alloc = Some(limits.max_bytes);
    reader.limits(allowed);
    let mut decoder = reader.into_decoder().map_err(|e| refused(path, &e))?;
    let (width, height) = decoder.dimensions();
    limits.check(path, width, height, decoder.total_bytes())?;
    if ratio_is_bounded {
        limits.check_ratio(path, length, decoder.total_bytes(), limits::MOST_EXPANSION)?;
    }
    let mut allowed = image::Limits::default();
    // The output counts too, and formats need scratch beside it.
    allowed.max_alloc = Some(limits.max_bytes.saturating_mul(2));
    decoder.set_limits(allowed).map_err(|e| refused(path, &e))?;
    Ok(decoder)
}

fn refused(path: &Path, error: &ImageError) -> Error {
    match error {
        ImageError::Limits(_) => {
            Error::decode(path, error, "it needs more memory than the decoding limits allow; scale it down")
        }
        ImageError::Unsupported(_) => Error::decode(path, error, "save it anew as 8- or 16-bit PNG"),
        _ => Error::decode(path, error, REPLACE),
    }
}

fn from_dynamic(path: &Path, image: DynamicImage) -> Result<Picture> {
    let (w, h) = (image.width() as usize, image.height() as usize);
    Ok(match image {
        DynamicImage::ImageLuma8(b) => Picture::Eight(Raster::new(w, h, 1, b.into_raw())),
        DynamicImage::ImageLumaA8(b) => Picture::Eight(Raster::new(w, h, 2, b.into_raw())),
        DynamicImage::ImageRgb8(b) => Picture::Eight(Raster::new(w, h, 3, b.into_raw())),
        DynamicImage::ImageRgba8(b) => Picture::Eight(Raster::new(w, h, 4, b.into_raw())),
        DynamicImage::ImageLuma16(b) => Picture::Sixteen(Raster::new(w, h, 1, b.into_raw())),
        DynamicImage::ImageLumaA16(b) => Picture::Sixteen(Raster::new(w, h, 2, b.into_raw())),
        DynamicImage::ImageRgb16(b) => Picture::Sixteen(Raster::new(w, h, 3, b.into_raw())),
        DynamicImage::ImageRgba16(b) => Picture::Sixteen(Raster::new(w, h, 4, b.into_raw())),
        other => {
            let reason = format!("pixels of kind {:?} are not supported", other.color());
            return Err(Error::decode(path, reason, "save it anew as 8- or 16-bit PNG or TIFF"));
        }
    })
}

fn apply_alpha(picture: Picture, policy: AlphaPolicy) -> Picture {
    let channels = picture.channels();
    if !matches!(channels, 2 | 4) || policy == AlphaPolicy::Keep {
        return picture;
    }
    match picture {
        Picture::Eight(raster) => Picture::Eight(without_alpha(&raster, policy, u8::MAX)),
        Picture::Sixteen(raster) => Picture::Sixteen(without_alpha(&raster, policy, u16::MAX)),
    }
}

fn without_alpha<T>(raster: &Raster<T>, policy: AlphaPolicy, white: T) -> Raster<T>
where
    T: Copy + Default + Into<u64> + TryFrom<u64>,
{
    let colours = raster.channels() - 1;
    let top: u64 = white.into();
    let mut samples = Vec::with_capacity(raster.width() * raster.height() * colours);
    for pixel in raster.samples().chunks_exact(raster.channels()) {
        let (colour, alpha) = pixel.split_at(colours);
        let alpha: u64 = alpha[0].into();
        samples.extend(colour.iter().map(|&c| match policy {
            AlphaPolicy::Composite => {
                let blended = (c.into() * alpha + top * (top - alpha) + top / 2) / top;
                T::try_from(blended).unwrap_or(white)
            }
            _ => c,
        }));
    }
    Raster::new(raster.width(), raster.height(), colours, samples)
}
