//! Loss values and gradients, chunk by chunk; the chunks' sums are added in order, in F64.
use super::elementwise::{CHUNK, for_overwrite, sum, sum_by, zip};
use crate::cpu::real::Real;
use crate::dispatch::isa;
use crate::isa::{Isa, vectorised};
use rayon::prelude::*;

/// Runs `f(chunk of x, chunk of gradient) -> sum` over all chunks.
fn reduce<T: Real>(x: &[T], f: impl Fn(Isa, usize, &[T], &mut [T]) -> f64 + Sync) -> (f64, Vec<T>) {
    let isa = isa();
    let mut gradient = for_overwrite(x.len());
    let sums: Vec<f64> = gradient
        .par_chunks_mut(CHUNK)
        .zip(x.par_chunks(CHUNK))
        .enumerate()
        .map(|(i, (g, x))| f(isa, i * CHUNK, x, g))
        .collect();
    (sums.iter().sum(), gradient)
}

pub(crate) fn squared_error<T: Real>(x: &[T], target: f64) -> (T, Vec<T>) {
    let n = x.len() as f64;
    let (total, gradient) = reduce(x, |isa, _, x, g| squared_error_chunk(isa, x, g, T::of(target), T::of(2.0 / n)));
    (T::of(total / n), gradient)
}

vectorised! {
    fn squared_error_chunk<T: Real>(x: &[T], g: &mut [T], target: T, slope: T) -> f64 {
        for (g, &x) in g.iter_mut().zip(x) {
            *g = slope * (x - target);
        }
        sum_by([x], |[x]| (x - target) * (x - target))
    }
}

pub(crate) fn bce_with_logits<T: Real>(x: &[T], target: f64) -> (T, Vec<T>) {
    let n = x.len() as f64;
    let (total, gradient) = reduce(x, |isa, _, x, g| bce_chunk(isa, x, g, T::of(target), T::of(1.0 / n)));
    (T::of(total / n), gradient)
}

vectorised! {
    fn bce_chunk<T: Real>(x: &[T], g: &mut [T], target: T, share: T) -> f64 {
        for (g, &x) in g.iter_mut().zip(x) {
            // e^−|x| never overflows.
            let e = x.decay();
            *g = share * ((if x < T::zero() { e } else { T::one() }) / (T::one() + e) - target);
        }
        sum_by([x], |[x]| {
            // max(x, 0) − x·t + ln(1 + e^−|x|)
            (if x < T::zero() { T::zero() } else { x }) - x * target + x.decay().ln_1p()
        })
    }
}

pub(crate) fn hinge<T: Real>(x: &[T], sign: f64) -> (T, Vec<T>) {
    let n = x.len() as f64;
    let (total, gradient) = reduce(x, |isa, _, x, g| hinge_chunk(isa, x, g, T::of(sign), T::of(-sign / n)));
    (T::of(total / n), gradient)
}

vectorised! {
    fn hinge_chunk<T: Real>(x: &[T], g: &mut [T], sign: T, slope: T) -> f64 {
        for (g, &x) in g.iter_mut().zip(x) {
            // NaN passes.
            *g = if sign * x >= T::one() { T::zero() } else { slope };
        }
        sum_by([x], |[x]| if sign * x >= T::one() { T::zero() } else { T::one() - sign * x })
    }
}

pub(crate) fn mean<T: Real>(x: &[T], scale: f64) -> (T, Vec<T>) {
    let slope = scale / x.len() as f64;
    let (total, gradient) = reduce(x, |isa, _, x, g| {
        g.fill(T::of(slope));
        sum(isa, x)
    });
    (T::of(total * slope), gradient)
}

pub(crate) fn l1<T: Real>(x: &[T], y: &[T]) -> (T, Vec<T>) {
    let share = 1.0 / x.len() as f64;
    let (total, gradient) = reduce(x, |isa, from, x, g| l1_chunk(isa, x, &y[from..from + x.len()], g, T::of(share)));
    (T::of(total * share), gradient)
}

/// mean |x − y|, in F64.
pub(crate) fn l1_value<T: Real>(x: &[T], y: &[T]) -> f64 {
    let isa = isa();
    let sums: Vec<f64> = x.par_chunks(CHUNK).zip(y.par_chunks(CHUNK)).map(|(x, y)| distance(isa, x, y)).collect();
    sums.iter().sum::<f64>() / x.len() as f64
}

vectorised! {
    fn distance<T: Real>(x: &[T], y: &[T]) -> f64 {
        sum_by([x, y], |[x, y]| (x - y).abs())
    }
}

/// `share` · sign(x − y).
pub(crate) fn l1_gradient<T: Real>(x: &[T], y: &[T], share: T) -> Vec<T> {
    let isa = isa();
    zip(x, y, |x, y, out| signs(isa, x, y, out, share))
}

vectorised! {
    fn signs<T: Real>(x: &[T], y: &[T], out: &mut [T], share: T) {
        for ((out, &x), &y) in out.iter_mut().zip(x).zip(y) {
            let up = if x > y { share } else { T::zero() };
            let down = if x < y { share } else { T::zero() };
            *out = up - down;
        }
    }
}

vectorised! {
    fn l1_chunk<T: Real>(x: &[T], y: &[T], g: &mut [T], share: T) -> f64 {
        for ((g, &x), &y) in g.iter_mut().zip(x).zip(y) {
            let up = if x > y { share } else { T::zero() };
            let down = if x < y { share } else { T::zero() };
            *g = up - down;
        }
        sum_by([x, y], |[x, y]| (x - y).abs())
    }
}
