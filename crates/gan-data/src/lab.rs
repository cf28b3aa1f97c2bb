//! CIE L*a*b* (D65, 2 degrees) from and to sRGB, in double precision.

use candle_core::{DType, Device, Tensor};

use crate::dynamic_image::Image;
use crate::encode::require_finite;
use crate::error::Result;
use crate::raster::Raster;

/// X, Y and Z of white (D65, 2 degrees).
pub const WHITE: [f64; 3] = [0.95047, 1.0, 1.08883];

/// X, Y and Z of linear red, green and blue, a row each.
pub const RGB_TO_XYZ: [[f64; 3]; 3] =
    [[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]];

/// Lab of sRGB values in [0, 1]: L in [0, 100], a and b roughly in [-110, 110].
#[must_use]
pub fn rgb_to_lab(rgb: [f64; 3]) -> [f64; 3] {
    let linear = rgb.map(|v| if v > 0.04045 { ((v + 0.055) / 1.055).powf(2.4) } else { v / 12.92 });
    let mut f = [0.0; 3];
    for ((f, row), white) in f.iter_mut().zip(RGB_TO_XYZ).zip(WHITE) {
        let t = (row[0] * linear[0] + row[1] * linear[1] + row[2] * linear[2]) / white;
        *f = if t > 0.008856 { t.cbrt() } else { 7.787 * t + 16.0 / 116.0 };
    }
    [116.0 * f[1] - 16.0, 500.0 * (f[0] - f[1]), 200.0 * (f[1] - f[2])]
}

/// sRGB in [0, 1] of a Lab colour; colours outside sRGB are clipped.
#[must_use]
pub fn lab_to_rgb([l, a, b]: [f64; 3]) -> [f64; 3] {
    let fy = (l + 16.0) / 116.0;
    let f = [a / 500.0 + fy, fy, (fy - b / 200.0).max(0.0)];
    let mut xyz = [0.0; 3];
    for ((xyz, f), white) in xyz.iter_mut().zip(f).zip(WHITE) {
        let t = if f > 0.2068966 { f * f * f } else { (f - 16.0 / 116.0) / 7.787 };
        *xyz = t * white;
    }
    xyz_to_rgb().map(|row| {
        let linear = row[0] * xyz[0] + row[1] * xyz[1] + row[2] * xyz[2];
        let v = if linear > 0.0031308 { 1.055 * linear.powf(1.0 / 2.4) - 0.055 } else { 12.92 * linear };
        v.clamp(0.0, 1.0)
    })
}

/// Linear red, green and blue of X, Y and Z, a row each: the inverse of [`RGB_TO_XYZ`].
#[must_use]
pub fn xyz_to_rgb() -> [[f64; 3]; 3] {
    inverse(RGB_TO_XYZ)
}

/// Inverse by cofactors.
fn inverse(m: [[f64; 3]; 3]) -> [[f64; 3]; 3] {
    let minor = |r: usize, c: usize| {
        let ((r1, r2), (c1, c2)) = (((r + 1) % 3, (r + 2) % 3), ((c + 1) % 3, (c + 2) % 3));
        m[r1][c1] * m[r2][c2] - m[r1][c2] * m[r2][c1]
    };
    let determinant: f64 = (0..3).map(|c| m[0][c] * minor(0, c)).sum();
    std::array::from_fn(|r| std::array::from_fn(|c| minor(c, r) / determinant))
}

/// Lightness `[1, H, W]` as L / 50 - 1 and colour `[2, H, W]` as (a, b) / 110 of an image, as the colorization dataset
/// makes them. Grey images are taken as colourless ones.
///
/// # Errors
/// [`crate::Error::Config`] if the image has some other number of channels than 1, 3 or 4.
pub fn lab_tensors(image: &Image) -> Result<(Tensor, Tensor)> {
    let (width, height) = image.size();
    let Some(image) = image.clone().with_channels(3) else {
        let reason = format!("an image of {} channels has no colours to take apart", image.channels());
        return Err(crate::Error::config(reason, "give a grey or a colour image"));
    };
    let rgb: Vec<f64> = match &image {
        Image::U8(raster) => raster.samples().iter().map(|&s| f64::from(s) / 255.0).collect(),
        Image::U16(raster) => raster.samples().iter().map(|&s| f64::from(s) / 65535.0).collect(),
    };
    let pixels = width * height;
    let (mut lightness, mut colour) = (vec![0f32; pixels], vec![0f32; 2 * pixels]);
    let (pixels_rgb, _) = rgb.as_chunks::<3>();
    for (at, rgb) in pixels_rgb.iter().enumerate() {
        // Rounded to single precision before scaling, as the reference does.
        let [l, a, b] = rgb_to_lab(*rgb).map(|v| v as f32);
        lightness[at] = l / 50.0 - 1.0;
        colour[at] = a / 110.0;
        colour[pixels + at] = b / 110.0;
    }
    let lightness = Tensor::from_vec(lightness, (1, height, width), &Device::Cpu)?;
    Ok((lightness, Tensor::from_vec(colour, (2, height, width), &Device::Cpu)?))
}

/// The image that a lightness `[1, H, W]` and a colour `[2, H, W]`, scaled as the colorization dataset scales them,
/// stand for.
///
/// # Errors
/// [`crate::Error::Tensor`] if the shapes are others, [`crate::Error::NonFinite`] if a value is NaN or infinite.
pub fn image_from_lab(lightness: &Tensor, colour: &Tensor) -> Result<Image> {
    let (_, height, width) = lightness.dims3()?;
    let plane = |t: &Tensor| -> Result<Vec<f32>> {
        Ok(t.to_dtype(DType::F32)?.to_device(&Device::Cpu)?.flatten_all()?.to_vec1::<f32>()?)
    };
    let lightness = plane(lightness)?;
    let colour = plane(&colour.reshape((2, height, width))?)?;
    for planes in [&lightness, &colour] {
        require_finite(planes, width, |at| (at / (width * height), at % (width * height)))?;
    }
    let (a, b) = colour.split_at(width * height);
    let mut samples = Vec::with_capacity(3 * width * height);
    for ((&l, &a), &b) in lightness.iter().zip(a).zip(b) {
        let lab = [(f64::from(l) + 1.0) * 50.0, f64::from(a) * 110.0, f64::from(b) * 110.0];
        samples.extend(lab_to_rgb(lab).map(|v| (v * 255.0 + 0.5) as u8));
    }
    Ok(Image::U8(Raster::new(width, height, 3, samples)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn known_colours() {
        for (rgb, lab) in [
            ([0u8, 0, 0], [0.0, 0.0, 0.0]),
            ([255, 255, 255], [100.0, -0.002455, 0.004653]),
            ([255, 0, 0], [53.240588, 80.092308, 67.202751]),
            ([0, 255, 0], [87.735099, -86.183030, 83.179703]),
            ([0, 0, 255], [32.295673, 79.185591, -107.857300]),
            ([12, 200, 99], [71.066900, -63.458226, 38.850321]),
            ([5, 3, 1], [0.899564, 0.244859, 0.941223]),
        ] {
            let ours = rgb_to_lab(rgb.map(|v| f64::from(v) / 255.0));
            for (ours, expected) in ours.into_iter().zip(lab) {
                assert!((ours - expected).abs() < 1e-5, "{rgb:?}: {ours} {expected}");
            }
        }
    }

    #[test]
    fn images_survive_the_round_trip() {
        let image = Image::U8(Raster::from_fn(16, 16, |x, y| [(x * 17) as u8, (y * 17) as u8, (x * y) as u8]));
        let (lightness, colour) = lab_tensors(&image).unwrap();
        assert_eq!((lightness.dims(), colour.dims()), (&[1, 16, 16][..], &[2, 16, 16][..]));
        assert_eq!(image_from_lab(&lightness, &colour).unwrap(), image);
    }

    #[test]
    fn values_that_are_not_finite_have_no_colour() {
        let finite = |channels: usize| Tensor::zeros((channels, 2, 2), DType::F32, &Device::Cpu).unwrap();
        let bad = |channels: usize| finite(channels).log().unwrap();
        for (lightness, colour) in [(bad(1), finite(2)), (finite(1), bad(2))] {
            let error = image_from_lab(&lightness, &colour).unwrap_err();
            assert!(matches!(error, crate::Error::NonFinite { channel: 0, x: 0, y: 0, .. }), "{error}");
        }
    }
}
