//! The structural similarity index (Wang, Bovik, Sheikh and Simoncelli, "Image quality assessment: from error visibility to
//! structural similarity", IEEE TIP 2004).
//!
//! A Gaussian window of 11x11 pixels with sigma 1.5, K1 = 0.01, K2 = 0.03, biased covariances, means over the windows that lie inside
//! the image. That is scikit-image with `gaussian_weights`, `sigma` 1.5 and without `use_sample_covariance`.

use super::Pixels;
use super::gaussian::{TAPS, similarity};
use super::plane::Plane;
use crate::Result;

/// The shortest side of an image that has an SSIM.
pub const SMALLEST_SSIM: usize = TAPS;

/// The mean of the channels' SSIM, in [-1, 1]; 1 for equal images.
///
/// # Errors
/// [`crate::Error::Shapes`] if the images differ in size or channels, [`crate::Error::TooSmall`] below [`SMALLEST_SSIM`].
pub fn ssim(a: &Pixels<'_>, b: &Pixels<'_>) -> Result<f64> {
    let channels = ssim_channels(a, b)?;
    Ok(channels.iter().sum::<f64>() / channels.len() as f64)
}

/// The SSIM of each channel.
///
/// # Errors
/// As [`ssim`].
pub fn ssim_channels(a: &Pixels<'_>, b: &Pixels<'_>) -> Result<Vec<f64>> {
    check(a, b)?;
    Ok(Plane::channels(a).iter().zip(&Plane::channels(b)).map(|(a, b)| similarity(a, b).ssim).collect())
}

/// The SSIM of luma, 0.299 R + 0.587 G + 0.114 B, as in the paper. It is another number than the mean of the channels.
///
/// # Errors
/// As [`ssim`].
pub fn ssim_luma(a: &Pixels<'_>, b: &Pixels<'_>) -> Result<f64> {
    check(a, b)?;
    Ok(similarity(&Plane::luma(a), &Plane::luma(b)).ssim)
}

fn check(a: &Pixels<'_>, b: &Pixels<'_>) -> Result<()> {
    a.require_same_shape(b)?;
    a.require_side(SMALLEST_SSIM, "SSIM")
}
