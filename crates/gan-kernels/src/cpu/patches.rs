//! Features at single pixels.
use crate::cpu::real::Real;
use rayon::prelude::*;

/// The rows of images `[N, C, pixels]` at the places `at`: `[N, at, C]`.
pub(crate) fn gather<T: Real>(x: &[T], c: usize, pixels: usize, at: &[usize]) -> Vec<T> {
    let mut rows = vec![T::zero(); x.len() / pixels * at.len()];
    let per_image = x.chunks(c * pixels).zip(rows.chunks_mut(c * at.len()));
    for (x, rows) in per_image {
        rows.par_chunks_mut(c).zip(at).for_each(|(row, &at)| {
            for (r, plane) in row.iter_mut().zip(x.chunks_exact(pixels)) {
                *r = plane[at];
            }
        });
    }
    rows
}

/// Every row of `w` elements backwards.
pub(crate) fn mirrored<T: Real>(x: &[T], w: usize) -> Vec<T> {
    let mut out = x.to_vec();
    out.par_chunks_mut(w).for_each(<[T]>::reverse);
    out
}

/// Adds rows `[N, at, C]` to images `[N, C, pixels]` at the places `at`.
pub(crate) fn gather_backward<T: Real>(rows: &[T], c: usize, pixels: usize, at: &[usize], into: &mut [T]) {
    let per_image = into.chunks_mut(c * pixels).zip(rows.chunks(c * at.len()));
    for (into, rows) in per_image {
        into.par_chunks_mut(pixels).enumerate().for_each(|(channel, plane)| {
            for (row, &at) in rows.chunks_exact(c).zip(at) {
                plane[at] += row[channel];
            }
        });
    }
}
