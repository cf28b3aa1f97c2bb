//! The adjoint of padding: gradients of padded pixels are added to the pixels they show.
use crate::cpu::planes::Shared;
use crate::cpu::real::Real;
use crate::isa::{Isa, vectorised};
use crate::scratch::Scratch;
use crate::spec::geometry::Geometry;
use rayon::prelude::*;

/// `out[y][x] = start + Σ` of the padded plane's elements that show (y, x).
pub(crate) fn fold<T: Real>(g: &Geometry, padded: &[T], out: &mut [T], start: T) {
    out.fill(start);
    let (ph, pw) = (g.padded_h(), g.padded_w());
    let left = g.padding[1];
    let inner = left..(left + g.w).min(pw);
    for py in 0..ph {
        let Some(y) = g.source_row(py) else { continue };
        let row = &padded[py * pw..(py + 1) * pw];
        let out = &mut out[y * g.w..(y + 1) * g.w];
        for px in (0..left.min(pw)).chain(inner.end..pw) {
            if let Some(x) = g.source_column(px) {
                out[x] += row[px];
            }
        }
        if inner.start < inner.end {
            for (o, &v) in out.iter_mut().zip(&row[inner.clone()]) {
                *o += v;
            }
        }
    }
}

/// Folds the rows of padded planes `[n, ci]` one by one, as they are made. The padding's own rows are kept until the others are written.
pub(super) struct Fold<'a> {
    g: &'a Geometry,
    /// Rows of a plane's padding, above and below.
    rows: usize,
    /// `[n, ci, rows, w]`.
    kept: Scratch,
    to: Shared<f32>,
}

impl<'a> Fold<'a> {
    pub(super) fn new(g: &'a Geometry) -> Self {
        let rows = g.padding[0] + g.padded_h().saturating_sub(g.padding[0] + g.h);
        let mut kept = Scratch::take(g.n * g.ci * rows * g.w);
        let to = Shared::new(&mut kept);
        Fold { g, rows, kept, to }
    }

    /// Takes row `y` of a padded plane; `out` is `[n, ci, h, w]`.
    ///
    /// # Safety
    /// As for [`Shared::part`]: every row is taken once.
    #[allow(unsafe_code)]
    pub(super) unsafe fn take(&self, isa: Isa, padded: &[f32], plane: usize, y: usize, out: Shared<f32>) {
        let (g, top) = (self.g, self.g.padding[0]);
        let (to, row) = match y.checked_sub(top) {
            Some(own) if own < g.h => (out, plane * g.h + own),
            Some(_) => (self.to, plane * self.rows + y - g.h),
            None => (self.to, plane * self.rows + y),
        };
        // SAFETY: a row of one of the two belongs to one padded row.
        fold_row(isa, g, padded, unsafe { to.part(row * g.w, g.w) });
    }

    /// Adds the padding's rows to those they show.
    pub(super) fn finish(self, out: &mut [f32]) {
        let (g, top, end) = (self.g, self.g.padding[0], self.g.padded_h());
        out.par_chunks_mut(g.h * g.w).enumerate().for_each(|(plane, out)| {
            // Rows that no window reaches.
            out[(end.saturating_sub(top) * g.w).min(g.h * g.w)..].fill(0.0);
            for (i, row) in self.kept[plane * self.rows * g.w..][..self.rows * g.w].chunks_exact(g.w).enumerate() {
                let padded = if i < top { i } else { i + g.h };
                if let Some(y) = g.source_row(padded).filter(|_| padded < end) {
                    out[y * g.w..][..g.w].iter_mut().zip(row).for_each(|(out, &v)| *out += v);
                }
            }
        });
    }
}

vectorised! {
    /// `out[x] = Σ` of the padded row's elements that show x.
    fn fold_row(g: &Geometry, padded: &[f32], out: &mut [f32]) {
        let left = g.padding[1].min(padded.len());
        let inner = &padded[left..(left + g.w).min(padded.len())];
        let (own, rest) = out.split_at_mut(inner.len());
        own.copy_from_slice(inner);
        rest.fill(0.0);
        for px in (0..left).chain(left + inner.len()..padded.len()) {
            if let Some(x) = g.source_column(px) {
                out[x] += padded[px];
            }
        }
    }
}
