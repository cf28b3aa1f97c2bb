//! Minimal filtering with six points, 0, 1, −1, 2, −½ and ∞, or with the four of them whose powers are small: 0, 1, −1 and ∞.
//!
//! F(m, r) computes m outputs of a filter of r taps by N = m + r − 1 products: `y = Aᵀ [(G g) ⊙ (Bᵀ d)]` with N inputs d.
//! The matrix B depends on the points alone, so F(4, 3) and F(3, 4) share it; F(3, 2) has four points. In two
//! dimensions every matrix is applied along columns and then along rows. Gradients use the transposes:
//! `dg = Gᵀ [(Bᵀ d) ⊙ (A dy)]`.
//!
//! With −½ in place of the customary −2 rounding errors are about 0.6 times as large: no power of a point is far from 1, and
//! products of differences stay small (Barabasz et al., "Error analysis and improving the accuracy of Winograd convolution
//! for deep neural networks", 2020).
#![allow(unsafe_code)]
use crate::cpu::simd::Simd;

/// `Bᵀ d`, N = 4 or 6: row p is the product of (x − q) over the other points q, row ∞ that over all, the power x^k
/// standing for d[k].
///
/// # Safety
/// The caller has the instruction set of `S` (here and below).
#[inline(always)]
pub(super) unsafe fn input<S: Simd, const N: usize>(d: [S::V; N]) -> [S::V; N] {
    let mut t = d;
    // SAFETY: by this function's contract.
    unsafe {
        if N == 4 {
            t[0] = S::sub(d[2], d[0]);
            t[1] = S::add(d[2], d[1]);
            t[2] = S::sub(d[2], d[1]);
            t[3] = S::sub(d[3], d[1]);
            return t;
        }
        // w[k] is x^k (x − 2) (x + ½).
        let minus = S::splat(-1.5);
        let difference: [S::V; 4] = std::array::from_fn(|k| S::sub(d[k + 2], d[k]));
        let w: [S::V; 4] = std::array::from_fn(|k| S::fma(minus, d[k + 1], difference[k]));
        t[0] = S::sub(w[2], w[0]);
        t[1] = S::add(w[2], w[1]);
        t[2] = S::sub(w[2], w[1]);
        t[3] = S::fma(S::splat(0.5), difference[1], difference[2]);
        t[4] = S::fma(S::splat(-2.0), difference[1], difference[2]);
        t[5] = S::sub(w[3], w[1]);
    }
    t
}

/// `Aᵀ m`: M outputs, 3 or 4. Column p holds the powers of p.
///
/// # Safety
/// As [`input`].
#[inline(always)]
pub(super) unsafe fn output<S: Simd, const N: usize, const M: usize>(m: [S::V; N]) -> [S::V; M] {
    // SAFETY: by this function's contract.
    unsafe {
        let (even, odd) = (S::add(m[1], m[2]), S::sub(m[1], m[2]));
        let mut y = [S::zero(); M];
        for (i, y) in y.iter_mut().enumerate() {
            let one = if i % 2 == 0 { even } else { odd };
            *y = one;
            if N == 6 {
                *y = S::fma(S::splat((1 << i) as f32), m[3], one);
                *y = S::fma(S::splat(HALF[i]), m[4], *y);
            }
        }
        y[0] = S::add(y[0], m[0]);
        y[M - 1] = S::add(y[M - 1], m[N - 1]);
        y
    }
}

/// The powers of −½.
const HALF: [f32; 4] = [1.0, -0.5, 0.25, -0.125];

/// `A y`.
///
/// # Safety
/// As [`input`].
#[inline(always)]
pub(super) unsafe fn output_adjoint<S: Simd, const N: usize, const M: usize>(y: [S::V; M]) -> [S::V; N] {
    let mut t = [y[0]; N];
    // SAFETY: by this function's contract.
    unsafe {
        let (even, odd, two, half) = powers::<S, M>(y);
        t[1] = S::add(even, odd);
        t[2] = S::sub(even, odd);
        if N == 6 {
            t[3] = two;
            t[4] = half;
        }
        t[N - 1] = y[M - 1];
    }
    t
}

/// The sums of the even and of the odd elements, and those of all times the powers of 2 and of −½.
///
/// # Safety
/// As [`input`].
#[inline(always)]
unsafe fn powers<S: Simd, const M: usize>(y: [S::V; M]) -> (S::V, S::V, S::V, S::V) {
    // SAFETY: by this function's contract.
    unsafe {
        let (mut even, mut odd) = (y[0], y[1]);
        let (mut two, mut half) = (S::fma(S::splat(2.0), y[1], y[0]), S::fma(S::splat(HALF[1]), y[1], y[0]));
        for (i, &y) in y.iter().enumerate().skip(2) {
            if i % 2 == 0 {
                even = S::add(even, y);
            } else {
                odd = S::add(odd, y);
            }
            two = S::fma(S::splat((1 << i) as f32), y, two);
            half = S::fma(S::splat(HALF[i]), y, half);
        }
        (even, odd, two, half)
    }
}

/// What row p of G is divided by: the product of (p − q) over the other finite points q.
const fn scales<const N: usize>() -> [f32; 5] {
    if N == 4 { [-1.0, 0.5, 0.5, 0.0, 0.0] } else { [1.0, -1.0 / 3.0, 1.0 / 3.0, 1.0 / 15.0, -16.0 / 15.0] }
}

/// `G g`: R taps, 2 to 4.
///
/// # Safety
/// As [`input`].
#[inline(always)]
pub(super) unsafe fn filter<S: Simd, const N: usize, const R: usize>(g: [S::V; R]) -> [S::V; N] {
    let mut t = [g[0]; N];
    // SAFETY: by this function's contract.
    unsafe {
        let scales = scales::<N>();
        let (even, odd, two, half) = powers::<S, R>(g);
        t[0] = S::mul(S::splat(scales[0]), g[0]);
        t[1] = S::mul(S::splat(scales[1]), S::add(even, odd));
        t[2] = S::mul(S::splat(scales[2]), S::sub(even, odd));
        if N == 6 {
            t[3] = S::mul(S::splat(scales[3]), two);
            t[4] = S::mul(S::splat(scales[4]), half);
        }
        t[N - 1] = g[R - 1];
    }
    t
}

/// `Gᵀ u`.
///
/// # Safety
/// As [`input`].
#[inline(always)]
pub(super) unsafe fn filter_adjoint<S: Simd, const N: usize, const R: usize>(mut u: [S::V; N]) -> [S::V; R] {
    // SAFETY: by this function's contract.
    unsafe {
        for (u, scale) in u.iter_mut().zip(scales::<N>()).take(N - 1) {
            *u = S::mul(S::splat(scale), *u);
        }
        output::<S, N, R>(u)
    }
}

/// Applies a one-dimensional transform along the columns and then along the rows of an `I` × `I` tile.
macro_rules! both {
    ($s:ident, $f:ident::<$($n:tt),+>, $from:expr, $i:tt, $o:tt) => {{
        let from: [[$s::V; $i]; $i] = $from;
        let mut half = [[$s::zero(); $i]; $o];
        for column in 0..$i {
            let mut line = [$s::zero(); $i];
            for (line, from) in line.iter_mut().zip(&from) {
                *line = from[column];
            }
            let line: [$s::V; $o] = $crate::cpu::conv::winograd::points::$f::<$s, $($n),+>(line);
            for (half, line) in half.iter_mut().zip(line) {
                half[column] = line;
            }
        }
        let mut out = [[$s::zero(); $o]; $o];
        for (out, half) in out.iter_mut().zip(half) {
            *out = $crate::cpu::conv::winograd::points::$f::<$s, $($n),+>(half);
        }
        out
    }};
}
pub(super) use both;
