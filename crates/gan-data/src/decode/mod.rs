//! Reading image files: png, jpeg, webp, gif, bmp, pnm and tiff; 8 or 16 bits; grey or colour, with or without alpha.

mod bytes;
mod flaw;
mod gif;
mod id_files;
mod in_rows;
mod jpeg;
mod limits;
mod planes;
mod png_chunks;
mod source;
mod tiff;
mod webp_chunks;

use std::io::{self, Cursor};
use std::path::Path;

use image::error::ImageFormatHint;
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader};
use serde::{Deserialize, Serialize};

use self::flaw::Flaw;
use self::gif::Gif;
pub use self::id_files::{decode_ids, decode_ids_bytes};
pub use self::in_rows::{IdRowReader, RowReader};
pub use self::limits::DecodeLimits;
pub(crate) use self::planes::join_planes;
use self::source::Source;
use self::tiff::Uncommon;
use crate::dynamic_image::Image;
use crate::error::{Error, Result};
use crate::image_name::is_planes;
use crate::raster::Raster;
use crate::sniff::{Content, of_bytes};

/// What becomes of an alpha channel that a network has no channel for; see [`crate::adapt_channels`].
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

/// What the values of label and instance maps are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LabelsAs {
    /// Grey samples as stored, and the indices of palettes.
    #[default]
    Ids,
    /// Colours whose red, green and blue are equal: that level is the id. Grey samples as stored.
    Rgb,
}

/// How to read an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecodeOptions {
    /// What a file may take.
    pub limits: DecodeLimits,
    /// What becomes of alpha.
    pub alpha: AlphaPolicy,
    /// Whether the EXIF orientation is obeyed (photographs stand upright) or ignored (as the reference does).
    pub exif: bool,
    /// What the values of label and instance maps are; images do not mind.
    pub labels_as: LabelsAs,
    /// Which page of a TIFF, counted from 0. Other formats have one page.
    pub page: usize,
}

impl Default for DecodeOptions {
    fn default() -> Self {
        let (limits, alpha, labels_as) = (DecodeLimits::default(), AlphaPolicy::Drop, LabelsAs::Ids);
        Self { limits, alpha, exif: true, labels_as, page: 0 }
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
    /// Bits a sample: 8 or 16.
    pub depth: u32,
}

/// What is wrong with a TIFF that is whole and cannot be read.
const OTHER_TIFF: &str = "of TIFF, grey, RGB and palettes, with integers of up to 32 bits or floating point, can be read, and this is of another kind";

/// The remedy for what most often ails an image file.
const REPLACE: &str = "copy or download it again, or save it anew as PNG";

/// Reads an image.
///
/// The format is told from the content, not from the name. The size is checked against the limits before pixels are
/// allocated. A file of which a part is missing is refused. Colour stays colour and grey stays grey: see
/// [`crate::adapt_channels`].
///
/// A folder named `….planes` is an image too: each of its files, in order of their names, is one grey channel. That
/// is how images of more than four channels are stored; see [`crate::write_planes`].
///
/// # Errors
/// [`Error::Io`], [`Error::TooLarge`] or [`Error::Decode`].
pub fn decode(path: &Path, options: &DecodeOptions) -> Result<Image> {
    if is_planes(path) {
        return join_planes(path, options, |file| decode(file, options));
    }
    decode_bytes(path, &options.limits.read(path)?, options)
}

/// Decodes a file that was read already, as [`decode`] does; `path` is for messages.
///
/// # Errors
/// [`Error::TooLarge`] or [`Error::Decode`].
pub fn decode_bytes(path: &Path, bytes: &[u8], options: &DecodeOptions) -> Result<Image> {
    let (source, format) = source(path, bytes, options)?;
    let image = stored(path, &source.bytes, format, &options.limits)?;
    Ok(image.with_alpha(options.alpha).oriented(source.orientation(options)))
}

/// Reads the header; pixels are not decoded.
///
/// # Errors
/// As [`decode`].
pub fn probe(path: &Path, options: &DecodeOptions) -> Result<Header> {
    if is_planes(path) {
        return planes::probe(path, options);
    }
    probe_bytes(path, &options.limits.read(path)?, options)
}

/// Reads the header of a file that was read already, as [`probe`] does; `path` is for messages.
///
/// # Errors
/// [`Error::TooLarge`] or [`Error::Decode`].
pub fn probe_bytes(path: &Path, bytes: &[u8], options: &DecodeOptions) -> Result<Header> {
    let (source, format) = source(path, bytes, options)?;
    let header = header(path, &source.bytes, format, &options.limits)?;
    let sideways = source.orientation(options).to_exif() >= 5;
    let (width, height) = if sideways { (header.height, header.width) } else { (header.width, header.height) };
    Ok(Header { width, height, ..header })
}

fn header(path: &Path, source: &[u8], format: ImageFormat, limits: &DecodeLimits) -> Result<Header> {
    if format == ImageFormat::Gif {
        return Gif::of(source).map_err(|flaw| flaw.of(path))?.header(path, limits);
    }
    if format == ImageFormat::Tiff
        && let Some(page) = Uncommon::open(path, source, limits)?
    {
        return page.header();
    }
    let decoder = open_decoder(path, source, format, limits)?;
    let (width, height) = decoder.dimensions();
    let color = decoder.color_type();
    let channels = color.channel_count();
    Ok(Header { width, height, channels, depth: u32::from(color.bits_per_pixel()) / u32::from(channels) })
}

/// The pixels that a file stores, not turned.
fn stored(path: &Path, source: &[u8], format: ImageFormat, limits: &DecodeLimits) -> Result<Image> {
    if format == ImageFormat::Gif {
        return Gif::of(source).map_err(|flaw| flaw.of(path))?.decode(path, limits);
    }
    if format == ImageFormat::Tiff
        && let Some(page) = Uncommon::open(path, source, limits)?
    {
        return page.image();
    }
    let decoder = open_decoder(path, source, format, limits)?;
    if format == ImageFormat::Jpeg {
        jpeg::check(source).map_err(|flaw| flaw.of(path))?;
    }
    from_dynamic(path, DynamicImage::from_decoder(decoder).map_err(|e| refused(path, &e))?)
}

/// What a decoder gets to see of a file, and the format it is in.
fn source<'a>(path: &Path, file: &'a [u8], options: &DecodeOptions) -> Result<(Source<'a>, ImageFormat)> {
    let Some(format) = format_of(file) else {
        return Err(match of_bytes(file, file.len() as u64) {
            Content::Unsupported(name) => {
                let reason = format!("it is an image of the format {name}, which cannot be read here");
                Error::decode(
                    path,
                    reason,
                    "convert it to PNG or JPEG, for example with `magick FILE FILE.png` (ImageMagick)",
                )
            }
            _ => Error::decode(
                path,
                "the content is not an image of a known format",
                "supported are png, jpeg, webp, gif, bmp, pnm and tiff",
            ),
        });
    };
    Ok((Source::of(file, format, options.page).map_err(|flaw| flaw.of(path))?, format))
}

/// The format of a file that begins like this, of those that are read.
fn format_of(head: &[u8]) -> Option<ImageFormat> {
    use ImageFormat::{Bmp, Gif, Jpeg, Png, Pnm, Tiff, WebP};
    if head.starts_with(b"II+\0") || head.starts_with(b"MM\0+") {
        // BigTIFF, which the decoder reads and the guess does not know.
        return Some(Tiff);
    }
    image::guess_format(head).ok().filter(|f| matches!(f, Bmp | Gif | Jpeg | Png | Pnm | Tiff | WebP))
}

/// A decoder over a file whose header is within the limits.
fn open_decoder<'a>(
    path: &Path,
    source: &'a [u8],
    format: ImageFormat,
    limits: &DecodeLimits,
) -> Result<impl ImageDecoder + 'a> {
    let mut reader = ImageReader::with_format(Cursor::new(source), format);
    // Lossless WebP holds an even image of any size in a few bytes.
    let ratio_is_bounded = format != ImageFormat::WebP;
    let mut allowed = image::Limits::default();
    allowed.max_alloc = Some(limits.max_bytes);
    reader.limits(allowed);
    let mut decoder = reader.into_decoder().map_err(|e| refused(path, &e))?;
    let (width, height) = decoder.dimensions();
    limits.check(path, width, height, decoder.total_bytes())?;
    if ratio_is_bounded {
        limits.check_ratio(path, source.len() as u64, decoder.total_bytes(), limits::MOST_EXPANSION)?;
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
        ImageError::Unsupported(kind) if kind.format_hint() == ImageFormatHint::Exact(ImageFormat::Tiff) => {
            Error::decode(path, OTHER_TIFF, "save it anew as 8- or 16-bit PNG")
        }
        ImageError::Unsupported(_) => Error::decode(path, error, "save it anew as 8- or 16-bit PNG"),
        _ if ends_early(error) => Flaw::Truncated.of(path),
        _ => Error::decode(path, error, REPLACE),
    }
}

/// Whether a decoder wanted to read on where a file ends.
fn ends_early(error: &ImageError) -> bool {
    let ends = |error: &io::Error| error.kind() == io::ErrorKind::UnexpectedEof;
    if let ImageError::IoError(error) = error {
        return ends(error);
    }
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        if error.downcast_ref().is_some_and(ends) {
            return true;
        }
        cause = error.source();
    }
    false
}

fn from_dynamic(path: &Path, image: DynamicImage) -> Result<Image> {
    let (w, h) = (image.width() as usize, image.height() as usize);
    Ok(match image {
        DynamicImage::ImageLuma8(b) => Image::U8(Raster::new(w, h, 1, b.into_raw())),
        DynamicImage::ImageLumaA8(b) => Image::U8(Raster::new(w, h, 2, b.into_raw())),
        DynamicImage::ImageRgb8(b) => Image::U8(Raster::new(w, h, 3, b.into_raw())),
        DynamicImage::ImageRgba8(b) => Image::U8(Raster::new(w, h, 4, b.into_raw())),
        DynamicImage::ImageLuma16(b) => Image::U16(Raster::new(w, h, 1, b.into_raw())),
        DynamicImage::ImageLumaA16(b) => Image::U16(Raster::new(w, h, 2, b.into_raw())),
        DynamicImage::ImageRgb16(b) => Image::U16(Raster::new(w, h, 3, b.into_raw())),
        DynamicImage::ImageRgba16(b) => Image::U16(Raster::new(w, h, 4, b.into_raw())),
        other => {
            let reason = format!("pixels of kind {:?} are not supported", other.color());
            return Err(Error::decode(path, reason, "save it anew as 8- or 16-bit PNG or TIFF"));
        }
    })
}
