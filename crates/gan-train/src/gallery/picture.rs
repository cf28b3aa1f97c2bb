//! Tensors to PNG.

use std::io::Cursor;

use candle_core::{DType, Device, Tensor};
use image::imageops::{self, FilterType};
use image::{ImageFormat, RgbImage};

use crate::{Error, Result};

/// The first `rows` images of `[N, C, H, W]` in `[-1, 1]`, C 1 or 3, scaled down to `max_side`.
pub(super) fn images(label: &str, tensor: &Tensor, rows: usize, max_side: u32) -> Result<Vec<RgbImage>> {
    let shape = || Error::Shape {
        what: format!("preview `{label}`"),
        got: format!("{:?}", tensor.dims()),
        expected: "[N, 3, H, W] or [N, 1, H, W], not empty",
    };
    let &[n, c, h, w] = tensor.dims() else { return Err(shape()) };
    if !(c == 1 || c == 3) || h == 0 || w == 0 || h.max(w) > u32::MAX as usize {
        return Err(shape());
    }
    let data = tensor.narrow(0, 0, n.min(rows))?.to_device(&Device::Cpu)?.to_dtype(DType::F32)?;
    let data = data.flatten_all()?.to_vec1::<f32>()?;
    let plane = h * w;
    let image = |pixels: &[f32]| {
        let mut image = RgbImage::new(w as u32, h as u32);
        for (i, pixel) in image.pixels_mut().enumerate() {
            // A gray picture has one plane for all three channels. NaN becomes black.
            pixel.0 = [0, 1, 2].map(|channel| ((pixels[channel.min(c - 1) * plane + i] + 1.0) * 127.5).round() as u8);
        }
        scaled_down(image, max_side)
    };
    Ok(data.chunks_exact(c * plane).map(image).collect())
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

/// The picture as a PNG file.
pub(super) fn png(image: &RgbImage) -> Result<Vec<u8>, String> {
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, ImageFormat::Png).map_err(|e| e.to_string())?;
    Ok(bytes.into_inner())
}
