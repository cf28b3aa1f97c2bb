//! Preview tensors as images to look at, and as PNG files.

use std::io::Cursor;

use candle_core::{DType, Device, Tensor};
use image::imageops::{self, FilterType};
use image::{ImageFormat, Rgb, RgbImage};

use crate::{Error, Result};

/// Side of the squares behind transparent pixels.
const SQUARE: usize = 8;

/// The first `rows` images of `[N, C, H, W]` in `[-1, 1]`, scaled down to `max_side`. With 2 and 4 channels the last is alpha,
/// and the image lies over a chequer. Of more than 4 channels the first three are shown as RGB, and beside them each of the others
/// as a grey image.
///
/// # Errors
/// [`Error::Shape`] for another or an empty shape, and for values that are not finite.
pub(crate) fn images(label: &str, tensor: &Tensor, rows: usize, max_side: u32) -> Result<Vec<RgbImage>> {
    let refused =
        |got: String, expected: &'static str| Error::Shape { what: format!("preview `{label}`"), got, expected };
    let shape = || refused(format!("{:?}", tensor.dims()), "[N, C, H, W], not empty");
    let &[n, c, h, w] = tensor.dims() else { return Err(shape()) };
    let tiles = if c > 4 { c - 2 } else { 1 };
    let columns = tiles.isqrt() + usize::from(tiles.isqrt().pow(2) < tiles);
    let side = |pixels: usize, count: usize| pixels.checked_mul(count).and_then(|side| u32::try_from(side).ok());
    let size = side(w, columns).zip(side(h, tiles.div_ceil(columns)));
    let Some((width, height)) = size.filter(|_| n > 0 && c > 0 && h > 0 && w > 0) else { return Err(shape()) };
    let data = tensor.narrow(0, 0, n.min(rows))?.to_device(&Device::Cpu)?.to_dtype(DType::F32)?;
    let data = data.flatten_all()?.to_vec1::<f32>()?;
    if data.iter().any(|value| !value.is_finite()) {
        return Err(refused("NaN or infinite values".to_owned(), "finite values"));
    }
    let image =
        |values: &[f32]| {
            let value = |channel: usize, x: usize, y: usize| (values[(channel * h + y) * w + x] + 1.0) * 127.5;
            let pixel = |x: usize, y: usize| match c {
                1 | 3 => [0, 1, 2].map(|channel| value(channel.min(c - 1), x, y)),
                2 | 4 => {
                    let alpha = (value(c - 1, x, y) / 255.0).clamp(0.0, 1.0);
                    let square = if (x / SQUARE + y / SQUARE).is_multiple_of(2) { 255.0 } else { 204.0 };
                    let colour = |channel: usize| value(channel.min(c - 2), x, y).clamp(0.0, 255.0);
                    [0, 1, 2].map(|channel| colour(channel) * alpha + square * (1.0 - alpha))
                }
                _ => match y / h * columns + x / w {
                    0 => [0, 1, 2].map(|channel| value(channel, x, y)),
                    tile if tile < tiles => [value(tile + 2, x % w, y % h); 3],
                    // What is left of the last row stays white.
                    _ => [255.0; 3],
                },
            };
            let image = RgbImage::from_fn(width, height, |x, y| {
                Rgb(pixel(x as usize, y as usize).map(|level| level.round() as u8))
            });
            scaled_down(image, max_side)
        };
    Ok(data.chunks_exact(c * h * w).map(image).collect())
}

fn scaled_down(image: RgbImage, max_side: u32) -> RgbImage {
    let (w, h) = image.dimensions();
    let longest = w.max(h);
    if longest <= max_side {
        return image;
    }
    let side = |x: u32| (u64::from(x) * u64::from(max_side) / u64::from(longest)).max(1) as u32;
    imageops::resize(&image, side(w), side(h), FilterType::Triangle)
}

/// The image as a PNG file.
///
/// # Errors
/// What the encoder says.
pub(crate) fn png(image: &RgbImage) -> Result<Vec<u8>, String> {
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, ImageFormat::Png).map_err(|e| e.to_string())?;
    Ok(bytes.into_inner())
}
