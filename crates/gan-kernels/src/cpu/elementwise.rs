//! Operators that treat every element alike, in chunks of fixed length.
use crate::cpu::real::Real;
use crate::dispatch::poisons;
use crate::isa::vectorised;
use crate::spec::act::{Act, LEAKY_SLOPE};
use rayon::prelude::*;

/// Elements of one parallel task; a function of nothing, so that no result depends on the number of threads.
pub(crate) const CHUNK: usize = 1 << 14;

/// A vector whose elements are arbitrary until they are overwritten, which the caller does before anything reads them.
/// (Zeroing it first would cost another pass over memory for every result.)
#[allow(unsafe_code, clippy::uninit_vec)]
pub(crate) fn for_overwrite<T: Real>(len: usize) -> Vec<T> {
    let mut out = Vec::with_capacity(len);
    // SAFETY: F32 and F64 take every bit pattern, the memory is allocated, and no element is read before it is written.
    unsafe { out.set_len(len) };
    if poisons() {
        out.fill(T::of(f64::NAN));
    }
    out
}

/// `out = f(x)`, chunk by chunk.
pub(crate) fn map<T: Real>(x: &[T], f: impl Fn(&[T], &mut [T]) + Sync) -> Vec<T> {
    let mut out = for_overwrite(x.len());
    out.par_chunks_mut(CHUNK).zip(x.par_chunks(CHUNK)).for_each(|(out, x)| f(x, out));
    out
}

/// `out = f(x, y)`, chunk by chunk.
pub(crate) fn zip<T: Real>(x: &[T], y: &[T], f: impl Fn(&[T], &[T], &mut [T]) + Sync) -> Vec<T> {
    let mut out = for_overwrite(x.len());
    out.par_chunks_mut(CHUNK).zip(x.par_chunks(CHUNK).zip(y.par_chunks(CHUNK))).for_each(|(out, (x, y))| f(x, y, out));
    out
}

impl Act {
    /// The function itself.
    #[inline(always)]
    pub(crate) fn of<T: Real>(self, x: T) -> T {
        match self {
            Act::Identity => x,
            // Asks for `<=`, which NaN does not satisfy, so that NaN passes as in PyTorch; -0 becomes 0.
            Act::Relu => {
                if x <= T::zero() {
                    T::zero()
                } else {
                    x
                }
            }
            Act::LeakyRelu => {
                if x > T::zero() {
                    x
                } else {
                    x * T::of(LEAKY_SLOPE)
                }
            }
            Act::Tanh => x.tanh(),
        }
    }

    /// The derivative, from the function's value.
    #[inline(always)]
    pub(crate) fn slope<T: Real>(self, y: T) -> T {
        match self {
            Act::Identity => T::one(),
            // At NaN the gradient passes, as in PyTorch.
            Act::Relu => {
                if y <= T::zero() {
                    T::zero()
                } else {
                    T::one()
                }
            }
            Act::LeakyRelu => {
                if y > T::zero() {
                    T::one()
                } else {
                    T::of(LEAKY_SLOPE)
                }
            }
            Act::Tanh => T::one() - y * y,
        }
    }
}

/// Runs a loop with the activation as a constant, so that the choice is made outside of it.
macro_rules! by_act {
    ($act:expr, $name:ident => $body:expr) => {
        match $act {
            $crate::spec::act::Act::Identity => {
                const $name: $crate::spec::act::Act = $crate::spec::act::Act::Identity;
                $body
            }
            $crate::spec::act::Act::Relu => {
                const $name: $crate::spec::act::Act = $crate::spec::act::Act::Relu;
                $body
            }
            $crate::spec::act::Act::LeakyRelu => {
                const $name: $crate::spec::act::Act = $crate::spec::act::Act::LeakyRelu;
                $body
            }
            $crate::spec::act::Act::Tanh => {
                const $name: $crate::spec::act::Act = $crate::spec::act::Act::Tanh;
                $body
            }
        }
    };
}
pub(crate) use by_act;

vectorised! {
    /// `out = act(x)`.
    pub(crate) fn act<T: Real>(x: &[T], out: &mut [T], a: Act) {
        by_act!(a, A => for (o, &x) in out.iter_mut().zip(x) {
            *o = A.of(x);
        })
    }
}

vectorised! {
    /// `x = act(x)`.
    pub(crate) fn act_in_place<T: Real>(x: &mut [T], a: Act) {
        by_act!(a, A => for x in x.iter_mut() {
            *x = A.of(*x);
        })
    }
}

vectorised! {
    /// `out = dy · act'`, with `y = act(x)`.
    pub(crate) fn act_backward<T: Real>(y: &[T], dy: &[T], out: &mut [T], a: Act) {
        by_act!(a, A => for ((o, &y), &d) in out.iter_mut().zip(y).zip(dy) {
            *o = d * A.slope(y);
        })
    }
}

vectorised! {
    /// `x += y`.
    pub(crate) fn add<T: Real>(x: &mut [T], y: &[T]) {
        for (x, &y) in x.iter_mut().zip(y) {
            *x += y;
        }
    }
}

vectorised! {
    /// `x = factor · x`; tells whether all of it is finite.
    pub(crate) fn scale<T: Real>(x: &mut [T], factor: T) -> bool {
        x.chunks_mut(1024).fold(true, |all, x| {
            // As candle multiplies, whose products of ranks have the same bits: -0 becomes 0.
            x.iter_mut().for_each(|x| *x = *x * factor + T::zero());
            all & is_finite(x)
        })
    }
}

vectorised! {
    /// Whether all of it is finite.
    pub(crate) fn finite<T: Real>(x: &[T]) -> bool {
        x.chunks(1024).all(is_finite)
    }
}

/// Whether `0 · x` is zero everywhere.
#[inline(always)]
fn is_finite<T: Real>(x: &[T]) -> bool {
    // Branch-free; NaN and the infinities turn the sum into NaN.
    let mut lanes = [T::zero(); 16];
    let mut whole = x.chunks_exact(16);
    for c in &mut whole {
        for (l, &x) in lanes.iter_mut().zip(c) {
            *l += x * T::zero();
        }
    }
    lanes.iter().all(|&l| l == T::zero()) && whole.remainder().iter().all(|x| x.is_finite())
}

/// Sums of `f` over the elements of slices of one length, with a fixed order: 64 lanes (four vectors, for one after the other
/// would wait for its sum) inside a block of 4096 elements, then F64.
#[inline(always)]
pub(crate) fn sum_by<T: Real, const K: usize>(of: [&[T]; K], f: impl Fn([T; K]) -> T) -> f64 {
    const LANES: usize = 64;
    const BLOCK: usize = 4096;
    let n = of.iter().map(|x| x.len()).min().unwrap_or(0);
    let mut total = 0.0;
    for from in (0..n).step_by(BLOCK) {
        let mut lanes = [T::zero(); LANES];
        let parts = of.map(|x| x[from..n.min(from + BLOCK)].as_chunks::<LANES>());
        for i in 0..parts[0].0.len() {
            let chunks = parts.map(|(chunks, _)| &chunks[i]);
            for (l, lane) in lanes.iter_mut().enumerate() {
                *lane += f(chunks.map(|chunk| chunk[l]));
            }
        }
        for (l, lane) in lanes.iter_mut().enumerate().take(parts[0].1.len()) {
            *lane += f(parts.map(|(_, rest)| rest[l]));
        }
        for half in [32, 16] {
            for l in 0..half {
                lanes[l] += lanes[l + half];
            }
        }
        total += lanes[..16].iter().map(|lane| lane.f64()).sum::<f64>();
    }
    total
}

vectorised! {
    /// Σ x.
    pub(crate) fn sum<T: Real>(x: &[T]) -> f64 {
        sum_by([x], |[x]| x)
    }
}
