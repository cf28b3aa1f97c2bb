//! Pooling of planes of height and width `(h, w)`.
use crate::cpu::real::Real;
use crate::dispatch::isa;
use crate::isa::vectorised;
use crate::spec::pool::Pool2d;
use rayon::prelude::*;
use std::ops::Range;

/// The pooling whose windows are four pixels side by side.
const PAIRS: Pool2d = Pool2d::new(2, 2);

/// NaN counts as larger than all numbers.
#[inline(always)]
fn larger<T: Real>(x: T, y: T) -> bool {
    (x > y) | (x.is_nan() & !y.is_nan())
}

/// The maximum of each window, `(ho, wo)` of them in a plane; NaN counts as larger than all numbers.
pub(crate) fn max_pool<T: Real>(x: &[T], (h, w): (usize, usize), p: &Pool2d, (ho, wo): (usize, usize)) -> Vec<T> {
    let isa = isa();
    let mut out = vec![T::zero(); x.len() / (h * w) * ho * wo];
    out.par_chunks_mut(ho * wo).zip(x.par_chunks(h * w)).for_each(|(out, x)| {
        if *p == PAIRS {
            return max_of_pairs(x, w, wo, out);
        }
        let mut columns = vec![T::zero(); w];
        for (oy, row) in out.chunks_mut(wo).enumerate() {
            let rows = p.window(oy, h);
            columns.copy_from_slice(&x[rows.start * w..][..w]);
            for y in rows.start + 1..rows.end {
                raise(isa, &mut columns, &x[y * w..(y + 1) * w]);
            }
            for (ox, o) in row.iter_mut().enumerate() {
                let window = &columns[p.window(ox, w)];
                *o = window[1..].iter().fold(window[0], |m, &v| if larger(v, m) { v } else { m });
            }
        }
    });
    out
}

/// [`max_pool`] of one plane by [`PAIRS`].
fn max_of_pairs<T: Real>(x: &[T], w: usize, wo: usize, out: &mut [T]) {
    for (oy, row) in out.chunks_mut(wo).enumerate() {
        let (a, b) = x[2 * oy * w..(2 * oy + 2) * w].split_at(w);
        for ((o, a), b) in row.iter_mut().zip(a.chunks_exact(2)).zip(b.chunks_exact(2)) {
            *o = [a[1], b[0], b[1]].into_iter().fold(a[0], |m, v| if v > m || v.is_nan() { v } else { m });
        }
    }
}

vectorised! {
    /// `to = max(to, x)`.
    fn raise<T: Real>(to: &mut [T], x: &[T]) {
        for (m, &v) in to.iter_mut().zip(x) {
            *m = if larger(v, *m) { v } else { *m };
        }
    }
}

/// The gradient of [`max_pool`] from its input `x` and the output's gradient `dy`. Each goes to the first maximum of its window.
pub(crate) fn max_pool_backward<T: Real>(
    x: &[T],
    dy: &[T],
    (h, w): (usize, usize),
    p: &Pool2d,
    (ho, wo): (usize, usize),
) -> Vec<T> {
    let isa = isa();
    let mut out = vec![T::zero(); x.len()];
    out.par_chunks_mut(h * w).zip(x.par_chunks(h * w).zip(dy.par_chunks(ho * wo))).for_each(|(out, (x, d))| {
        for (oy, d) in d.chunks_exact(wo).enumerate() {
            if *p == PAIRS {
                let (top, bottom) = x[2 * oy * w..(2 * oy + 2) * w].split_at(w);
                let (to_top, to_bottom) = out[2 * oy * w..(2 * oy + 2) * w].split_at_mut(w);
                spread_maximum(isa, [top, bottom], d, to_top, to_bottom);
                continue;
            }
            for (ox, &d) in d.iter().enumerate() {
                out[first_maximum(x, w, p.window(oy, h), p.window(ox, w))] += d;
            }
        }
    });
    out
}

/// Where in the plane the first maximum of a window is, in row-major order.
fn first_maximum<T: Real>(x: &[T], w: usize, rows: Range<usize>, columns: Range<usize>) -> usize {
    let mut best = rows.start * w + columns.start;
    for at in rows.flat_map(|y| columns.clone().map(move |x| y * w + x)) {
        if larger(x[at], x[best]) {
            best = at;
        }
    }
    best
}

vectorised! {
    /// Gives each gradient to the first maximum of its window (NaN counts as larger than all numbers, as in the forward
    /// pass). Written without branches.
    fn spread_maximum<T: Real>(x: [&[T]; 2], d: &[T], top: &mut [T], bottom: &mut [T]) {
        let pairs = x[0].chunks_exact(2).zip(x[1].chunks_exact(2));
        let out = top.chunks_exact_mut(2).zip(bottom.chunks_exact_mut(2));
        for (((a, b), (top, bottom)), &d) in pairs.zip(out).zip(d) {
            let right = larger(a[1], a[0]);
            let left_below = larger(b[0], if right { a[1] } else { a[0] });
            let best = if left_below { b[0] } else if right { a[1] } else { a[0] };
            let right_below = larger(b[1], best);
            let below = left_below | right_below;
            top[0] = if below | right { T::zero() } else { d };
            top[1] = if right & !below { d } else { T::zero() };
            bottom[0] = if left_below & !right_below { d } else { T::zero() };
            bottom[1] = if right_below { d } else { T::zero() };
        }
    }
}

/// The average of each window's pixels, `(ho, wo)` windows in a plane.
pub(crate) fn avg_pool<T: Real>(x: &[T], (h, w): (usize, usize), p: &Pool2d, (ho, wo): (usize, usize)) -> Vec<T> {
    let mut out = vec![T::zero(); x.len() / (h * w) * ho * wo];
    out.par_chunks_mut(ho * wo).zip(x.par_chunks(h * w)).for_each(|(out, x)| {
        let mut columns = vec![T::zero(); w];
        for (oy, row) in out.chunks_mut(wo).enumerate() {
            let rows = p.window(oy, h);
            columns.fill(T::zero());
            for y in rows.clone() {
                for (s, &v) in columns.iter_mut().zip(&x[y * w..(y + 1) * w]) {
                    *s += v;
                }
            }
            for (ox, o) in row.iter_mut().enumerate() {
                let cols = p.window(ox, w);
                let count = T::of((rows.len() * cols.len()) as f64);
                *o = columns[cols].iter().fold(T::zero(), |sum, &v| sum + v) / count;
            }
        }
    });
    out
}

/// The gradient of [`avg_pool`] for an input of `(h, w)` from the output's gradient `dy`.
pub(crate) fn avg_pool_backward<T: Real>(
    dy: &[T],
    (h, w): (usize, usize),
    p: &Pool2d,
    (ho, wo): (usize, usize),
) -> Vec<T> {
    let mut out = vec![T::zero(); dy.len() / (ho * wo) * h * w];
    out.par_chunks_mut(h * w).zip(dy.par_chunks(ho * wo)).for_each(|(out, d)| {
        let mut columns = vec![T::zero(); w];
        for oy in 0..ho {
            let rows = p.window(oy, h);
            columns.fill(T::zero());
            for ox in 0..wo {
                let cols = p.window(ox, w);
                let share = d[oy * wo + ox] / T::of((rows.len() * cols.len()) as f64);
                for s in &mut columns[cols] {
                    *s += share;
                }
            }
            for y in rows {
                for (o, &s) in out[y * w..(y + 1) * w].iter_mut().zip(&columns) {
                    *o += s;
                }
            }
        }
    });
    out
}
