//! Adam in one pass over parameters, moments, gradients and, where there is one, the parameters' average.
use super::elementwise::CHUNK;
use crate::cpu::real::Real;
use crate::dispatch::isa;
use crate::isa::vectorised;
use crate::spec::adam::AdamStep;
use rayon::prelude::*;

/// The update's numbers as the loop wants them.
#[derive(Clone, Copy)]
struct Factors<T> {
    beta1: T,
    rest1: T,
    beta2: T,
    rest2: T,
    eps: T,
    /// lr / (1 − β1^step)
    step_size: T,
    /// sqrt(1 − β2^step)
    root_correction: T,
}

/// `average` comes with its [`rest`](crate::optim::Average::rest).
pub(crate) fn adam<T: Real>(
    w: &mut [T],
    m: &mut [T],
    v: &mut [T],
    g: &[T],
    average: Option<(&mut [T], f64)>,
    hp: &AdamStep,
) {
    let [step_size, root_correction] = hp.factors();
    let f = Factors {
        beta1: T::of(hp.beta1),
        rest1: T::of(1.0 - hp.beta1),
        beta2: T::of(hp.beta2),
        rest2: T::of(1.0 - hp.beta2),
        eps: T::of(hp.eps),
        step_size: T::of(step_size),
        root_correction: T::of(root_correction),
    };
    let isa = isa();
    let chunks =
        w.par_chunks_mut(CHUNK).zip(m.par_chunks_mut(CHUNK).zip(v.par_chunks_mut(CHUNK))).zip(g.par_chunks(CHUNK));
    match average {
        None => chunks.for_each(|((w, (m, v)), g)| chunk(isa, w, m, v, g, f)),
        Some((average, rest)) => {
            chunks.zip(average.par_chunks_mut(CHUNK)).for_each(|(((w, (m, v)), g), average)| {
                chunk(isa, w, m, v, g, f);
                // The parameters are still in the cache.
                follow_chunk(isa, average, w, T::of(rest));
            });
        }
    }
}

/// Moves an average towards parameters that are not updated.
pub(crate) fn follow<T: Real>(average: &mut [T], w: &[T], rest: f64) {
    let isa = isa();
    average
        .par_chunks_mut(CHUNK)
        .zip(w.par_chunks(CHUNK))
        .for_each(|(average, w)| follow_chunk(isa, average, w, T::of(rest)));
}

vectorised! {
    fn follow_chunk<T: Real>(average: &mut [T], w: &[T], rest: T) {
        for (average, &w) in average.iter_mut().zip(w) {
            *average += rest * (w - *average);
        }
    }
}

vectorised! {
    fn chunk<T: Real>(w: &mut [T], m: &mut [T], v: &mut [T], g: &[T], f: Factors<T>) {
        for (((w, m), v), &g) in w.iter_mut().zip(m).zip(v).zip(g) {
            *m = f.beta1 * *m + f.rest1 * g;
            *v = f.beta2 * *v + f.rest2 * g * g;
            *w -= f.step_size * *m / (v.sqrt() / f.root_correction + f.eps);
        }
    }
}
