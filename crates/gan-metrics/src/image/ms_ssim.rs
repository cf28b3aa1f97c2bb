//! Multi-scale SSIM (Wang, Simoncelli and Bovik, "Multiscale structural similarity for image quality assessment", Asilomar 2003).

use super::Pixels;
use super::gaussian::{TAPS, similarity};
use super::plane::Plane;
use crate::Result;

/// Exponents of the scales, finest first.
const WEIGHTS: [f64; 5] = [0.0448, 0.2856, 0.3001, 0.2363, 0.1333];

/// The shortest side of an image that has an MS-SSIM: the window has to fit into the coarsest scale.
pub const SMALLEST_MS_SSIM: usize = ((TAPS - 1) << (WEIGHTS.len() - 1)) + 1;

/// The mean of the channels' MS-SSIM, in [0, 1]; 1 for equal images.
///
/// The contrast and structure of five scales, and the luminance of the coarsest, each cut off at 0. As pytorch-msssim computes it: an
/// odd side is extended by zeros before it is halved.
///
/// # Errors
/// [`crate::Error::Shapes`] if the images differ in size or channels, [`crate::Error::TooSmall`] below [`SMALLEST_MS_SSIM`].
pub fn ms_ssim(a: &Pixels<'_>, b: &Pixels<'_>) -> Result<f64> {
    a.require_same_shape(b)?;
    a.require_side(SMALLEST_MS_SSIM, "MS-SSIM")?;
    let channels = Plane::channels(a).into_iter().zip(Plane::channels(b)).map(|(a, b)| of_channel(a, b));
    Ok(channels.sum::<f64>() / a.channels() as f64)
}

fn of_channel(mut a: Plane, mut b: Plane) -> f64 {
    let mut product = 1.0;
    for (scale, weight) in WEIGHTS.iter().enumerate() {
        let similarity = similarity(&a, &b);
        if scale + 1 == WEIGHTS.len() {
            return product * similarity.ssim.max(0.0).powf(*weight);
        }
        product *= similarity.contrast_structure.max(0.0).powf(*weight);
        (a, b) = (a.halved(), b.halved());
    }
    product
}
