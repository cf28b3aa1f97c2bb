//! Products for very few pixels: the time goes into reading the weights from memory, row by row.
#![allow(unsafe_code)]
use crate::cpu::simd::{Simd, simd_entry};
use crate::isa::Isa;

/// `sums[c][p] (+)= Σ_k w[c][k] · x[p][k]` over a block of columns k.
pub(super) struct Dot<'a> {
    /// The first channel's columns; the next channel's are `depth` on.
    pub(super) w: &'a [f32],
    pub(super) depth: usize,
    pub(super) channels: usize,
    /// `[pixel][pitch]`.
    pub(super) x: &'a [f32],
    pub(super) pitch: usize,
    pub(super) pixels: usize,
    pub(super) columns: usize,
    /// Whether sums are overwritten, not added to.
    pub(super) first: bool,
}

impl Dot<'_> {
    pub(super) fn run(&self, isa: Isa, sums: &mut [f32]) {
        let reach = |rows: usize, pitch: usize| (rows - 1) * pitch + self.columns;
        assert!(self.w.len() >= reach(self.channels, self.depth) && self.x.len() >= reach(self.pixels, self.pitch));
        assert!(sums.len() >= self.channels * self.pixels);
        dot(isa, self, sums);
    }
}

simd_entry! {
    fn dot[S](p: &Dot<'_>, sums: &mut [f32]) {
        let mut c = 0;
        while c < p.channels {
            // SAFETY: `Dot::run` has checked all lengths; the entry has the instruction set.
            c += unsafe {
                if p.channels - c >= 4 { dot_rows::<S, 4>(p, c, sums) } else { dot_rows::<S, 1>(p, c, sums) }
            };
        }
    }
}

/// Channels `c .. c + M`; returns `M`.
///
/// # Safety
/// As checked by [`Dot::run`], with `c + M <= channels`; the caller has the instruction set of `S`.
#[inline(always)]
unsafe fn dot_rows<S: Simd, const M: usize>(p: &Dot<'_>, c: usize, sums: &mut [f32]) -> usize {
    // SAFETY: by this function's contract.
    unsafe {
        for q in (0..p.pixels / 2 * 2).step_by(2) {
            dot_tile::<S, M, 2>(p, c, q, sums);
        }
        if p.pixels % 2 == 1 {
            dot_tile::<S, M, 1>(p, c, p.pixels - 1, sums);
        }
    }
    M
}

/// # Safety
/// As [`dot_rows`], with `q + N <= pixels`.
#[inline(always)]
unsafe fn dot_tile<S: Simd, const M: usize, const N: usize>(p: &Dot<'_>, c: usize, q: usize, sums: &mut [f32]) {
    // SAFETY: by this function's contract.
    unsafe {
        let (w, x) = (p.w.as_ptr().add(c * p.depth), p.x.as_ptr().add(q * p.pitch));
        let mut acc = [[S::zero(); N]; M];
        let mut k = 0;
        while k + S::LANES <= p.columns {
            for (m, acc) in acc.iter_mut().enumerate() {
                let w = S::load(w.add(m * p.depth + k));
                for (n, acc) in acc.iter_mut().enumerate() {
                    *acc = S::fma(w, S::load(x.add(n * p.pitch + k)), *acc);
                }
            }
            k += S::LANES;
        }
        for (m, acc) in acc.iter().enumerate() {
            for (n, &acc) in acc.iter().enumerate() {
                let mut total = S::sum(acc);
                for k in k..p.columns {
                    total += *w.add(m * p.depth + k) * *x.add(n * p.pitch + k);
                }
                let s = &mut sums[(c + m) * p.pixels + q + n];
                *s = if p.first { total } else { *s + total };
            }
        }
    }
}

/// `out[p][k] = Σ_c dy[c][p] · w[c][first + k]` for `width` columns.
pub(super) struct Spread<'a> {
    pub(super) w: &'a [f32],
    pub(super) depth: usize,
    pub(super) first: usize,
    pub(super) width: usize,
    pub(super) dy: &'a [f32],
    pub(super) pixels: usize,
    pub(super) channels: usize,
}

impl Spread<'_> {
    pub(super) fn run(&self, isa: Isa, out: &mut [f32]) {
        assert!(self.w.len() >= self.channels * self.depth && self.first + self.width <= self.depth);
        assert!(self.dy.len() >= self.channels * self.pixels && out.len() >= self.pixels * self.width);
        out[..self.pixels * self.width].fill(0.0);
        spread(isa, self, out);
    }
}

simd_entry! {
    fn spread[S](p: &Spread<'_>, out: &mut [f32]) {
        let mut c = 0;
        while c < p.channels {
            // SAFETY: `Spread::run` has checked all lengths; the entry has the instruction set.
            c += unsafe {
                if p.channels - c >= 8 { spread_rows::<S, 8>(p, c, out) } else { spread_rows::<S, 1>(p, c, out) }
            };
        }
    }
}

/// Adds `M` channels' share to all pixels, two vectors of columns at a time; returns `M`.
///
/// # Safety
/// As checked by [`Spread::run`], with `c + M <= channels`; the caller has the instruction set of `S`.
#[inline(always)]
unsafe fn spread_rows<S: Simd, const M: usize>(p: &Spread<'_>, c: usize, out: &mut [f32]) -> usize {
    // SAFETY: by this function's contract.
    unsafe {
        let (w, dy) = (p.w.as_ptr().add(c * p.depth + p.first), p.dy.as_ptr().add(c * p.pixels));
        let out = out.as_mut_ptr();
        let mut k = 0;
        while k + 2 * S::LANES <= p.width {
            let mut ws = [[S::zero(); 2]; M];
            for (m, ws) in ws.iter_mut().enumerate() {
                let w = w.add(m * p.depth + k);
                *ws = [S::load(w), S::load(w.add(S::LANES))];
            }
            for pixel in 0..p.pixels {
                let to = out.add(pixel * p.width + k);
                let mut acc = [S::load(to), S::load(to.add(S::LANES))];
                for (m, ws) in ws.iter().enumerate() {
                    let d = S::splat(*dy.add(m * p.pixels + pixel));
                    acc = [S::fma(d, ws[0], acc[0]), S::fma(d, ws[1], acc[1])];
                }
                S::store(to, acc[0]);
                S::store(to.add(S::LANES), acc[1]);
            }
            k += 2 * S::LANES;
        }
        for k in k..p.width {
            for pixel in 0..p.pixels {
                for m in 0..M {
                    *out.add(pixel * p.width + k) += *dy.add(m * p.pixels + pixel) * *w.add(m * p.depth + k);
                }
            }
        }
    }
    M
}
