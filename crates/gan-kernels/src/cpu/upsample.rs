//! Nearest upsampling of planes of height and width `(h, w)`.
use crate::cpu::real::Real;
use rayon::prelude::*;

/// Repeats every pixel `factor` × `factor` times.
pub(crate) fn upsample_nearest<T: Real>(x: &[T], (h, w): (usize, usize), factor: usize) -> Vec<T> {
    let mut out = vec![T::zero(); x.len() * factor * factor];
    out.par_chunks_mut(h * w * factor * factor).zip(x.par_chunks(h * w)).for_each(|(out, x)| {
        for (rows, x) in out.chunks_mut(factor * factor * w).zip(x.chunks(w)) {
            let (first, others) = rows.split_at_mut(factor * w);
            for (o, &v) in first.chunks_mut(factor).zip(x) {
                o.fill(v);
            }
            for row in others.chunks_mut(factor * w) {
                row.copy_from_slice(first);
            }
        }
    });
    out
}

/// The gradient of [`upsample_nearest`] for an input of `(h, w)`: the sum of each block of `dy`.
pub(crate) fn upsample_nearest_backward<T: Real>(dy: &[T], (h, w): (usize, usize), factor: usize) -> Vec<T> {
    let mut out = vec![T::zero(); dy.len() / (factor * factor)];
    out.par_chunks_mut(h * w).zip(dy.par_chunks(h * w * factor * factor)).for_each(|(out, d)| {
        for (o, rows) in out.chunks_mut(w).zip(d.chunks(factor * factor * w)) {
            for row in rows.chunks(factor * w) {
                for (o, block) in o.iter_mut().zip(row.chunks(factor)) {
                    *o += block.iter().fold(T::zero(), |sum, &v| sum + v);
                }
            }
        }
    });
    out
}
