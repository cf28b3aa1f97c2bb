//! Anti-aliased halving and doubling of planes of height and width `(h, w)`. The filters are separable: rows are mixed first, in whole
//! vectors, then the columns of one row that stays in the cache.
use super::elementwise::for_overwrite;
use crate::cpu::real::Real;
use crate::dispatch::isa;
use crate::isa::vectorised;
use rayon::prelude::*;

/// The rows (or columns) of an axis of `n` that the three taps of output `o` see, reflected at the border.
#[inline(always)]
fn taps(o: usize, n: usize) -> [usize; 3] {
    let last = n - 1;
    let behind = if 2 * o < last { 2 * o + 1 } else { last - 1 };
    [if o == 0 { 1 } else { 2 * o - 1 }, 2 * o, behind]
}

/// `[1, 2, 1]` ⊗ `[1, 2, 1]` / 16 at every second position.
pub(crate) fn blur_pool<T: Real>(x: &[T], (h, w): (usize, usize)) -> Vec<T> {
    let (ho, wo, isa) = (h.div_ceil(2), w.div_ceil(2), isa());
    let mut out = for_overwrite(x.len() / (h * w) * ho * wo);
    out.par_chunks_mut(ho * wo).zip(x.par_chunks(h * w)).for_each(|(out, x)| {
        // A padded row, and room for a last pair.
        let mut mixed = vec![T::zero(); w + 4];
        for (oy, out) in out.chunks_exact_mut(wo).enumerate() {
            let rows = taps(oy, h).map(|y| &x[y * w..(y + 1) * w]);
            pool_row(isa, rows, &mut mixed, out, w);
        }
    });
    out
}

vectorised! {
    fn pool_row<T: Real>(rows: [&[T]; 3], mixed: &mut [T], out: &mut [T], w: usize) {
        let (two, share) = (T::of(2.0), T::of(1.0 / 16.0));
        let [above, middle, below] = rows;
        for (((m, &a), &b), &c) in mixed[1..=w].iter_mut().zip(above).zip(middle).zip(below) {
            *m = a + two * b + c;
        }
        mixed[0] = mixed[2];
        mixed[w + 1] = mixed[w - 1];
        let pairs = mixed.chunks_exact(2).zip(mixed[2..].chunks_exact(2));
        for (o, (pair, next)) in out.iter_mut().zip(pairs) {
            *o = (pair[0] + two * pair[1] + next[0]) * share;
        }
    }
}

/// The gradient of [`blur_pool`] for an input of `(h, w)` from the output's gradient `dy`.
pub(crate) fn blur_pool_backward<T: Real>(dy: &[T], (h, w): (usize, usize)) -> Vec<T> {
    let (ho, wo, isa) = (h.div_ceil(2), w.div_ceil(2), isa());
    let mut out = vec![T::zero(); dy.len() / (ho * wo) * h * w];
    out.par_chunks_mut(h * w).zip(dy.par_chunks(ho * wo)).for_each(|(out, dy)| {
        let mut spread = vec![T::zero(); w + 4];
        for (oy, dy) in dy.chunks_exact(wo).enumerate() {
            spread_row(isa, dy, &mut spread, w);
            for (y, weight) in taps(oy, h).into_iter().zip([1.0, 2.0, 1.0]) {
                add_scaled(isa, &mut out[y * w..(y + 1) * w], &spread[1..=w], T::of(weight / 16.0));
            }
        }
    });
    out
}

vectorised! {
    /// The columns' part of the gradient, in `spread[1..=w]`.
    fn spread_row<T: Real>(dy: &[T], spread: &mut [T], w: usize) {
        let two = T::of(2.0);
        let mut before = T::zero();
        for (pair, &d) in spread.chunks_exact_mut(2).zip(dy) {
            pair[0] = before + d;
            pair[1] = two * d;
            before = d;
        }
        // The last tap ends at the last column, or, behind an odd width, in the padding, which shows the column before it.
        if w.is_multiple_of(2) {
            spread[w] = before;
        } else {
            spread[w - 1] += before;
        }
        spread[2] += spread[0];
    }
}

vectorised! {
    fn add_scaled<T: Real>(out: &mut [T], x: &[T], scale: T) {
        for (o, &x) in out.iter_mut().zip(x) {
            *o += scale * x;
        }
    }
}

/// Doubles both sides; each output mixes three parts of the nearest input and one part of the next one, along both axes.
pub(crate) fn blur_upsample<T: Real>(x: &[T], (h, w): (usize, usize)) -> Vec<T> {
    let isa = isa();
    let mut out = for_overwrite(x.len() * 4);
    out.par_chunks_mut(4 * h * w).zip(x.par_chunks(h * w)).for_each(|(out, x)| {
        let mut mixed = vec![T::zero(); w + 2];
        for (oy, out) in out.chunks_exact_mut(2 * w).enumerate() {
            let (near, far) = (oy / 2, next(oy, h));
            upsample_row(isa, &x[near * w..(near + 1) * w], &x[far * w..(far + 1) * w], &mut mixed, out);
        }
    });
    out
}

/// The farther of the two inputs, along an axis of `n`, that output `o` mixes.
#[inline(always)]
fn next(o: usize, n: usize) -> usize {
    if o.is_multiple_of(2) { (o / 2).saturating_sub(1) } else { (o / 2 + 1).min(n - 1) }
}

vectorised! {
    fn upsample_row<T: Real>(near: &[T], far: &[T], mixed: &mut [T], out: &mut [T]) {
        let (three, share, w) = (T::of(3.0), T::of(1.0 / 16.0), near.len());
        for ((m, &near), &far) in mixed[1..].iter_mut().zip(near).zip(far) {
            *m = (three * near + far) * share;
        }
        mixed[0] = mixed[1];
        mixed[w + 1] = mixed[w];
        let columns = mixed.iter().zip(&mixed[1..]).zip(&mixed[2..]);
        for (pair, ((&left, &middle), &right)) in out.chunks_exact_mut(2).zip(columns) {
            pair[0] = three * middle + left;
            pair[1] = three * middle + right;
        }
    }
}

/// The gradient of [`blur_upsample`] for an input of `(h, w)` from the output's gradient `dy`.
pub(crate) fn blur_upsample_backward<T: Real>(dy: &[T], (h, w): (usize, usize)) -> Vec<T> {
    let isa = isa();
    let mut out = for_overwrite(dy.len() / 4);
    out.par_chunks_mut(h * w).zip(dy.par_chunks(4 * h * w)).for_each(|(out, dy)| {
        let mut mixed = vec![T::zero(); 2 * w + 2];
        for (y, out) in out.chunks_exact_mut(w).enumerate() {
            // The outputs nearest to this row, and those that see it as the next one: itself where the border is replicated.
            let last = 2 * h - 1;
            let rows = [2 * y, 2 * y + 1, if y == 0 { 0 } else { 2 * y - 1 }, (2 * y + 2).min(last)];
            downsample_row(isa, rows.map(|oy| &dy[oy * 2 * w..(oy + 1) * 2 * w]), &mut mixed, out);
        }
    });
    out
}

vectorised! {
    fn downsample_row<T: Real>(rows: [&[T]; 4], mixed: &mut [T], out: &mut [T]) {
        let (three, share, wo) = (T::of(3.0), T::of(1.0 / 16.0), rows[0].len());
        let [a, b, above, below] = rows;
        for ((((m, &a), &b), &above), &below) in mixed[1..].iter_mut().zip(a).zip(b).zip(above).zip(below) {
            *m = (three * (a + b) + (above + below)) * share;
        }
        mixed[0] = mixed[1];
        mixed[wo + 1] = mixed[wo];
        let windows = mixed.chunks_exact(2).zip(mixed[2..].chunks_exact(2));
        for (o, (pair, next)) in out.iter_mut().zip(windows) {
            *o = three * (pair[1] + next[0]) + (pair[0] + next[1]);
        }
    }
}
