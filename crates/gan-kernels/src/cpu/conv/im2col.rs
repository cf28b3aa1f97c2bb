//! Convolution with few output pixels: reading the weights is a large part of the work, so they are read once, in their
//! own layout.
//!
//! The input becomes a small im2col matrix `[pixels][ci · kh · kw]`, cut into blocks of columns; weights
//! `[co][ci · kh · kw]` stay where they are, and vectors run along the weights' rows in all three passes. Blocks lie in
//! one piece: rows that are a power of two apart would compete for the same cache sets.
//!
//! For more than a few pixels weights are brought into the order in which products read them, piece by piece. Of weights that never change this
//! is kept, which leaves reading them, front to back. Products are the same.
use super::epilogue::Epilogue;
use super::joined::Joined;
use super::outer_product::{Factors, OuterProduct, ROWS, block, turn};
use super::small_spatial::{Dot, Spread};
use crate::cpu::elementwise::for_overwrite;
use crate::cpu::planes::Shared;
use crate::cpu::simd::prefetch;
use crate::isa::Isa;
use crate::scratch::Scratch;
use crate::spec::geometry::Geometry;
use crate::weight::{Form, Weight};
use rayon::prelude::*;

/// Columns of a pass over all pixels: their weights stay in the second-level cache.
const PASS: usize = 512;
/// Up to so many pixels, weights are read as they lie.
const FEW: usize = 8;
/// Columns whose weights are brought into place for all pixels.
const COLUMNS: usize = 256;

/// Rows of weights that are asked for in advance.
const AHEAD: usize = 6;
/// Elements of the im2col matrix that are read again and again.
const CACHED: usize = 64 << 10;

/// Pixels of the small end, all images.
fn pixels(g: &Geometry) -> usize {
    g.n * g.ho * g.wo
}

/// Output channels of a task: few enough for all threads to have some, many enough to pay for reading the matrix. The
/// result does not depend on it.
fn share(channels: usize) -> usize {
    (channels / (2 * rayon::current_num_threads())).clamp(24, 128).next_multiple_of(4)
}

/// Taps that lie side by side in a kernel's row and on the big end's plane.
struct Run {
    /// The first tap, and its place on the plane.
    tap: usize,
    at: usize,
    len: usize,
}

impl Run {
    #[inline(always)]
    fn gather(&self, plane: &[f32], row: &mut [f32]) {
        let (from, to) = (&plane[self.at..self.at + self.len], &mut row[self.tap..self.tap + self.len]);
        match (from, to) {
            (&[a, b, c, d], to @ &mut [_, _, _, _]) => to.copy_from_slice(&[a, b, c, d]),
            (from, to) => to.iter_mut().zip(from).for_each(|(to, &from)| *to = from),
        }
    }

    #[inline(always)]
    fn scatter(&self, row: &[f32], plane: &mut [f32]) {
        let (from, to) = (&row[self.tap..self.tap + self.len], &mut plane[self.at..self.at + self.len]);
        match (from, to) {
            (&[a, b, c, d], [e, f, g, h]) => (*e, *f, *g, *h) = (*e + a, *f + b, *g + c, *h + d),
            (from, to) => to.iter_mut().zip(from).for_each(|(to, &from)| *to += from),
        }
    }
}

/// For every pixel of an image of the small end, the taps that lie on the big end's plane.
fn windows(g: &Geometry) -> Vec<Vec<Run>> {
    let window = |p: usize| {
        let (oy, ox) = (p / g.wo * g.stride, p % g.wo * g.stride);
        let mut runs: Vec<Run> = Vec::new();
        for tap in 0..g.kh * g.kw {
            let (a, b) = (tap / g.kw, tap % g.kw);
            let (Some(y), Some(x)) = (g.source_row(oy + a), g.source_column(ox + b)) else { continue };
            let at = y * g.w + x;
            match runs.last_mut() {
                Some(run) if b > 0 && run.tap + run.len == tap && run.at + run.len == at => run.len += 1,
                _ => runs.push(Run { tap, at, len: 1 }),
            }
        }
        runs
    };
    (0..g.ho * g.wo).map(window).collect()
}

/// The im2col matrix `[pixels][ci · kh · kw]` in blocks of columns, `[block][pixel][pitch]`.
struct Matrix {
    values: Scratch,
    pixels: usize,
    depth: usize,
    width: usize,
    pitch: usize,
}

impl Matrix {
    fn new(isa: Isa, g: &Geometry, x: Joined<'_, f32>, width: usize, pitch: usize) -> Self {
        let (taps, depth, pixels, area) = (g.kh * g.kw, g.taps(), pixels(g), g.ho * g.wo);
        let block = pixels * pitch;
        let mut values = Scratch::take(depth.div_ceil(width) * block);
        let windows = windows(g);
        let to = Shared::new(&mut values);
        (0..pixels).into_par_iter().for_each(|pixel| {
            let mut row = Scratch::take(depth);
            row.fill(0.0);
            for (ci, row) in row.chunks_exact_mut(taps).enumerate() {
                let plane = x.plane(pixel / area * g.ci + ci, g.h * g.w);
                windows[pixel % area].iter().for_each(|run| run.gather(plane, row));
            }
            x.activate(isa, &mut row);
            for (i, part) in row.chunks(width).enumerate() {
                // SAFETY: a pixel's rows belong to one task.
                #[allow(unsafe_code)]
                let to = unsafe { to.part(i * block + pixel * pitch, part.len()) };
                to.copy_from_slice(part);
            }
        });
        Matrix { values, pixels, depth, width, pitch }
    }

    /// First column, number of columns and values of every block.
    fn blocks(&self) -> impl Iterator<Item = (usize, usize, &[f32])> {
        let values = self.values.chunks_exact(self.pixels * self.pitch);
        values.zip((0..self.depth).step_by(self.width)).map(|(x, first)| (first, self.width.min(self.depth - first), x))
    }
}

/// The small end as `[co][pixels]`.
fn by_channel(isa: Isa, g: &Geometry, small: Joined<'_, f32>) -> Scratch {
    let area = g.ho * g.wo;
    let mut out = Scratch::take(g.co * pixels(g));
    for (c, row) in out.chunks_exact_mut(pixels(g)).enumerate() {
        for (image, to) in row.chunks_exact_mut(area).enumerate() {
            to.copy_from_slice(small.plane(image * g.co + c, area));
        }
    }
    small.activate(isa, &mut out);
    out
}

/// The small end as `[panel of ROWS pixels][co][pixel of the panel]`; what is behind the last pixel is arbitrary.
fn in_panels(isa: Isa, g: &Geometry, small: Joined<'_, f32>) -> Scratch {
    let (pixels, area) = (pixels(g), g.ho * g.wo);
    let mut out = Scratch::take(g.co * pixels.next_multiple_of(ROWS));
    out.par_chunks_mut(g.co * ROWS).enumerate().for_each(|(panel, out)| {
        let first = panel * ROWS;
        for (c, row) in out.chunks_exact_mut(ROWS).enumerate() {
            for (pixel, to) in (first..pixels).zip(row) {
                *to = small.plane(pixel / area * g.co + c, area)[pixel % area];
            }
        }
        small.activate(isa, out);
    });
    out
}

/// From the big end to the small end, with bias and activation.
pub(super) fn forward(
    isa: Isa,
    g: &Geometry,
    x: Joined<'_, f32>,
    w: &[f32],
    weight: &Weight,
    epilogue: Epilogue<f32>,
) -> Vec<f32> {
    let (depth, pixels, area, block) = (g.taps(), pixels(g), g.ho * g.wo, block(isa));
    let few = pixels <= FEW;
    let share = share(g.co).next_multiple_of(block);
    let pitch = PASS.min(depth) + 16;
    let matrix = Matrix::new(isa, g, x, PASS, pitch);
    // All weights as the tasks take them, `[task][pass][block][column][channel]`.
    let (piece, passes) = (PASS * block, depth.div_ceil(PASS));
    let form = Form { name: "stream", numbers: [block, share, 0, 0] };
    let turn_all = |to: &mut [f32]| {
        let tasks = to.par_chunks_mut(share / block * passes * piece).zip(w.par_chunks(share * depth));
        tasks.for_each(|(to, w)| {
            let blocks = w.len().div_ceil(block * depth);
            for (i, to) in to.chunks_exact_mut(piece).enumerate() {
                let (w, k) = (&w[i % blocks * block * depth..], i / blocks * PASS);
                turn(isa, &w[k..], depth, block.min(w.len() / depth), PASS.min(depth - k), block, to);
            }
        });
    };
    let kept = if few { None } else { weight.kept(form, g.co.div_ceil(block) * passes * piece, turn_all).ok() };
    let mut out = for_overwrite(pixels * g.co);
    let shared = Shared::new(&mut out);
    w.par_chunks(share * depth).enumerate().for_each(|(task, w)| {
        let channels = w.len() / depth;
        // `[block][pixel][channel]`, with few pixels `[channel][pixel]`.
        let mut sums = Scratch::take(channels.next_multiple_of(block) * pixels);
        // The weights of a pass for one block, `[column][channel]`.
        let mut turned = Scratch::take(if few || kept.is_some() { 0 } else { piece });
        for (k, columns, s) in matrix.blocks() {
            let first = k == 0;
            if few {
                Dot { w: &w[k..], depth, channels, x: s, pitch, pixels, columns, first }.run(isa, &mut sums);
                continue;
            }
            for (i, (w, sums)) in w.chunks(block * depth).zip(sums.chunks_exact_mut(pixels * block)).enumerate() {
                let x = match &kept {
                    Some(kept) => {
                        let blocks = channels.div_ceil(block);
                        &kept[(task * share / block * passes + k / PASS * blocks + i) * piece..][..columns * block]
                    }
                    None => {
                        turn(isa, &w[k..], depth, w.len() / depth, columns, block, &mut turned);
                        &turned
                    }
                };
                OuterProduct {
                    x,
                    len: columns,
                    s: Factors::Rows(s, pitch),
                    rows: pixels,
                    columns: block,
                    pitch: block,
                    first,
                    next: if kept.is_some() { piece } else { 0 },
                }
                .run(isa, sums);
            }
        }
        for i in 0..channels {
            let (at, step) = if few { (i * pixels, 1) } else { (i / block * pixels * block + i % block, block) };
            let (c, sums) = (task * share + i, &sums[at..]);
            let start = epilogue.start(c);
            for image in 0..g.n {
                // SAFETY: an output channel belongs to one task.
                #[allow(unsafe_code)]
                let to = unsafe { shared.part((image * g.co + c) * area, area) };
                let sums = sums[image * area * step..].iter().step_by(step);
                to.iter_mut().zip(sums).for_each(|(to, &sum)| *to = sum + start);
                epilogue.activate(isa, to);
            }
        }
    });
    out
}

/// From the small end to the big end, with a bias per channel of the big end.
pub(super) fn backward_data(
    isa: Isa,
    g: &Geometry,
    dy: Joined<'_, f32>,
    w: &[f32],
    weight: &Weight,
    bias: Option<&[f32]>,
) -> Vec<f32> {
    let (taps, pixels, area) = (g.kh * g.kw, pixels(g), g.h * g.w);
    let few = pixels <= FEW;
    let dy = if few { by_channel(isa, g, dy) } else { in_panels(isa, g, dy) };
    let windows = windows(g);
    let mut out = for_overwrite(g.n * g.ci * area);
    let shared = Shared::new(&mut out);
    let step = (COLUMNS / taps).min(g.ci.div_ceil(8)).max(1);
    // All weights as the tasks take them.
    let block = block(isa);
    let share = (step * taps).div_ceil(block) * g.co * block;
    let form = Form { name: "stream backward", numbers: [block, step, 0, 0] };
    let gather_all = |to: &mut [f32]| {
        to.par_chunks_mut(share).enumerate().for_each(|(task, to)| {
            gather_columns(g, w, task * step * taps, step.min(g.ci - task * step) * taps, block, to);
        });
    };
    let kept = if few { None } else { weight.kept(form, g.ci.div_ceil(step) * share, gather_all).ok() };
    (0..g.ci.div_ceil(step)).into_par_iter().for_each(|task| {
        let first = task * step;
        let count = step.min(g.ci - first);
        let width = count * taps;
        let mut matrix = Scratch::take(pixels * width);
        if few {
            let (depth, first) = (g.taps(), first * taps);
            Spread { w, depth, first, width, dy: &dy, pixels, channels: g.co }.run(isa, &mut matrix);
        } else {
            let mut own = Scratch::take(if kept.is_some() { 0 } else { share });
            let x = match &kept {
                Some(kept) => &kept[task * share..][..share],
                None => {
                    gather_columns(g, w, first * taps, width, block, &mut own);
                    &own
                }
            };
            spread(isa, g, &dy, x, width, if kept.is_some() { g.co * block } else { 0 }, &mut matrix);
        }
        for ci in 0..count {
            for image in 0..g.n {
                // SAFETY: a channel of the big end belongs to one task.
                #[allow(unsafe_code)]
                let to = unsafe { shared.part((image * g.ci + first + ci) * area, area) };
                to.fill(bias.map_or(0.0, |b| b[first + ci]));
                for (p, window) in windows.iter().enumerate() {
                    let row = &matrix[(image * windows.len() + p) * width + ci * taps..][..taps];
                    window.iter().for_each(|run| run.scatter(row, to));
                }
            }
        }
    });
    out
}

/// The weights of `width` columns from `first` on, `[block][co][column]`.
fn gather_columns(g: &Geometry, w: &[f32], first: usize, width: usize, block: usize, to: &mut [f32]) {
    for (c, row) in w.chunks_exact(g.taps()).enumerate() {
        // Rows are far apart, and too short for the processor to foresee the next ones.
        for k in (0..width).step_by(16) {
            prefetch(row.as_ptr().wrapping_add(AHEAD * g.taps() + first + k));
        }
        for (i, from) in row[first..][..width].chunks(block).enumerate() {
            to[(i * g.co + c) * block..][..from.len()].copy_from_slice(from);
        }
    }
}

/// `matrix[p][k] = Σ_c dy[c][p] · w[c][k]` for `width` columns, of weights `[block][co][column]`. `next`: see [`OuterProduct::next`].
fn spread(isa: Isa, g: &Geometry, dy: &[f32], w: &[f32], width: usize, next: usize, matrix: &mut [f32]) {
    let (pixels, block) = (pixels(g), block(isa));
    for (i, x) in w.chunks_exact(g.co * block).enumerate().take(width.div_ceil(block)) {
        let columns = block.min(width - i * block);
        OuterProduct { x, len: g.co, s: Factors::Panels(dy), rows: pixels, columns, pitch: width, first: true, next }
            .run(isa, &mut matrix[i * block..]);
    }
}

/// `into += ` gradient of the weight, or `into = ` it if `into` is `fresh`; tells whether the result is finite.
pub(super) fn backward_weight(isa: Isa, g: &Geometry, x: &[f32], dy: &[f32], into: &mut [f32], fresh: bool) -> bool {
    let (depth, pixels, share, block) = (g.taps(), pixels(g), share(g.co), block(isa));
    let matrix = Matrix::new(isa, g, Joined::one(x), block, block);
    let dy = by_channel(isa, g, Joined::one(dy));
    // Blocks whose part of the matrix stays in the cache: as long pieces of the gradient's rows as possible are written.
    let blocks: Vec<_> = matrix.blocks().collect();
    let together = (CACHED / (pixels * block)).max(1);
    let parts = into.par_chunks_mut(share * depth).zip(dy.par_chunks(share * pixels));
    let finite = parts.map(|(into, s)| {
        let mut all = true;
        for blocks in blocks.chunks(together) {
            for (into, s) in into.chunks_mut(ROWS * depth).zip(s.chunks(ROWS * pixels)) {
                for &(k, columns, x) in blocks {
                    let rows = s.len() / pixels;
                    all &= OuterProduct {
                        x,
                        len: pixels,
                        s: Factors::Rows(s, pixels),
                        rows,
                        columns,
                        pitch: depth,
                        first: fresh,
                        next: 0,
                    }
                    .run(isa, &mut into[k..]);
                }
            }
        }
        all
    });
    finite.reduce(|| true, |a, b| a & b)
}
