//! Winograd convolution with N points: some pairs ±p, 0 where N is even, and ∞.
//!
//! F(m, r) computes m outputs of a filter of r taps by N = m + r − 1 products: `y = Aᵀ [(G g) ⊙ (Bᵀ d)]` with N inputs d.
//! The matrix B depends on the points alone, so F(4, 3) and F(3, 4) share it. In two dimensions every matrix is applied along
//! columns and then along rows. Gradients use the transposes: `dg = Gᵀ [(Bᵀ d) ⊙ (A dy)]`.
//!
//! Which points are used decides how large rounding errors are, for sums over channels are rounded before Aᵀ amplifies them. The points of
//! each N make the root mean square of `Σ |Aᵀ|² |B|² |G|²` least, to a 32nd, so that powers are exact: with six of them errors are 0.44 times
//! those with the customary 0, ±1, ±2 and ∞ (on such choices: Barabasz et al., "Error analysis and improving the accuracy of
//! Winograd convolution for deep neural networks", 2020).
#![allow(unsafe_code)]
use crate::cpu::simd::Simd;

/// The p of the pairs ±p of `N` points.
const fn pairs(n: usize) -> &'static [f32] {
    match n {
        3 => &[22.0 / 32.0],
        4 => &[1.0],
        6 => &[21.0 / 32.0, 49.0 / 32.0],
        _ => panic!("no such number of points"),
    }
}

/// What the transforms with `N` points multiply by.
struct Points<const N: usize>;

impl<const N: usize> Points<N> {
    const PAIRS: &'static [f32] = pairs(N);
    /// Whether 0 is a point: 1 if so.
    const ZERO: usize = N - 1 - 2 * Self::PAIRS.len();
    /// Coefficients of `Π (x² − p²)` over all pairs, those of even powers in ascending order.
    const ALL: [f32; 4] = Self::product(3);
    /// The same over all pairs but one.
    const OTHERS: [[f32; 4]; 3] = [Self::product(0), Self::product(1), Self::product(2)];
    /// The powers of p.
    const POWERS: [[f32; 4]; 3] = Self::powers();
    /// What the rows of G are multiplied by: one over the product of (p − q) over the other finite points q.
    const SCALES: [f32; N] = Self::scales();

    const fn product(skipped: usize) -> [f32; 4] {
        let mut c = [1.0, 0.0, 0.0, 0.0];
        let mut i = 0;
        while i < Self::PAIRS.len() {
            let square = Self::PAIRS[i] * Self::PAIRS[i];
            let mut k = if i == skipped { 0 } else { 4 };
            while k > 0 {
                k -= 1;
                c[k] = if k > 0 { c[k - 1] } else { 0.0 } - square * c[k];
            }
            i += 1;
        }
        c
    }

    const fn powers() -> [[f32; 4]; 3] {
        let mut powers = [[1.0; 4]; 3];
        let mut i = 0;
        while i < Self::PAIRS.len() {
            let mut k = 1;
            while k < 4 {
                powers[i][k] = Self::PAIRS[i] * powers[i][k - 1];
                k += 1;
            }
            i += 1;
        }
        powers
    }

    const fn scales() -> [f32; N] {
        let mut scales = [1.0; N];
        if Self::ZERO == 1 {
            scales[0] = 1.0 / Self::ALL[0];
        }
        let mut i = 0;
        while i < Self::PAIRS.len() {
            let square = Self::PAIRS[i] * Self::PAIRS[i];
            // Those to the other pairs, to −p, and to 0.
            let mut product = 2.0 * Self::PAIRS[i];
            let mut j = 0;
            while j < Self::PAIRS.len() {
                product *= if j == i { 1.0 } else { square - Self::PAIRS[j] * Self::PAIRS[j] };
                j += 1;
            }
            let to_zero = if Self::ZERO == 1 { Self::PAIRS[i] } else { 1.0 };
            scales[Self::ZERO + 2 * i] = 1.0 / (product * to_zero);
            scales[Self::ZERO + 2 * i + 1] = if Self::ZERO == 1 { 1.0 } else { -1.0 } / (product * to_zero);
            i += 1;
        }
        scales
    }
}

/// `Σ c[k] · x[2k + from]` over the first `terms` coefficients.
///
/// # Safety
/// The caller has the instruction set of `S` (here and below).
#[inline(always)]
unsafe fn every_other<S: Simd>(c: [f32; 4], terms: usize, x: &[S::V], from: usize) -> S::V {
    // SAFETY: by this function's contract.
    unsafe {
        let mut sum = S::mul(S::splat(c[terms - 1]), x[2 * (terms - 1) + from]);
        for k in (0..terms - 1).rev() {
            sum = S::fma(S::splat(c[k]), x[2 * k + from], sum);
        }
        sum
    }
}

/// `Bᵀ d`: row p is the product of (x − q) over the other points q, row ∞ that over all, the power x^k standing for d[k].
///
/// # Safety
/// As [`every_other`].
#[inline(always)]
pub(super) unsafe fn input<S: Simd, const N: usize>(d: [S::V; N]) -> [S::V; N] {
    let (zero, pairs) = (Points::<N>::ZERO, Points::<N>::PAIRS);
    let (all, others) = (Points::<N>::ALL, Points::<N>::OTHERS);
    let mut t = d;
    // SAFETY: by this function's contract.
    unsafe {
        if zero == 1 {
            t[0] = every_other::<S>(all, pairs.len() + 1, &d, 0);
        }
        for (i, &p) in pairs.iter().enumerate() {
            let times_p = every_other::<S>(others[i], pairs.len(), &d, zero);
            let times_x = every_other::<S>(others[i], pairs.len(), &d, zero + 1);
            t[zero + 2 * i] = S::fma(S::splat(p), times_p, times_x);
            t[zero + 2 * i + 1] = S::fma(S::splat(-p), times_p, times_x);
        }
        t[N - 1] = every_other::<S>(all, pairs.len() + 1, &d, zero);
    }
    t
}

/// `B t`.
///
/// # Safety
/// As [`every_other`].
#[inline(always)]
pub(super) unsafe fn input_adjoint<S: Simd, const N: usize>(t: [S::V; N]) -> [S::V; N] {
    let (zero, pairs) = (Points::<N>::ZERO, Points::<N>::PAIRS);
    let (all, others) = (Points::<N>::ALL, Points::<N>::OTHERS);
    // SAFETY: by this function's contract.
    unsafe {
        let mut d = [S::zero(); N];
        let mut add = |c: [f32; 4], terms: usize, from: usize, t: S::V| {
            for k in 0..terms {
                d[2 * k + from] = S::fma(S::splat(c[k]), t, d[2 * k + from]);
            }
        };
        if zero == 1 {
            add(all, pairs.len() + 1, 0, t[0]);
        }
        for (i, &p) in pairs.iter().enumerate() {
            let [plus, minus] = [t[zero + 2 * i], t[zero + 2 * i + 1]];
            add(others[i], pairs.len(), zero, S::mul(S::splat(p), S::sub(plus, minus)));
            add(others[i], pairs.len(), zero + 1, S::add(plus, minus));
        }
        add(all, pairs.len() + 1, zero, t[N - 1]);
        d
    }
}

/// `Aᵀ m`: M outputs. Column p holds the powers of p.
///
/// # Safety
/// As [`every_other`].
#[inline(always)]
pub(super) unsafe fn output<S: Simd, const N: usize, const M: usize>(m: [S::V; N]) -> [S::V; M] {
    let zero = Points::<N>::ZERO;
    // SAFETY: by this function's contract.
    unsafe {
        let mut y = [S::zero(); M];
        for (i, pair) in m[zero..N - 1].as_chunks::<2>().0.iter().enumerate() {
            let (even, odd) = (S::add(pair[0], pair[1]), S::sub(pair[0], pair[1]));
            for (k, y) in y.iter_mut().enumerate() {
                let part = if k % 2 == 0 { even } else { odd };
                let power = S::splat(Points::<N>::POWERS[i][k]);
                *y = if i == 0 { S::mul(power, part) } else { S::fma(power, part, *y) };
            }
        }
        if zero == 1 {
            y[0] = S::add(y[0], m[0]);
        }
        y[M - 1] = S::add(y[M - 1], m[N - 1]);
        y
    }
}

/// `A y`.
///
/// # Safety
/// As [`every_other`].
#[inline(always)]
pub(super) unsafe fn output_adjoint<S: Simd, const N: usize, const M: usize>(y: [S::V; M]) -> [S::V; N] {
    let zero = Points::<N>::ZERO;
    // Row 0, where 0 is a point.
    let mut t = [y[0]; N];
    // SAFETY: by this function's contract.
    unsafe {
        for (i, pair) in t[zero..N - 1].as_chunks_mut::<2>().0.iter_mut().enumerate() {
            let power = |k: usize| S::splat(Points::<N>::POWERS[i][k]);
            let (mut even, mut odd) = (y[0], S::mul(power(1), y[1]));
            for (k, &y) in y.iter().enumerate().skip(2) {
                let sum = if k % 2 == 0 { &mut even } else { &mut odd };
                *sum = S::fma(power(k), y, *sum);
            }
            *pair = [S::add(even, odd), S::sub(even, odd)];
        }
    }
    t[N - 1] = y[M - 1];
    t
}

/// `G g`: R taps.
///
/// # Safety
/// As [`every_other`].
#[inline(always)]
pub(super) unsafe fn filter<S: Simd, const N: usize, const R: usize>(g: [S::V; R]) -> [S::V; N] {
    // SAFETY: by this function's contract. G is A with R rows, and scaled.
    unsafe {
        let mut t = output_adjoint::<S, N, R>(g);
        for (t, scale) in t.iter_mut().zip(Points::<N>::SCALES) {
            *t = S::mul(S::splat(scale), *t);
        }
        t
    }
}

/// `Gᵀ u`.
///
/// # Safety
/// As [`every_other`].
#[inline(always)]
pub(super) unsafe fn filter_adjoint<S: Simd, const N: usize, const R: usize>(mut u: [S::V; N]) -> [S::V; R] {
    // SAFETY: by this function's contract.
    unsafe {
        for (u, scale) in u.iter_mut().zip(Points::<N>::SCALES) {
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
