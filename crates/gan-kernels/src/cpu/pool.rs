//! Pooling of planes of height and width `(h, w)`.
use crate::cpu::elementwise::for_overwrite;
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
    let mut out = for_overwrite(x.len() / (h * w) * ho * wo);
    let planes = out.par_chunks_mut(ho * wo).zip(x.par_chunks(h * w));
    planes.for_each_init(
        || vec![T::zero(); w],
        |columns, (out, x)| match *p {
            PAIRS => max_of_pairs(x, w, wo, out),
            p => max_of_plane(isa, x, columns, p, wo, out),
        },
    );
    out
}

vectorised! {
    /// [`max_pool`] of one plane, `wo` windows in a row. `columns` has room for a row: the maxima of the window's rows.
    fn max_of_plane<T: Real>(x: &[T], columns: &mut [T], p: Pool2d, wo: usize, out: &mut [T]) {
        let w = columns.len();
        let whole = p.whole_windows(wo, w);
        for (oy, out) in out.chunks_exact_mut(wo).enumerate() {
            let rows = p.window(oy, x.len() / w);
            columns.copy_from_slice(&x[rows.start * w..][..w]);
            for row in x[rows.start * w..rows.end * w].chunks_exact(w).skip(1) {
                for (m, &v) in columns.iter_mut().zip(row) {
                    *m = if larger(v, *m) { v } else { *m };
                }
            }
            for (ox, o) in out.iter_mut().enumerate().filter(|(ox, _)| !whole.contains(ox)) {
                let window = &columns[p.window(ox, w)];
                *o = window[1..].iter().fold(window[0], |m, &v| if larger(v, m) { v } else { m });
            }
            if whole.is_empty() {
                continue;
            }
            // Maxima of neighbors, and of these again: every value becomes the maximum of the window that it begins.
            for _ in 1..p.kernel {
                for i in 0..w - 1 {
                    let next = columns[i + 1];
                    columns[i] = if larger(next, columns[i]) { next } else { columns[i] };
                }
            }
            let values = columns[whole.start * p.stride - p.padding..].iter().step_by(p.stride);
            for (o, &v) in out[whole.clone()].iter_mut().zip(values) {
                *o = v;
            }
        }
    }
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
    let isa = isa();
    let mut out = for_overwrite(x.len() / (h * w) * ho * wo);
    let planes = out.par_chunks_mut(ho * wo).zip(x.par_chunks(h * w));
    // Planes may be so small that rows do not fill vectors: where the size is kept, both are summed as if they were one row.
    let together = p.stride == 1 && (ho, wo) == (h, w);
    planes.for_each_init(
        || vec![T::zero(); if together { h * w } else { w }],
        |sums, (out, x)| match together {
            true => average_of_plane(isa, x, sums, *p, w, out),
            false => average_of_rows(isa, x, sums, *p, wo, out),
        },
    );
    out
}

vectorised! {
    /// [`avg_pool`] of one plane whose rows of `w` pixels remain as many. `sums` has room for a plane: the sums of the window's rows.
    fn average_of_plane<T: Real>(x: &[T], sums: &mut [T], p: Pool2d, w: usize, out: &mut [T]) {
        let (len, h) = (x.len(), x.len() / w);
        sums.fill(T::zero());
        out.fill(T::zero());
        for k in 0..p.kernel {
            // Output i sees the input at i + k - padding.
            let (ahead, behind) = (k.saturating_sub(p.padding), p.padding.saturating_sub(k));
            if ahead.max(behind) < h {
                for (s, &v) in sums[behind * w..len - ahead * w].iter_mut().zip(&x[ahead * w..len - behind * w]) {
                    *s += v;
                }
            }
        }
        for k in 0..p.kernel {
            let (ahead, behind) = (k.saturating_sub(p.padding), p.padding.saturating_sub(k));
            if ahead.max(behind) < len {
                for (o, &s) in out[behind..len - ahead].iter_mut().zip(&sums[ahead..len - behind]) {
                    *o += s;
                }
            }
        }
        let whole = p.whole_windows(h, h);
        let count = T::of((p.kernel * p.kernel) as f64);
        for o in out[whole.start * w..whole.end * w].iter_mut() {
            *o /= count;
        }
        let columns = p.whole_windows(w, w);
        for (y, (out, sums)) in out.chunks_exact_mut(w).zip(sums.chunks_exact(w)).enumerate() {
            let rows = p.window(y, h).len();
            if !whole.contains(&y) {
                for o in out.iter_mut() {
                    *o /= T::of((rows * p.kernel) as f64);
                }
            }
            // What windows at the left and right border saw of other rows does not count.
            for i in (0..columns.start).chain(columns.end..w) {
                let window = &sums[p.window(i, w)];
                out[i] = window.iter().fold(T::zero(), |sum, &v| sum + v) / T::of((rows * window.len()) as f64);
            }
        }
    }
}

vectorised! {
    /// [`avg_pool`] of one plane, `wo` windows in a row. `columns` has room for a row: the sums of the window's rows.
    fn average_of_rows<T: Real>(x: &[T], columns: &mut [T], p: Pool2d, wo: usize, out: &mut [T]) {
        let w = columns.len();
        for (oy, out) in out.chunks_exact_mut(wo).enumerate() {
            let rows = p.window(oy, x.len() / w);
            columns.fill(T::zero());
            for row in x[rows.start * w..rows.end * w].chunks_exact(w) {
                for (s, &v) in columns.iter_mut().zip(row) {
                    *s += v;
                }
            }
            for (ox, o) in out.iter_mut().enumerate() {
                let window = &columns[p.window(ox, w)];
                let count = T::of((rows.len() * window.len()) as f64);
                *o = window.iter().fold(T::zero(), |sum, &v| sum + v) / count;
            }
        }
    }
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
