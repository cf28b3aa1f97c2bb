//! Minimal filtering with six points: 0, 1, −1, 2, −2, ∞.
//!
//! F(m, r) with m + r = 7 computes m outputs of a filter of r taps by six products:
//! `y = Aᵀ [(G g) ⊙ (Bᵀ d)]` with six inputs d. The matrix B depends on the points alone, so F(4, 3), F(3, 4) and F(5, 2)
//! share it. In two dimensions every matrix is applied along columns and then along rows. Gradients use the transposes:
//! `dg = Gᵀ [(Bᵀ d) ⊙ (A dy)]`.
#![allow(unsafe_code)]
use crate::cpu::simd::Simd;

/// Products of a tile in one dimension.
pub(super) const POINTS: usize = 6;
/// Products of a tile.
pub(super) const PRODUCTS: usize = POINTS * POINTS;

/// `Bᵀ d`.
///
/// # Safety
/// The caller has the instruction set of `S` (here and below).
#[inline(always)]
pub(super) unsafe fn input<S: Simd>(d: [S::V; 6]) -> [S::V; 6] {
    // SAFETY: by this function's contract.
    unsafe {
        let (two, four, five) = (S::splat(2.0), S::splat(4.0), S::splat(-5.0));
        let minus = S::splat(-4.0);
        let (even, odd) = (S::fma(minus, d[2], d[4]), S::fma(minus, d[1], d[3]));
        let (near, far) = (S::sub(d[4], d[2]), S::mul(two, S::sub(d[3], d[1])));
        [
            S::fma(four, d[0], S::fma(five, d[2], d[4])),
            S::add(even, odd),
            S::sub(even, odd),
            S::add(near, far),
            S::sub(near, far),
            S::fma(four, d[1], S::fma(five, d[3], d[5])),
        ]
    }
}

/// `Aᵀ m`: `M` outputs, 3 to 5.
///
/// # Safety
/// As [`input`].
#[inline(always)]
pub(super) unsafe fn output<S: Simd, const M: usize>(m: [S::V; 6]) -> [S::V; M] {
    // SAFETY: by this function's contract.
    unsafe {
        let (s1, d1) = (S::add(m[1], m[2]), S::sub(m[1], m[2]));
        let (s2, d2) = (S::add(m[3], m[4]), S::sub(m[3], m[4]));
        let mut y = [S::zero(); M];
        y[0] = S::add(m[0], S::add(s1, s2));
        y[1] = S::fma(S::splat(2.0), d2, d1);
        y[2] = S::fma(S::splat(4.0), s2, s1);
        if M > 3 {
            y[3] = S::fma(S::splat(8.0), d2, d1);
        }
        if M > 4 {
            y[4] = S::fma(S::splat(16.0), s2, s1);
        }
        y[M - 1] = S::add(y[M - 1], m[5]);
        y
    }
}

/// `A y`.
///
/// # Safety
/// As [`input`].
#[inline(always)]
pub(super) unsafe fn output_adjoint<S: Simd, const M: usize>(y: [S::V; M]) -> [S::V; 6] {
    // SAFETY: by this function's contract.
    unsafe {
        let (four, two) = (S::splat(4.0), S::splat(2.0));
        let (mut even, mut odd) = (S::add(y[0], y[2]), y[1]);
        let (mut even2, mut odd2) = (S::fma(four, y[2], y[0]), S::mul(two, y[1]));
        if M > 3 {
            odd = S::add(odd, y[3]);
            odd2 = S::fma(S::splat(8.0), y[3], odd2);
        }
        if M > 4 {
            even = S::add(even, y[4]);
            even2 = S::fma(S::splat(16.0), y[4], even2);
        }
        [y[0], S::add(even, odd), S::sub(even, odd), S::add(even2, odd2), S::sub(even2, odd2), y[M - 1]]
    }
}

/// `G g`: `R` taps, 2 to 4.
///
/// # Safety
/// As [`input`].
#[inline(always)]
pub(super) unsafe fn filter<S: Simd, const R: usize>(g: [S::V; R]) -> [S::V; 6] {
    // SAFETY: by this function's contract.
    unsafe {
        let (sixth, small) = (S::splat(-1.0 / 6.0), S::splat(1.0 / 24.0));
        let (mut even, mut odd) = (g[0], g[1]);
        let (mut even2, mut odd2) = (g[0], S::mul(S::splat(2.0), g[1]));
        if R > 2 {
            even = S::add(even, g[2]);
            even2 = S::fma(S::splat(4.0), g[2], even2);
        }
        if R > 3 {
            odd = S::add(odd, g[3]);
            odd2 = S::fma(S::splat(8.0), g[3], odd2);
        }
        [
            S::mul(S::splat(0.25), g[0]),
            S::mul(sixth, S::add(even, odd)),
            S::mul(sixth, S::sub(even, odd)),
            S::mul(small, S::add(even2, odd2)),
            S::mul(small, S::sub(even2, odd2)),
            g[R - 1],
        ]
    }
}

/// `Gᵀ u`.
///
/// # Safety
/// As [`input`].
#[inline(always)]
pub(super) unsafe fn filter_adjoint<S: Simd, const R: usize>(u: [S::V; 6]) -> [S::V; R] {
    // SAFETY: by this function's contract.
    unsafe {
        let (sixth, small) = (S::splat(-1.0 / 6.0), S::splat(1.0 / 24.0));
        let (s1, d1) = (S::mul(sixth, S::add(u[1], u[2])), S::mul(sixth, S::sub(u[1], u[2])));
        let (s2, d2) = (S::mul(small, S::add(u[3], u[4])), S::mul(small, S::sub(u[3], u[4])));
        let mut g = [S::zero(); R];
        g[0] = S::fma(S::splat(0.25), u[0], S::add(s1, s2));
        g[1] = S::fma(S::splat(2.0), d2, d1);
        if R > 2 {
            g[2] = S::fma(S::splat(4.0), s2, s1);
        }
        if R > 3 {
            g[3] = S::fma(S::splat(8.0), d2, d1);
        }
        g[R - 1] = S::add(g[R - 1], u[5]);
        g
    }
}

/// Applies a one-dimensional transform along the columns and then along the rows of an `I` × `I` tile.
macro_rules! both {
    ($s:ident, $f:ident$(::<$n:tt>)?, $from:expr, $i:tt, $o:tt) => {{
        let from: [[$s::V; $i]; $i] = $from;
        let mut half = [[$s::zero(); $i]; $o];
        for column in 0..$i {
            let mut line = [$s::zero(); $i];
            for (line, from) in line.iter_mut().zip(&from) {
                *line = from[column];
            }
            let line: [$s::V; $o] = $crate::cpu::conv::winograd::points::$f::<$s$(, $n)?>(line);
            for (half, line) in half.iter_mut().zip(line) {
                half[column] = line;
            }
        }
        let mut out = [[$s::zero(); $o]; $o];
        for (out, half) in out.iter_mut().zip(half) {
            *out = $crate::cpu::conv::winograd::points::$f::<$s$(, $n)?>(half);
        }
        out
    }};
}
pub(super) use both;
