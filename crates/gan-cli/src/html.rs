//! Pieces of web pages.

use gan_data::{Image, Raster, WriteOptions, encode_image};
use gan_train::gallery::html::png_url;
use std::path::Path;

pub(crate) use gan_train::gallery::html::escape;

/// An image as the address of itself: the page that holds it needs no file beside it.
///
/// # Errors
/// If PNG cannot hold it.
pub(crate) fn image_url(pixels: Raster<u8>) -> gan_data::Result<String> {
    let png = encode_image(Path::new("image.png"), &Image::U8(pixels), &WriteOptions::default())?;
    Ok(png_url(&png))
}
