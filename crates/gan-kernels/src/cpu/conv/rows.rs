//! Products with weights in their own layout `[channel][depth]`.
#![allow(unsafe_code)]
use crate::cpu::simd::{Simd, simd_entry};
use crate::isa::Isa;

/// `sums[c][p] = Σ_k w[c][k] · x[p][k]`.
pub(super) struct Dot<'a> {
    pub(super) w: &'a [f32],
    pub(super) x: &'a [f32],
    pub(super) depth: usize,
}

impl Dot<'_> {
    pub(super) fn run(&self, isa: Isa, sums: &mut [f32]) {
        let (channels, pixels) = (self.w.len() / self.depth, self.x.len() / self.depth);
        assert!(sums.len() >= channels * pixels);
        dot(isa, self, channels, pixels, sums);
    }
}

/// Depth of a pass: its part of six pixels' inputs stays in the first-level cache.
const PASS: usize = 1024;

simd_entry! {
    fn dot[S](p: &Dot<'_>, channels: usize, pixels: usize, sums: &mut [f32]) {
        for from in (0..p.depth).step_by(PASS) {
            let k = from..(from + PASS).min(p.depth);
            let mut q = 0;
            // Pixels outside, so that their part of the input is read once for all rows of weights.
            while q < pixels {
                let width = match pixels - q {
                    6.. if S::LANES == 16 => 6,
                    2.. => 2,
                    _ => 1,
                };
                let mut c = 0;
                while c < channels {
                    let s = &mut sums[c * pixels + q..];
                    // SAFETY: `w` has the rows from `c` on and `x` those from `q` on that the tile takes, of `depth`
                    // elements; sums are indexed with checks. The entry has the instruction set.
                    c += unsafe {
                        match (channels - c, width) {
                            (4.., 6) => dot_tile::<S, 4, 6>(p, c, q, k.clone(), s, pixels),
                            (4.., 2) => dot_tile::<S, 4, 2>(p, c, q, k.clone(), s, pixels),
                            (4.., _) => dot_tile::<S, 4, 1>(p, c, q, k.clone(), s, pixels),
                            (_, 6) => dot_tile::<S, 1, 6>(p, c, q, k.clone(), s, pixels),
                            (_, 2) => dot_tile::<S, 1, 2>(p, c, q, k.clone(), s, pixels),
                            _ => dot_tile::<S, 1, 1>(p, c, q, k.clone(), s, pixels),
                        }
                    };
                }
                q += width;
            }
        }
    }
}

/// Returns its number of channels.
///
/// # Safety
/// Rows `c .. c + M` of `w` and `q .. q + N` of `x` exist and `k` lies in their depth; the caller has the instruction set.
#[inline(always)]
unsafe fn dot_tile<S: Simd, const M: usize, const N: usize>(
    p: &Dot<'_>,
    c: usize,
    q: usize,
    k: std::ops::Range<usize>,
    sums: &mut [f32],
    pitch: usize,
) -> usize {
    // SAFETY: by this function's contract.
    unsafe {
        let (w, x) = (p.w.as_ptr().add(c * p.depth), p.x.as_ptr().add(q * p.depth));
        let mut acc = [[S::zero(); N]; M];
        let mut i = k.start;
        while i + S::LANES <= k.end {
            let mut xs = [S::zero(); N];
            for (n, xs) in xs.iter_mut().enumerate() {
                *xs = S::load(x.add(n * p.depth + i));
            }
            for (m, acc) in acc.iter_mut().enumerate() {
                let w = S::load(w.add(m * p.depth + i));
                for (acc, &x) in acc.iter_mut().zip(&xs) {
                    *acc = S::fma(w, x, *acc);
                }
            }
            i += S::LANES;
        }
        let flat = acc.as_flattened();
        let mut totals = [0.0; 24];
        for (totals, acc) in totals.chunks_exact_mut(4).zip(flat.chunks_exact(4)) {
            totals.copy_from_slice(&S::sum4([acc[0], acc[1], acc[2], acc[3]]));
        }
        for j in flat.len() / 4 * 4..flat.len() {
            totals[j] = S::sum(flat[j]);
        }
        for (j, total) in totals.iter_mut().enumerate().take(M * N) {
            let (m, n) = (j / N, j % N);
            for i in i..k.end {
                *total += *w.add(m * p.depth + i) * *x.add(n * p.depth + i);
            }
            let s = &mut sums[m * pitch + n];
            *s = if k.start == 0 { *total } else { *s + *total };
        }
    }
    M
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

/// `into[c][first + k] += Σ_p dy[c][p] · x[p][first + k]` for `width` columns.
pub(super) struct Accumulate<'a> {
    pub(super) x: &'a [f32],
    pub(super) dy: &'a [f32],
    pub(super) pixels: usize,
    pub(super) depth: usize,
    pub(super) first: usize,
    pub(super) width: usize,
}

impl Accumulate<'_> {
    pub(super) fn add_to(&self, isa: Isa, into: &mut [f32]) {
        let channels = self.dy.len() / self.pixels;
        assert!(self.first + self.width <= self.depth && self.x.len() >= self.pixels * self.depth);
        assert!(into.len() >= channels * self.depth);
        accumulate(isa, self, channels, into);
    }
}

simd_entry! {
    fn accumulate[S](p: &Accumulate<'_>, channels: usize, into: &mut [f32]) {
        let mut c = 0;
        while c < channels {
            // SAFETY: `Accumulate::add_to` has checked all lengths; the entry has the instruction set.
            c += unsafe {
                if channels - c >= 6 { accumulate_rows::<S, 6>(p, c, into) } else { accumulate_rows::<S, 1>(p, c, into) }
            };
        }
    }
}

/// Channels `c .. c + M`, two or four vectors of columns at a time; returns `M`.
///
/// # Safety
/// As checked by [`Accumulate::add_to`], with `c + M <= channels`; the caller has the instruction set of `S`.
#[inline(always)]
unsafe fn accumulate_rows<S: Simd, const M: usize>(p: &Accumulate<'_>, c: usize, into: &mut [f32]) -> usize {
    // SAFETY: by this function's contract.
    unsafe {
        let into = into.as_mut_ptr().add(c * p.depth + p.first);
        let mut k = 0;
        if S::LANES == 16 {
            while k + 4 * S::LANES <= p.width {
                accumulate_tile::<S, M, 4>(p, c, k, into);
                k += 4 * S::LANES;
            }
        }
        while k + 2 * S::LANES <= p.width {
            accumulate_tile::<S, M, 2>(p, c, k, into);
            k += 2 * S::LANES;
        }
        for k in k..p.width {
            for m in 0..M {
                let mut total = 0.0;
                for pixel in 0..p.pixels {
                    total += p.dy[(c + m) * p.pixels + pixel] * p.x[pixel * p.depth + p.first + k];
                }
                *into.add(m * p.depth + k) += total;
            }
        }
    }
    M
}

/// # Safety
/// As [`accumulate_rows`], with `V` vectors of columns from `k` inside the width.
#[inline(always)]
unsafe fn accumulate_tile<S: Simd, const M: usize, const V: usize>(
    p: &Accumulate<'_>,
    c: usize,
    k: usize,
    into: *mut f32,
) {
    // SAFETY: by this function's contract.
    unsafe {
        let mut acc = [[S::zero(); V]; M];
        let mut x = p.x.as_ptr().add(p.first + k);
        let dy = p.dy.as_ptr().add(c * p.pixels);
        for pixel in 0..p.pixels {
            let mut xs = [S::zero(); V];
            for (v, xs) in xs.iter_mut().enumerate() {
                *xs = S::load(x.add(v * S::LANES));
            }
            for (m, acc) in acc.iter_mut().enumerate() {
                let d = S::splat(*dy.add(m * p.pixels + pixel));
                for (acc, &x) in acc.iter_mut().zip(&xs) {
                    *acc = S::fma(d, x, *acc);
                }
            }
            x = x.wrapping_add(p.depth);
        }
        for (m, acc) in acc.iter().enumerate() {
            for (v, &acc) in acc.iter().enumerate() {
                let to = into.add(m * p.depth + k + v * S::LANES);
                S::store(to, S::add(S::load(to), acc));
            }
        }
    }
}
