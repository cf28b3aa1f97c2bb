//! What the metrics ask of linear algebra, in f64. Every sum has a fixed order: work is cut among threads by its shape.

use super::features::Features;
use crate::Result;
use candle_core::{Device, Tensor};
use nalgebra::DMatrix;

/// Images of which products are made at a time.
const BLOCK: usize = 512;

/// Rows of a factor after which the rest of the matrix is brought up to date.
const PANEL: usize = 64;

/// The sum of the singular values of X Yᵀ, where X and Y are the sets less their means.
pub(super) fn nuclear_norm_of_product(x: (&Features, &[f64]), y: (&Features, &[f64])) -> Result<f64> {
    let product = factor(x.0, x.1)?.matmul(&factor(y.0, y.1)?.t()?)?;
    let (rows, columns) = product.dims2()?;
    let values = product.flatten_all()?.to_vec1::<f64>()?;
    Ok(DMatrix::from_row_slice(rows, columns, &values).singular_values_unordered().sum())
}

/// A matrix A with AᵀA = XᵀX, where X is the set less its mean: X itself, or the Cholesky factor of XᵀX if that has fewer rows.
fn factor(set: &Features, mean: &[f64]) -> Result<Tensor> {
    let (n, d) = (set.len(), set.dimensions());
    let rows = |range: std::ops::Range<usize>| {
        let centred = range.clone().flat_map(|i| set.row(i).iter().zip(mean).map(|(v, mean)| f64::from(*v) - mean));
        Tensor::from_vec(centred.collect::<Vec<f64>>(), (range.len(), d), &Device::Cpu)
    };
    if n <= d {
        return Ok(rows(0..n)?);
    }
    let mut gram = Tensor::zeros((d, d), candle_core::DType::F64, &Device::Cpu)?;
    for first in (0..n).step_by(BLOCK) {
        let block = rows(first..n.min(first + BLOCK))?;
        gram = (gram + block.t()?.matmul(&block)?)?;
    }
    Ok(Tensor::from_vec(pivoted_cholesky(gram.flatten_all()?.to_vec1()?, d)?, (d, d), &Device::Cpu)?)
}

/// The rows of a factor A of a positive semidefinite matrix G = AᵀA, `[d][d]`: the largest pivot first, until what is left is rounding
/// (Higham, "Analysis of the Cholesky decomposition of a semi-definite matrix", 1990). Rows beyond the rank are 0.
fn pivoted_cholesky(mut left: Vec<f64>, d: usize) -> candle_core::Result<Vec<f64>> {
    let mut factor = vec![0.0; d * d];
    let mut chosen = vec![false; d];
    // The diagonal of what is left now. The rest of `left` is as it was before the panel of rows.
    let mut diagonal: Vec<f64> = left.iter().step_by(d + 1).copied().collect();
    let largest = |diagonal: &[f64]| (0..d).max_by(|a, b| diagonal[*a].total_cmp(&diagonal[*b])).unwrap_or(0);
    let negligible = diagonal[largest(&diagonal)] * f64::EPSILON * d as f64;
    for panel in factor.chunks_mut(PANEL * d) {
        for at in 0..panel.len() / d {
            let pivot = largest(&diagonal);
            if diagonal[pivot] <= negligible {
                return Ok(factor);
            }
            let (above, row) = panel.split_at_mut(at * d);
            let row = &mut row[..d];
            row.copy_from_slice(&left[pivot * d..][..d]);
            for earlier in above.chunks_exact(d) {
                row.iter_mut().zip(earlier).for_each(|(v, e)| *v -= earlier[pivot] * e);
            }
            let root = diagonal[pivot].sqrt();
            chosen[pivot] = true;
            for (j, v) in row.iter_mut().enumerate() {
                // In the columns of pivots nothing is left but rounding.
                *v = if chosen[j] { 0.0 } else { *v / root };
                diagonal[j] -= *v * *v;
            }
            (row[pivot], diagonal[pivot]) = (root, 0.0);
        }
        let rows = Tensor::from_slice(panel, (panel.len() / d, d), &Device::Cpu)?;
        let taken = rows.t()?.matmul(&rows)?.flatten_all()?.to_vec1::<f64>()?;
        left.iter_mut().zip(taken).for_each(|(left, taken)| *left -= taken);
    }
    Ok(factor)
}

/// The inner products of chosen vectors, `[rows.len()][columns.len()]`, row by row.
pub(super) fn inner_products(x: &Features, rows: &[usize], y: &Features, columns: &[usize]) -> Result<Vec<f64>> {
    let chosen = |set: &Features, indices: &[usize]| {
        let values = indices.iter().flat_map(|i| set.row(*i).iter().map(|v| f64::from(*v)));
        Tensor::from_vec(values.collect::<Vec<f64>>(), (indices.len(), set.dimensions()), &Device::Cpu)
    };
    Ok(chosen(x, rows)?.matmul(&chosen(y, columns)?.t()?)?.flatten_all()?.to_vec1()?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Values in [-1, 1] without a pattern.
    fn values(count: usize) -> impl Iterator<Item = f64> {
        (0..count).map(|i| ((i * i) as f64 * 0.731 + i as f64 * 1.37).sin())
    }

    #[test]
    fn the_factor_of_a_singular_matrix_gives_it_back() {
        let (n, d) = (5, 8);
        let rows: Vec<f64> = values(n * d).enumerate().map(|(i, v)| if i % d == 3 { 0.0 } else { v }).collect();
        let gram = |rows: &[f64]| -> Vec<f64> {
            let entry = |i: usize, j: usize| rows.chunks_exact(d).map(|row| row[i] * row[j]).sum::<f64>();
            (0..d * d).map(|at| entry(at / d, at % d)).collect()
        };
        let wanted = gram(&rows);
        let factor = pivoted_cholesky(wanted.clone(), d).unwrap();
        let error = gram(&factor).iter().zip(&wanted).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(error < 1e-13, "{error}");
        assert!(factor[n * d..].iter().all(|v| *v == 0.0), "rank {n}");
    }

    #[test]
    fn factors_of_several_panels_are_as_good() {
        let (n, d) = (300, 2 * PANEL + 17);
        let rows = Tensor::from_vec(values(n * d).collect::<Vec<_>>(), (n, d), &Device::Cpu).unwrap();
        let gram = |rows: &Tensor| -> Vec<f64> {
            rows.t().unwrap().matmul(rows).unwrap().flatten_all().unwrap().to_vec1().unwrap()
        };
        let wanted = gram(&rows);
        let factor = Tensor::from_vec(pivoted_cholesky(wanted.clone(), d).unwrap(), (d, d), &Device::Cpu).unwrap();
        let error = gram(&factor).iter().zip(&wanted).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(error < 1e-11, "{error}");
    }

    #[test]
    fn more_images_than_dimensions_give_the_same_norm() {
        let set = |n: usize, d: usize, by: f32| {
            Features::new(d, values(n * d).map(|v| v as f32 * by + 0.2).collect()).unwrap()
        };
        // Zeros beside the features change neither the products nor their singular values, but take the other way.
        let padded = |set: &Features, d: usize| {
            let rows = (0..set.len()).flat_map(|i| set.row(i).iter().copied().chain(vec![0.0; d - set.dimensions()]));
            Features::new(d, rows.collect()).unwrap()
        };
        let (x, y) = (set(40, 6, 1.0), set(30, 6, 0.7));
        let norm = |x: &Features, y: &Features| nuclear_norm_of_product((x, &x.mean()), (y, &y.mean())).unwrap();
        let (narrow, wide) = (norm(&x, &y), norm(&padded(&x, 64), &padded(&y, 64)));
        assert!((narrow - wide).abs() < 1e-12 * wide, "{narrow} {wide}");
    }
}
