//! What of a file a decoder gets to see: all that makes pixels, and nothing else.
//!
//! Colour profiles, comments and other side data are not used here, and some of them are compressed: a kilobyte may inflate to
//! a gigabyte. They are cut out, so that only pixels count. In the same pass the structure of the file is checked: a file whose
//! end is missing is refused, whatever a decoder could make of its beginning.

use std::borrow::Cow;

use image::ImageFormat;
use image::metadata::Orientation;

use super::DecodeOptions;
use super::flaw::Flaw;
use super::{jpeg, png_chunks, tiff, webp_chunks};

/// A file without its side data.
#[derive(Debug)]
pub(super) struct Source<'a> {
    /// The file as the decoder sees it.
    pub(super) bytes: Cow<'a, [u8]>,
    /// How the image is to be turned, where the file says so.
    pub(super) stored_orientation: Option<Orientation>,
}

impl<'a> Source<'a> {
    /// Checks the structure of a file and leaves its side data out. `page` is counted from 0.
    pub(super) fn of(file: &'a [u8], format: ImageFormat, page: usize) -> Result<Self, Flaw> {
        match format {
            ImageFormat::Tiff => tiff::source(file, page),
            _ if page > 0 => Err(Flaw::NoPage { page, pages: 1 }),
            ImageFormat::Png => png_chunks::source(file),
            ImageFormat::Jpeg => jpeg::source(file),
            ImageFormat::WebP => webp_chunks::source(file),
            // Of a number that was cut off, decoders take what is left. White space follows each number that is whole.
            ImageFormat::Pnm if matches!(file, [b'P', b'2' | b'3', .., b'0'..=b'9']) => Err(Flaw::Truncated),
            // Decoders of these formats miss every byte that is not there, and the formats have no side data.
            _ => Ok(Self { bytes: Cow::Borrowed(file), stored_orientation: None }),
        }
    }

    /// How the image is to be turned, where the options ask for it.
    pub(super) fn orientation(&self, options: &DecodeOptions) -> Orientation {
        self.stored_orientation.filter(|_| options.exif).unwrap_or(Orientation::NoTransforms)
    }
}
