//! Metrics of single samples: their differences, averaged over all samples of all channels.

use super::{DATA_RANGE, Pixels};
use crate::Result;

/// Sums of whole numbers are exact, in whatever order threads would add them.
fn sum(a: &Pixels<'_>, b: &Pixels<'_>, term: impl Fn(u8) -> u64) -> Result<f64> {
    a.require_same_shape(b)?;
    let total: u64 = a.samples().iter().zip(b.samples()).map(|(a, b)| term(a.abs_diff(*b))).sum();
    Ok(total as f64)
}

/// The mean absolute error (L1), in levels of 0 … 255.
///
/// # Errors
/// [`crate::Error::Shapes`] if the images differ in size or channels.
pub fn mae(a: &Pixels<'_>, b: &Pixels<'_>) -> Result<f64> {
    Ok(sum(a, b, u64::from)? / a.samples().len() as f64)
}

/// The mean squared error, in squared levels.
///
/// # Errors
/// As [`mae`].
pub fn mse(a: &Pixels<'_>, b: &Pixels<'_>) -> Result<f64> {
    Ok(sum(a, b, |d| u64::from(d) * u64::from(d))? / a.samples().len() as f64)
}

/// The peak signal-to-noise ratio in dB, 10 log10(255² / MSE) with one MSE over all channels; infinite for equal images.
///
/// The score of a set is the mean of its images' ratios. (Some libraries pool the squared errors of the set instead.)
///
/// # Errors
/// As [`mae`].
pub fn psnr(a: &Pixels<'_>, b: &Pixels<'_>) -> Result<f64> {
    Ok(10.0 * (DATA_RANGE * DATA_RANGE / mse(a, b)?).log10())
}
