//! The register tile of implicit matrix products: channels × flat pixels.
#![allow(unsafe_code)]
use crate::cpu::simd::{Simd, prefetch, simd_entry};
use crate::isa::Isa;

/// Channels and flat pixels of a register tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct TileShape {
    pub(crate) channels: usize,
    pub(crate) pixels: usize,
}

impl TileShape {
    /// The tile that a product with `channels` results uses: as many accumulators as there are registers to spare, and
    /// few channels where there are few.
    pub(crate) fn of(isa: Isa, channels: usize) -> Self {
        let (channels, vectors) = match (isa, channels) {
            (Isa::Avx512, 1) => (1, 8),
            (Isa::Avx512, 2 | 3) => (3, 8),
            (Isa::Avx512, _) => (8, 3),
            (Isa::Avx2, 1) => (1, 8),
            (Isa::Avx2, 2 | 3) => (3, 4),
            (Isa::Avx2, _) => (6, 2),
            (Isa::Portable, 1) => (1, 8),
            (Isa::Portable, 2 | 3) => (3, 4),
            (Isa::Portable, _) => (6, 2),
        };
        let lanes = match isa {
            Isa::Avx512 => 16,
            Isa::Avx2 => 8,
            Isa::Portable => 4,
        };
        TileShape { channels, pixels: vectors * lanes }
    }
}

/// `c[m][q] (+)= Σ_k Σ_t weights[m][k][t] · x[k · plane + offsets[t] + q]` for whole tiles.
pub(crate) struct Product<'a> {
    pub(crate) shape: TileShape,
    /// First panel `[k][t][shape.channels]`; the next one is `panel` elements on.
    pub(crate) weights: &'a [f32],
    pub(crate) panel: usize,
    pub(crate) panels: usize,
    pub(crate) x: &'a [f32],
    pub(crate) plane: usize,
    pub(crate) channels: usize,
    pub(crate) offsets: &'a [usize],
    /// Tiles along q.
    pub(crate) tiles: usize,
    /// Distance of two rows of `c`.
    pub(crate) pitch: usize,
    /// Whether `c` is overwritten, not added to.
    pub(crate) first: bool,
    /// Elements behind those of `x` that are needed next: they are asked for a few at a time meanwhile.
    pub(crate) next: usize,
}

impl Product<'_> {
    /// Computes the product into `c` `[panels · shape.channels][pitch]`, of which the first `tiles · shape.pixels` of
    /// every row are results.
    pub(crate) fn run(&self, isa: Isa, c: &mut [f32]) {
        let TileShape { channels, pixels } = self.shape;
        let depth = self.channels * self.offsets.len();
        let reach = self.offsets.iter().max().copied().unwrap_or(0);
        let width = self.tiles * pixels;
        assert!(width <= self.pitch && c.len() >= (self.panels * channels - 1) * self.pitch + width);
        if depth == 0 {
            if self.first {
                c.chunks_mut(self.pitch).take(self.panels * channels).for_each(|row| row[..width].fill(0.0));
            }
            return;
        }
        assert!(self.x.len() >= (self.channels - 1) * self.plane + reach + self.tiles * pixels);
        assert!(self.weights.len() >= (self.panels - 1) * self.panel + depth * channels);
        product(isa, self, c);
    }
}

simd_entry! {
    fn product[S](p: &Product<'_>, c: &mut [f32]) {
        // SAFETY: `Product::run` has checked all lengths; the entry has the instruction set.
        unsafe {
            // Wide registers come in larger numbers; tiles of the other sets are not compiled.
            let wide = S::LANES == 16;
            match (p.shape.channels, p.shape.pixels / S::LANES) {
                (8, 3) if wide => tiles::<S, 8, 3>(p, c.as_mut_ptr()),
                (8, 2) if wide => tiles::<S, 8, 2>(p, c.as_mut_ptr()),
                (8, 1) if wide => tiles::<S, 8, 1>(p, c.as_mut_ptr()),
                (3, 8) if wide => tiles::<S, 3, 8>(p, c.as_mut_ptr()),
                (6, 2) if !wide => tiles::<S, 6, 2>(p, c.as_mut_ptr()),
                (6, 1) if !wide => tiles::<S, 6, 1>(p, c.as_mut_ptr()),
                (3, 4) if !wide => tiles::<S, 3, 4>(p, c.as_mut_ptr()),
                (1, 8) => tiles::<S, 1, 8>(p, c.as_mut_ptr()),
                other => unreachable!("no tile of shape {other:?}"),
            }
        }
    }
}

/// # Safety
/// As checked by [`Product::run`]; the caller has the instruction set of `S`.
#[inline(always)]
unsafe fn tiles<S: Simd, const M: usize, const V: usize>(p: &Product<'_>, c: *mut f32) {
    let pitch = p.pitch;
    let (end, share) = (p.channels * p.offsets.len() * V * S::LANES, (p.next / 16).div_ceil(p.panels));
    for tile in 0..p.tiles {
        for panel in 0..p.panels {
            let q = tile * V * S::LANES;
            for line in panel * share..(panel + 1) * share {
                prefetch(p.x.as_ptr().wrapping_add(end + 16 * line));
            }
            // SAFETY: inside the lengths that the caller checked.
            unsafe {
                one::<S, M, V>(p, p.weights.as_ptr().add(panel * p.panel), q, c.add(panel * M * pitch + q), pitch);
            }
        }
    }
}

/// # Safety
/// As [`tiles`].
#[inline(always)]
unsafe fn one<S: Simd, const M: usize, const V: usize>(
    p: &Product<'_>,
    mut weights: *const f32,
    q: usize,
    c: *mut f32,
    pitch: usize,
) {
    // SAFETY: inside the lengths that `Product::run` checked.
    unsafe {
        let mut acc = [[S::zero(); V]; M];
        let mut base = p.x.as_ptr().add(q);
        for _ in 0..p.channels {
            for &offset in p.offsets {
                let x = base.add(offset);
                prefetch(weights.wrapping_add(p.panel));
                if M < V {
                    let mut w = [S::zero(); M];
                    for (m, w) in w.iter_mut().enumerate() {
                        *w = S::splat(*weights.add(m));
                    }
                    for v in 0..V {
                        let x = S::load(x.add(v * S::LANES));
                        for (acc, &w) in acc.iter_mut().zip(&w) {
                            acc[v] = S::fma(w, x, acc[v]);
                        }
                    }
                } else {
                    let mut xs = [S::zero(); V];
                    for (v, xs) in xs.iter_mut().enumerate() {
                        *xs = S::load(x.add(v * S::LANES));
                    }
                    for (m, acc) in acc.iter_mut().enumerate() {
                        let w = S::splat(*weights.add(m));
                        for (acc, &x) in acc.iter_mut().zip(&xs) {
                            *acc = S::fma(w, x, *acc);
                        }
                    }
                }
                weights = weights.add(M);
            }
            base = base.wrapping_add(p.plane);
        }
        for (m, acc) in acc.iter().enumerate() {
            for (v, &acc) in acc.iter().enumerate() {
                let to = c.add(m * pitch + v * S::LANES);
                S::store(to, if p.first { acc } else { S::add(acc, S::load(to)) });
            }
        }
    }
}
