//! What the metrics ask of linear algebra, in f64 and with a fixed order of every sum: each call runs on one thread, and work is
//! cut among threads by its shape.

use super::features::Features;
use crate::{Error, Result};
use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, Par};
use rayon::prelude::*;

/// Rows that are taken together: of a factorisation, and of a product that one thread computes.
const FACTORED: usize = 2048;
const MULTIPLIED: usize = 128;

/// The sum of the singular values of X Yᵀ, where X and Y are the sets less their means.
pub(super) fn nuclear_norm_of_product(x: (&Features, &[f64]), y: (&Features, &[f64])) -> Result<f64> {
    let (a, b) = rayon::join(|| factor(x.0, x.1), || factor(y.0, y.1));
    // The smaller side first makes no difference to the values, and a tall matrix is factored faster than a wide one.
    let (tall, wide) = if a.nrows() >= b.nrows() { (&a, &b) } else { (&b, &a) };
    let mut product = Mat::zeros(tall.nrows(), wide.nrows());
    matmul(product.as_mut(), Accum::Replace, tall.as_ref(), wide.as_ref().transpose(), 1.0, Par::Seq);
    let values = product.singular_values().map_err(|_| Error::Features("their singular values cannot be found".into()))?;
    Ok(values.iter().sum())
}

/// A matrix A with AᵀA = XᵀX, where X is the set less its mean: X itself, or the triangle R of its QR factorisation if that has
/// fewer rows. A root of the covariance would lose half of the digits of small singular values.
fn factor(set: &Features, mean: &[f64]) -> Mat<f64> {
    let (n, d) = (set.len(), set.dimensions());
    let centred = |row: usize, column: usize| f64::from(set.row(row)[column]) - mean[column];
    if n <= d {
        return Mat::from_fn(n, d, centred);
    }
    let mut triangle: Mat<f64> = Mat::zeros(0, d);
    for first in (0..n).step_by(FACTORED) {
        let above = triangle.nrows();
        let rows = above + FACTORED.min(n - first);
        let stacked = Mat::from_fn(rows, d, |row, column| match row.checked_sub(above) {
            None => triangle[(row, column)],
            Some(row) => centred(first + row, column),
        });
        triangle = stacked.qr().thin_R().to_owned();
    }
    triangle
}

/// The inner products of chosen vectors, `[rows.len()][columns.len()]`, row by row.
pub(super) fn inner_products(x: &Features, rows: &[usize], y: &Features, columns: &[usize]) -> Vec<f64> {
    let d = x.dimensions();
    let y = Mat::from_fn(d, columns.len(), |i, j| f64::from(y.row(columns[j])[i]));
    let mut out = vec![0.0; rows.len() * columns.len()];
    out.par_chunks_mut(MULTIPLIED * columns.len().max(1)).zip(rows.par_chunks(MULTIPLIED)).for_each(|(out, rows)| {
        // Columns of the one are rows of the other: both are written where their memory is contiguous.
        let x = Mat::from_fn(d, rows.len(), |i, j| f64::from(x.row(rows[j])[i]));
        let out = faer::MatMut::from_column_major_slice_mut(out, columns.len(), rows.len());
        matmul(out, Accum::Replace, y.as_ref().transpose(), x.as_ref(), 1.0, Par::Seq);
    });
    out
}
