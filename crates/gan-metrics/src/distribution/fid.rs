//! The Fréchet Inception Distance (Heusel et al., "GANs trained by a two time-scale update rule converge to a local Nash
//! equilibrium", NeurIPS 2017).

use super::features::Features;
use super::linear_algebra::nuclear_norm_of_product;
use crate::Result;

/// The distance of two normal distributions, |μ₁ - μ₂|² + tr Σ₁ + tr Σ₂ - 2 tr √(Σ₁ Σ₂), and its terms.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fid {
    /// The distance; 0 for equal sets.
    pub value: f64,
    /// |μ₁ - μ₂|².
    pub mean_term: f64,
    /// tr Σ₁ and tr Σ₂, covariances with the divisor n - 1.
    pub traces: [f64; 2],
    /// tr √(Σ₁ Σ₂).
    pub root_trace: f64,
}

/// The FID of two sets.
///
/// The trace of the root is the sum of the singular values of X Yᵀ / √((n₁-1)(n₂-1)), where X and Y are the centred features. That
/// needs no root of a singular matrix: with fewer images than dimensions the packages' way is off by about 1e-6, and here the result
/// is exact to rounding. FID is biased upwards by about 1/n: compare only sets of equal size.
///
/// # Errors
/// [`crate::Error::TooFew`] below two images, [`crate::Error::Features`] for vectors of different lengths.
pub fn fid(x: &Features, y: &Features) -> Result<Fid> {
    x.require_pair(y, "FID", 2)?;
    let (mean_x, mean_y) = (x.mean(), y.mean());
    let mean_term = mean_x.iter().zip(&mean_y).map(|(x, y)| (x - y) * (x - y)).sum::<f64>();
    let traces = [trace(x, &mean_x), trace(y, &mean_y)];
    let norm = nuclear_norm_of_product((x, &mean_x), (y, &mean_y))?;
    let root_trace = norm / (((x.len() - 1) as f64) * ((y.len() - 1) as f64)).sqrt();
    // Rounding may leave the distance of equal sets below 0.
    let value = (mean_term + traces[0] + traces[1] - 2.0 * root_trace).max(0.0);
    Ok(Fid { value, mean_term, traces, root_trace })
}

/// The trace of the covariance.
fn trace(set: &Features, mean: &[f64]) -> f64 {
    let square = |(v, mean): (&f32, &f64)| (f64::from(*v) - mean) * (f64::from(*v) - mean);
    let rows = (0..set.len()).map(|i| set.row(i).iter().zip(mean).map(square).sum::<f64>());
    rows.sum::<f64>() / (set.len() - 1) as f64
}
