//! Convolution by small register tiles in plain Rust, for every element type and every shape.
#![allow(unsafe_code)]
use super::epilogue::Epilogue;
use super::fold::fold;
use super::phase_planes::{Grid, SLACK};
use crate::cpu::elementwise::{for_overwrite, sum_by};
use crate::cpu::planes::Shared;
use crate::cpu::real::Real;
use crate::dispatch::isa;
use crate::isa::vectorised;
use crate::spec::geometry::Geometry;
use rayon::prelude::*;

/// Channels of a register tile.
const M: usize = 4;
/// Pixels of a register tile.
const N: usize = 16;
/// Register tiles of a task.
const TILES: usize = 16;

type Tile<T> = [[T; N]; M];

vectorised! {
    /// `tile[m][j] = Σ_k weights[k][m] · x[offsets[k] + q + j]`.
    fn tile<T: Real>(weights: &[T], offsets: &[usize], x: &[T], q: usize) -> Tile<T> {
        let mut acc = [[T::zero(); N]; M];
        for (w, &offset) in weights.chunks_exact(M).zip(offsets) {
            let x = &x[offset + q..offset + q + N];
            for (acc, &w) in acc.iter_mut().zip(w) {
                for (a, &x) in acc.iter_mut().zip(x) {
                    *a += w * x;
                }
            }
        }
        acc
    }
}

/// Weights `[panel of M channels][tap][M]` from `weight(channel, tap)`; channels past the last are zero.
fn pack<T: Real>(channels: usize, taps: usize, weight: impl Fn(usize, usize) -> T) -> Vec<T> {
    let mut packed = vec![T::zero(); channels.div_ceil(M) * M * taps];
    for (i, p) in packed.iter_mut().enumerate() {
        let (channel, tap) = (i / (taps * M) * M + i % M, i / M % taps);
        if channel < channels {
            *p = weight(channel, tap);
        }
    }
    packed
}

/// Computes all results of flat length `len` and hands each tile's rows to `emit(channel, q, values)`.
fn product<T: Real>(
    packed: &[T],
    channels: usize,
    offsets: &[usize],
    x: &[T],
    len: usize,
    emit: impl Fn(usize, usize, &[T; N]) + Sync,
) {
    let isa = isa();
    let spans = len.div_ceil(N * TILES);
    (0..channels.div_ceil(M) * spans).into_par_iter().for_each(|task| {
        let (panel, span) = (task / spans, task % spans);
        let weights = &packed[panel * offsets.len() * M..(panel + 1) * offsets.len() * M];
        for q in (span * N * TILES..len.min((span + 1) * N * TILES)).step_by(N) {
            let acc = tile(isa, weights, offsets, x, q);
            for (m, row) in acc.iter().enumerate().take(channels - panel * M) {
                emit(panel * M + m, q, row);
            }
        }
    });
}

/// The planes of one image of the big end in grid layout.
fn big_grid<T: Real>(g: &Geometry, grid: &Grid, image: &[T]) -> Vec<T> {
    let mut planes = vec![T::zero(); g.ci * grid.plane()];
    planes
        .par_chunks_mut(grid.plane())
        .zip(image.par_chunks(g.h * g.w))
        .for_each(|(plane, source)| grid.fill(g, source, plane));
    planes
}

/// From the big end to the small end, with bias and activation.
pub(crate) fn forward<T: Real>(g: &Geometry, x: &[T], w: &[T], epilogue: Epilogue<T>) -> Vec<T> {
    let isa = isa();
    let grid = Grid::new(g);
    let taps = g.taps();
    let packed = pack(g.co, taps, |co, tap| w[co * taps + tap]);
    let mut offsets = Vec::with_capacity(taps);
    for ci in 0..g.ci {
        for (ky, kx) in kernel(g) {
            offsets.push(ci * grid.plane() + grid.tap(ky, kx));
        }
    }
    let mut out = for_overwrite(g.n * g.co * g.ho * g.wo);
    for (image, out) in x.chunks(g.ci * g.h * g.w).zip(out.chunks_mut(g.co * g.ho * g.wo)) {
        let planes = big_grid(g, &grid, image);
        let out = Shared::new(out);
        let len = (g.ho - 1) * grid.pitch + g.wo;
        product(&packed, g.co, &offsets, &planes, len, |co, q, values| {
            let start = epilogue.start(co);
            for (row, column, values) in runs(values, q, len, grid.pitch, g.wo) {
                // SAFETY: every (channel, q) is computed by one task.
                let out = unsafe { out.part((co * g.ho + row) * g.wo + column, values.len()) };
                for (o, &v) in out.iter_mut().zip(values) {
                    *o = v + start;
                }
                epilogue.activate(isa, out);
            }
        });
    }
    out
}

/// The kernel's taps in row-major order.
fn kernel(g: &Geometry) -> impl Iterator<Item = (usize, usize)> + use<> {
    let (kh, kw) = (g.kh, g.kw);
    (0..kh).flat_map(move |ky| (0..kw).map(move |kx| (ky, kx)))
}

/// Cuts the flat results `q ..` into pieces of rows (row, first column, values), dropping columns from `width` on.
fn runs<T>(
    values: &[T; N],
    q: usize,
    len: usize,
    pitch: usize,
    width: usize,
) -> impl Iterator<Item = (usize, usize, &[T])> {
    let end = (q + N).min(len);
    (q / pitch..end.div_ceil(pitch)).filter_map(move |row| {
        let from = q.max(row * pitch);
        let to = end.min(row * pitch + width);
        (from < to).then(|| (row, from - row * pitch, &values[from - q..to - q]))
    })
}

/// From the small end to the big end, with a bias per channel of the big end.
pub(crate) fn backward_data<T: Real>(g: &Geometry, dy: &[T], w: &[T], bias: Option<&[T]>) -> Vec<T> {
    let mut out = for_overwrite(g.n * g.ci * g.h * g.w);
    let s = g.stride;
    // Each stride phase of the padded result is a plain convolution of the gradient with every s-th tap; a margin of
    // zeros above and left of the gradient serves the taps that reach over the border.
    let (margin_y, margin_x) = ((g.kh - 1) / s, (g.kw - 1) / s);
    let (rows, columns) = (g.padded_h().div_ceil(s), g.padded_w().div_ceil(s));
    let pitch = columns + margin_x;
    let plane = (rows + margin_y) * pitch + SLACK;
    let (ph, pw) = (g.padded_h(), g.padded_w());
    let len = (rows - 1) * pitch + columns;
    let mut phases = Vec::new();
    for (r, t) in (0..s).flat_map(|r| (0..s).map(move |t| (r, t))) {
        let taps: Vec<(usize, usize)> = kernel(g).filter(|&(ky, kx)| ky % s == r && kx % s == t).collect();
        let packed = pack(g.ci, g.co * taps.len(), |ci, tap| {
            let (co, (ky, kx)) = (tap / taps.len(), taps[tap % taps.len()]);
            w[((co * g.ci + ci) * g.kh + ky) * g.kw + kx]
        });
        let mut offsets = Vec::with_capacity(g.co * taps.len());
        for co in 0..g.co {
            for (ky, kx) in &taps {
                offsets.push(co * plane + (margin_y - ky / s) * pitch + margin_x - kx / s);
            }
        }
        phases.push((r, t, packed, offsets));
    }
    for (image, out) in dy.chunks(g.co * g.ho * g.wo).zip(out.chunks_mut(g.ci * g.h * g.w)) {
        let mut planes = vec![T::zero(); g.co * plane];
        planes.par_chunks_mut(plane).zip(image.par_chunks(g.ho * g.wo)).for_each(|(plane, source)| {
            for (y, row) in source.chunks(g.wo).enumerate() {
                let at = (y + margin_y) * pitch + margin_x;
                plane[at..at + g.wo].copy_from_slice(row);
            }
        });
        let mut padded = vec![T::zero(); g.ci * ph * pw];
        let result = Shared::new(&mut padded);
        for (r, t, packed, offsets) in &phases {
            product(packed, g.ci, offsets, &planes, len, |ci, q, values| {
                for (row, column, values) in runs(values, q, len, pitch, columns) {
                    let (py, px) = (row * s + r, column * s + t);
                    if py >= ph || px >= pw {
                        continue;
                    }
                    let at = (ci * ph + py) * pw;
                    for (px, &v) in (px..pw).step_by(s).zip(values) {
                        // SAFETY: phases run one after the other and write different columns; inside a phase every
                        // (channel, q) is computed by one task.
                        unsafe { result.set(at + px, v) };
                    }
                }
            });
        }
        out.par_chunks_mut(g.h * g.w).zip(padded.par_chunks(ph * pw)).enumerate().for_each(|(ci, (out, padded))| {
            fold(g, padded, out, bias.map_or(T::zero(), |b| b[ci]));
        });
    }
    out
}

vectorised! {
    fn dot<T: Real>(x: &[T], y: &[T]) -> f64 {
        sum_by([x, y], |[x, y]| x * y)
    }
}

/// `into += ` gradient of the weight.
pub(crate) fn backward_weight<T: Real>(g: &Geometry, x: &[T], dy: &[T], into: &mut [T]) {
    let isa = isa();
    let grid = Grid::new(g);
    let len = (g.ho - 1) * grid.pitch + g.wo;
    for (image, dy) in x.chunks(g.ci * g.h * g.w).zip(dy.chunks(g.co * g.ho * g.wo)) {
        let planes = big_grid(g, &grid, image);
        // The gradient with the grid's pitch and zeros in the columns that belong to no pixel.
        let mut flat = vec![T::zero(); g.co * g.ho * grid.pitch];
        flat.par_chunks_mut(grid.pitch)
            .zip(dy.par_chunks(g.wo))
            .for_each(|(to, from)| to[..g.wo].copy_from_slice(from));
        into.par_chunks_mut(g.kh * g.kw).enumerate().for_each(|(i, into)| {
            let (co, ci) = (i / g.ci, i % g.ci);
            let dy = &flat[co * g.ho * grid.pitch..][..len];
            for ((ky, kx), into) in kernel(g).zip(into) {
                *into += T::of(dot(isa, dy, &planes[ci * grid.plane() + grid.tap(ky, kx)..]));
            }
        });
    }
}
