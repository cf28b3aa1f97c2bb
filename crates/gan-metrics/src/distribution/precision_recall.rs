//! Improved precision and recall (Kynkäänniemi et al., "Improved precision and recall metric for assessing generative models",
//! NeurIPS 2019), on the features of the Inception network as torch-fidelity computes them. (The paper uses VGG16's.)

use super::features::Features;
use super::linear_algebra::inner_products;
use crate::Result;

/// Images of one set whose distances are held at a time, and of the other that are multiplied at a time.
const ROWS: usize = 256;
const COLUMNS: usize = 4096;

/// How many generated images look real, and how much of the real set they cover; all in [0, 1].
#[derive(Debug, Clone, PartialEq)]
pub struct PrecisionRecall {
    /// For each generated image, whether it lies in the ball of a real one.
    pub generated_inside: Vec<bool>,
    /// For each real image, whether it lies in the ball of a generated one.
    pub real_inside: Vec<bool>,
}

impl PrecisionRecall {
    /// The share of generated images that lie among the real ones.
    pub fn precision(&self) -> f64 {
        share(&self.generated_inside)
    }

    /// The share of real images that lie among the generated ones.
    pub fn recall(&self) -> f64 {
        share(&self.real_inside)
    }

    /// The harmonic mean of both.
    pub fn f_score(&self) -> f64 {
        let (p, r) = (self.precision(), self.recall());
        2.0 * p * r / (p + r).max(1e-5)
    }
}

fn share(inside: &[bool]) -> f64 {
    inside.iter().filter(|inside| **inside).count() as f64 / inside.len() as f64
}

/// Precision and recall. The ball of an image reaches to its `k`-th nearest neighbour in its own set; 3 is usual.
///
/// # Errors
/// [`crate::Error::TooFew`] for sets of no more than `k` images, [`crate::Error::Features`] for vectors of different lengths.
pub fn precision_recall(generated: &Features, real: &Features, k: usize) -> Result<PrecisionRecall> {
    generated.require_pair(real, "precision and recall", k + 1)?;
    let radii_generated = radii(generated, k)?;
    let radii_real = radii(real, k)?;
    let mut generated_inside = vec![false; generated.len()];
    let mut real_inside = vec![false; real.len()];
    distances(generated, real, |g, squares| {
        for (r, square) in squares.iter().enumerate() {
            generated_inside[g] |= *square <= radii_real[r];
            real_inside[r] |= *square <= radii_generated[g];
        }
    })?;
    Ok(PrecisionRecall { generated_inside, real_inside })
}

/// For each image the squared distance to its `k`-th nearest neighbour.
fn radii(set: &Features, k: usize) -> Result<Vec<f64>> {
    let mut radii = Vec::with_capacity(set.len());
    distances(set, set, |i, squares| {
        // By the formula an image may be a little away from itself.
        squares[i] = 0.0;
        radii.push(*squares.select_nth_unstable_by(k, f64::total_cmp).1);
    })?;
    Ok(radii)
}

/// Calls `seen` with each row of squared distances, in order.
fn distances(x: &Features, y: &Features, mut seen: impl FnMut(usize, &mut [f64])) -> Result<()> {
    let norms = |set: &Features| -> Vec<f64> {
        let square = |v: &f32| f64::from(*v) * f64::from(*v);
        (0..set.len()).map(|i| set.row(i).iter().map(square).sum()).collect()
    };
    let (norms_x, norms_y) = (norms(x), norms(y));
    let all: Vec<usize> = (0..x.len().max(y.len())).collect();
    for rows in all[..x.len()].chunks(ROWS) {
        let mut squares = vec![0.0; rows.len() * y.len()];
        for columns in all[..y.len()].chunks(COLUMNS) {
            let products = inner_products(x, rows, y, columns)?;
            for (i, products) in products.chunks_exact(columns.len()).enumerate() {
                let out = &mut squares[i * y.len() + columns[0]..][..columns.len()];
                for ((out, product), column) in out.iter_mut().zip(products).zip(columns) {
                    *out = (norms_x[rows[i]] + norms_y[*column] - 2.0 * product).max(0.0);
                }
            }
        }
        rows.iter().zip(squares.chunks_exact_mut(y.len())).for_each(|(row, squares)| seen(*row, squares));
    }
    Ok(())
}
