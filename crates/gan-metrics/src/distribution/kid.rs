//! The Kernel Inception Distance (Bińkowski et al., "Demystifying MMD GANs", ICLR 2018).

use super::features::Features;
use super::linear_algebra::inner_products;
use super::subsets::Subsets;
use crate::Result;
use crate::bootstrap::{Interval, percentile_interval};
use gan_rng::{Key, Purpose};
use rayon::prelude::*;

/// Images of a set that the interval is computed from.
const SAMPLED: usize = 1000;
/// Fewest images of which bootstrap samples say anything.
const SMALLEST_BOOTSTRAP: usize = 10;
/// Bootstrap samples of the interval.
const REPLICATES: u64 = 500;

/// The estimates of a pair of sets.
#[derive(Debug, Clone, PartialEq)]
pub struct Kid {
    /// The estimate of each pair of subsets. Each is unbiased, so that values slightly below 0 are right.
    pub values: Vec<f64>,
}

impl Kid {
    /// The mean over subsets: what papers report, often times 100 or 1000.
    pub fn mean(&self) -> f64 {
        self.values.iter().sum::<f64>() / self.values.len() as f64
    }

    /// The standard deviation over subsets, with the divisor n.
    pub fn std(&self) -> f64 {
        let mean = self.mean();
        (self.values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / self.values.len() as f64).sqrt()
    }
}

/// The KID of two sets: the squared maximum mean discrepancy with the kernel (x·y / d + 1)³, unbiased, over pairs of subsets.
///
/// # Errors
/// [`crate::Error::TooFew`] if a set is smaller than [`Subsets`] allows, [`crate::Error::Features`] for vectors of different lengths.
pub fn kid(x: &Features, y: &Features, subsets: Subsets) -> Result<Kid> {
    x.require_pair(y, "KID", subsets.smallest_set())?;
    kid_of(x, y, &subsets.draw(x.len(), y.len()))
}

/// The KID over pairs of subsets that are given by the indices of their images, of `x` and of `y`.
///
/// # Errors
/// [`crate::Error::Features`] for indices that are out of range, for subsets of fewer than two images, and for vectors of different lengths.
pub fn kid_of(x: &Features, y: &Features, subsets: &[[Vec<usize>; 2]]) -> Result<Kid> {
    x.require_pair(y, "KID", 2)?;
    let sound = |subset: &[usize], of: &Features| subset.len() > 1 && subset.iter().all(|i| *i < of.len());
    if subsets.is_empty() || !subsets.iter().all(|[i, j]| sound(i, x) && sound(j, y)) {
        return Err(crate::Error::Features("the subsets are no subsets of theirs".into()));
    }
    let values = subsets.iter().map(|pair| Ok(Kernels::of(x, y, pair)?.discrepancy())).collect::<Result<_>>()?;
    Ok(Kid { values })
}

/// Where the KID of the two distributions lies with a probability of 95 %, around the estimate `kid`: from bootstrap samples of the
/// images. Pairs of an image with itself are left out, also where it was drawn twice. From larger sets a sample of 1000 images is
/// drawn, and the interval is scaled by the root of the sizes' ratio.
///
/// # Errors
/// [`crate::Error::TooFew`] below ten images, [`crate::Error::Features`] for vectors of different lengths.
pub fn kid_interval(x: &Features, y: &Features, kid: f64, seed: u64) -> Result<Interval> {
    x.require_pair(y, "the interval of KID", SMALLEST_BOOTSTRAP)?;
    let key = Key::new(seed, Purpose::Evaluation).at_name("kid interval");
    let sample = |n: usize, key: Key| {
        let mut all: Vec<usize> = (0..n).collect();
        if n > SAMPLED {
            key.stream().shuffle(&mut all);
            all.truncate(SAMPLED);
        }
        all
    };
    let kernels = Kernels::of(x, y, &[sample(x.len(), key.at(0)), sample(y.len(), key.at(1))])?;
    let centre = kernels.discrepancy();
    let replicate = |i: u64| kernels.resampled(&key.at(2).at(i).at(0), &key.at(2).at(i).at(1));
    let values: Vec<f64> = (0..REPLICATES).into_par_iter().map(replicate).collect();
    let shrink = (kernels.sizes[0].min(kernels.sizes[1]) as f64 / x.len().min(y.len()) as f64).sqrt();
    Ok(percentile_interval(values.iter().map(|v| kid + (v - centre) * shrink).collect()))
}

/// The kernel of all pairs of two subsets.
struct Kernels {
    sizes: [usize; 2],
    within: [Vec<f64>; 2],
    across: Vec<f64>,
}

impl Kernels {
    fn of(x: &Features, y: &Features, [i, j]: &[Vec<usize>; 2]) -> Result<Self> {
        let d = x.dimensions() as f64;
        let kernel = |mut products: Vec<f64>| {
            products.iter_mut().for_each(|v| *v = (*v / d + 1.0).powi(3));
            products
        };
        Ok(Kernels {
            sizes: [i.len(), j.len()],
            within: [kernel(inner_products(x, i, x, i)?), kernel(inner_products(y, j, y, j)?)],
            across: kernel(inner_products(x, i, y, j)?),
        })
    }

    /// The unbiased estimate.
    fn discrepancy(&self) -> f64 {
        let [m, n] = self.sizes;
        self.weighted(&vec![1.0; m], &vec![1.0; n])
    }

    /// The estimate of a bootstrap sample.
    fn resampled(&self, x: &Key, y: &Key) -> f64 {
        let counts = |n: usize, key: &Key| {
            let mut stream = key.stream();
            let mut counts = vec![0.0; n];
            (0..n).for_each(|_| counts[stream.below(n as u64) as usize] += 1.0);
            counts
        };
        self.weighted(&counts(self.sizes[0], x), &counts(self.sizes[1], y))
    }

    /// The estimate in which images count so many times.
    fn weighted(&self, x: &[f64], y: &[f64]) -> f64 {
        let [xx, yy] = [(&self.within[0], x), (&self.within[1], y)].map(|(kernel, weights)| {
            let n = weights.len();
            let off_diagonal = |i: usize| {
                let row = &kernel[i * n..][..n];
                weights[i] * (dot(row, weights) - row[i] * weights[i])
            };
            let total: f64 = (0..n).map(off_diagonal).sum();
            let sum: f64 = weights.iter().sum();
            total / (sum * sum - weights.iter().map(|w| w * w).sum::<f64>())
        });
        let rows = x.iter().zip(self.across.chunks_exact(y.len()));
        let xy: f64 = rows.map(|(weight, row)| weight * dot(row, y)).sum();
        xx + yy - 2.0 * xy / (x.iter().sum::<f64>() * y.iter().sum::<f64>())
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
