//! Register tiles of the weight gradient.
#![allow(unsafe_code)]
use crate::cpu::simd::{Simd, prefetch, simd_entry};
use crate::isa::Isa;

/// Taps of a tile; rows of sums come in multiples of it.
pub(super) const TAPS: usize = 6;

/// For every row of sums, where in `x` its pixel 0 is.
#[derive(Clone, Copy)]
pub(super) struct TapRows<'a> {
    pub(super) x: &'a [f32],
    pub(super) offsets: &'a [usize],
}

impl TapRows<'_> {
    fn check(&self, reach: usize) {
        let furthest = self.offsets.iter().max().copied().unwrap_or(0);
        assert!(self.offsets.len().is_multiple_of(TAPS) && self.x.len() >= furthest + reach);
    }
}

/// `sums[row][lane] (+)= Σ_j x[offset(row) + q + j] · dy[j][lane]` over `len` pixels.
pub(super) struct Outer<'a> {
    pub(super) taps: TapRows<'a>,
    pub(super) q: usize,
    pub(super) len: usize,
    pub(super) dy: &'a [f32],
    pub(super) lanes: usize,
    /// Whether the sums are overwritten, not added to.
    pub(super) first: bool,
}

impl Outer<'_> {
    pub(super) fn add_to(&self, isa: Isa, sums: &mut [f32]) {
        self.taps.check(self.q + self.len);
        assert!(self.dy.len() >= self.len * self.lanes && sums.len() >= self.taps.offsets.len() * self.lanes);
        outer(isa, self, sums);
    }
}

simd_entry! {
    fn outer[S](p: &Outer<'_>, sums: &mut [f32]) {
        // SAFETY: `Outer::add_to` has checked all lengths; the entry has the instruction set.
        unsafe {
            match p.lanes / S::LANES {
                4 => outer_tiles::<S, 4>(p, sums.as_mut_ptr()),
                2 => outer_tiles::<S, 2>(p, sums.as_mut_ptr()),
                other => unreachable!("no tile of {other} vectors"),
            }
        }
    }
}

/// # Safety
/// As checked by [`Outer::add_to`]; the caller has the instruction set of `S`.
#[inline(always)]
unsafe fn outer_tiles<S: Simd, const V: usize>(p: &Outer<'_>, sums: *mut f32) {
    // SAFETY: inside the lengths that the caller checked.
    unsafe {
        for (tile, offsets) in p.taps.offsets.chunks_exact(TAPS).enumerate() {
            let mut acc = [[S::zero(); V]; TAPS];
            let mut x = [p.taps.x.as_ptr(); TAPS];
            for (x, &offset) in x.iter_mut().zip(offsets) {
                *x = x.add(offset + p.q);
            }
            // The next tile's pixels are too short rows for the processor to foresee.
            let next = p.taps.offsets.get((tile + 1) * TAPS..).unwrap_or_default();
            let mut dy = p.dy.as_ptr();
            for j in 0..p.len {
                if j % 16 == 0 {
                    for &offset in next.iter().take(TAPS) {
                        prefetch(p.taps.x.as_ptr().wrapping_add(offset + p.q + j));
                    }
                }
                let mut d = [S::zero(); V];
                for (v, d) in d.iter_mut().enumerate() {
                    *d = S::load(dy.add(v * S::LANES));
                }
                for (acc, x) in acc.iter_mut().zip(&x) {
                    let x = S::splat(*x.add(j));
                    for (acc, &d) in acc.iter_mut().zip(&d) {
                        *acc = S::fma(x, d, *acc);
                    }
                }
                dy = dy.add(V * S::LANES);
            }
            let to = sums.add(tile * TAPS * V * S::LANES);
            for (i, &acc) in acc.as_flattened().iter().enumerate() {
                let to = to.add(i * S::LANES);
                S::store(to, if p.first { acc } else { S::add(S::load(to), acc) });
            }
        }
    }
}

/// `sums[row][channel] += Σ_j x[offset(row) + j] · dy[channel][j]` over `len` pixels; `dy` is zero from there to the next
/// multiple of a vector.
pub(super) struct Dots<'a> {
    pub(super) taps: TapRows<'a>,
    pub(super) len: usize,
    pub(super) dy: &'a [f32],
    pub(super) channels: usize,
    /// Distance of two channels of `dy`.
    pub(super) pitch: usize,
}

impl Dots<'_> {
    pub(super) fn add_to(&self, isa: Isa, sums: &mut [f32]) {
        self.taps.check(self.len);
        assert!(self.dy.len() >= (self.channels - 1) * self.pitch + self.len);
        assert!(sums.len() >= self.taps.offsets.len() * self.channels);
        dots(isa, self, sums);
    }
}

simd_entry! {
    fn dots[S](p: &Dots<'_>, sums: &mut [f32]) {
        let mut channel = 0;
        while channel < p.channels {
            // SAFETY: `Dots::add_to` has checked all lengths; the entry has the instruction set.
            unsafe {
                if p.channels - channel >= 3 {
                    dot_tiles::<S, 3>(p, channel, sums.as_mut_ptr());
                    channel += 3;
                } else {
                    dot_tiles::<S, 1>(p, channel, sums.as_mut_ptr());
                    channel += 1;
                }
            }
        }
    }
}

/// # Safety
/// As checked by [`Dots::add_to`] for channels `channel .. channel + M`; the caller has the instruction set of `S`.
#[inline(always)]
unsafe fn dot_tiles<S: Simd, const M: usize>(p: &Dots<'_>, channel: usize, sums: *mut f32) {
    // SAFETY: whole vectors end before `len`, the rest is taken element by element.
    unsafe {
        let dy = p.dy.as_ptr().add(channel * p.pitch);
        for (tile, offsets) in p.taps.offsets.chunks_exact(TAPS).enumerate() {
            let mut acc = [[S::zero(); M]; TAPS];
            let x = p.taps.x.as_ptr();
            let mut j = 0;
            while j + S::LANES <= p.len {
                let mut d = [S::zero(); M];
                for (m, d) in d.iter_mut().enumerate() {
                    *d = S::load(dy.add(m * p.pitch + j));
                }
                for (acc, &offset) in acc.iter_mut().zip(offsets) {
                    let x = S::load(x.add(offset + j));
                    for (acc, &d) in acc.iter_mut().zip(&d) {
                        *acc = S::fma(x, d, *acc);
                    }
                }
                j += S::LANES;
            }
            for (t, (acc, &offset)) in acc.iter().zip(offsets).enumerate() {
                for (m, &acc) in acc.iter().enumerate() {
                    let mut total = S::sum(acc);
                    for j in j..p.len {
                        total += *x.add(offset + j) * *dy.add(m * p.pitch + j);
                    }
                    *sums.add((tile * TAPS + t) * p.channels + channel + m) += total;
                }
            }
        }
    }
}
