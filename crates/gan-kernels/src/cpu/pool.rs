//! Pooling of planes of height and width `(h, w)`.
use crate::cpu::real::Real;
use crate::dispatch::isa;
use crate::isa::vectorised;
use rayon::prelude::*;

/// The maximum of each 2x2 window; NaN counts as larger than all numbers.
pub(crate) fn max_pool2<T: Real>(x: &[T], (h, w): (usize, usize)) -> Vec<T> {
    let (ho, wo) = (h / 2, w / 2);
    let mut out = vec![T::zero(); x.len() / (h * w) * ho * wo];
    out.par_chunks_mut(ho * wo).zip(x.par_chunks(h * w)).for_each(|(out, x)| {
        for (oy, row) in out.chunks_mut(wo).enumerate() {
            let (a, b) = x[2 * oy * w..(2 * oy + 2) * w].split_at(w);
            for ((o, a), b) in row.iter_mut().zip(a.chunks_exact(2)).zip(b.chunks_exact(2)) {
                *o = [a[1], b[0], b[1]].into_iter().fold(a[0], |m, v| if v > m || v.is_nan() { v } else { m });
            }
        }
    });
    out
}

/// The gradient of [`max_pool2`] from its input `x` and the output's gradient `dy`.
pub(crate) fn max_pool2_backward<T: Real>(x: &[T], dy: &[T], (h, w): (usize, usize)) -> Vec<T> {
    let ((ho, wo), isa) = ((h / 2, w / 2), isa());
    let mut out = vec![T::zero(); x.len()];
    out.par_chunks_mut(h * w).zip(x.par_chunks(h * w).zip(dy.par_chunks(ho * wo))).for_each(|(out, (x, d))| {
        for (oy, d) in d.chunks_exact(wo).enumerate() {
            let (top, bottom) = x[2 * oy * w..(2 * oy + 2) * w].split_at(w);
            let (to_top, to_bottom) = out[2 * oy * w..(2 * oy + 2) * w].split_at_mut(w);
            spread_maximum(isa, [top, bottom], d, to_top, to_bottom);
        }
    });
    out
}

vectorised! {
    /// Gives each gradient to the first maximum of its window (NaN counts as larger than all numbers, as in the forward
    /// pass). Written without branches.
    fn spread_maximum<T: Real>(x: [&[T]; 2], d: &[T], top: &mut [T], bottom: &mut [T]) {
        let pairs = x[0].chunks_exact(2).zip(x[1].chunks_exact(2));
        let out = top.chunks_exact_mut(2).zip(bottom.chunks_exact_mut(2));
        for (((a, b), (top, bottom)), &d) in pairs.zip(out).zip(d) {
            let larger = |x: T, y: T| (x > y) | (x.is_nan() & !y.is_nan());
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

/// The window of output position `o` along an axis of `size` pixels: 3 wide, centred on `2 · o`, cut at the border.
#[inline(always)]
fn window(o: usize, size: usize) -> std::ops::Range<usize> {
    (2 * o).saturating_sub(1)..(2 * o + 2).min(size)
}

/// The average of each 3x3 window with stride 2, of the pixels that lie in the plane.
pub(crate) fn avg_pool3s2<T: Real>(x: &[T], (h, w): (usize, usize)) -> Vec<T> {
    let (ho, wo) = (h.div_ceil(2), w.div_ceil(2));
    let mut out = vec![T::zero(); x.len() / (h * w) * ho * wo];
    out.par_chunks_mut(ho * wo).zip(x.par_chunks(h * w)).for_each(|(out, x)| {
        let mut columns = vec![T::zero(); w];
        for (oy, row) in out.chunks_mut(wo).enumerate() {
            let rows = window(oy, h);
            columns.fill(T::zero());
            for y in rows.clone() {
                for (s, &v) in columns.iter_mut().zip(&x[y * w..(y + 1) * w]) {
                    *s += v;
                }
            }
            for (ox, o) in row.iter_mut().enumerate() {
                let cols = window(ox, w);
                let count = T::of((rows.len() * cols.len()) as f64);
                *o = columns[cols].iter().fold(T::zero(), |sum, &v| sum + v) / count;
            }
        }
    });
    out
}

/// The gradient of [`avg_pool3s2`] for an input of `(h, w)` from the output's gradient `dy`.
pub(crate) fn avg_pool3s2_backward<T: Real>(dy: &[T], (h, w): (usize, usize)) -> Vec<T> {
    let (ho, wo) = (h.div_ceil(2), w.div_ceil(2));
    let mut out = vec![T::zero(); dy.len() / (ho * wo) * h * w];
    out.par_chunks_mut(h * w).zip(dy.par_chunks(ho * wo)).for_each(|(out, d)| {
        spread(d, out, (ho, wo), (h, w));
    });
    out
}

fn spread<T: Real>(d: &[T], out: &mut [T], (ho, wo): (usize, usize), (h, w): (usize, usize)) {
    let mut columns = vec![T::zero(); w];
    for oy in 0..ho {
        let rows = window(oy, h);
        columns.fill(T::zero());
        for ox in 0..wo {
            let cols = window(ox, w);
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
}
