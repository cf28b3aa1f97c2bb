//! Convolution with few output pixels: the time goes into reading the weights, so they are read once, in their own layout.
//!
//! The input becomes a small im2col matrix `[pixels][ci · kh · kw]`; weights `[co][ci · kh · kw]` stay where they are, and
//! vectors run along the weights' rows in all three passes.
#![allow(unsafe_code)]
use super::geometry::Geometry;
use super::rows::{Accumulate, Dot, Spread};
use crate::cpu::elementwise::for_overwrite;
use crate::cpu::planes::Shared;
use crate::cpu::scratch::Scratch;
use crate::isa::Isa;
use rayon::prelude::*;

/// Output channels of a task.
const CHANNELS: usize = 24;
/// Columns of the im2col matrix that are worked on at a time.
const COLUMNS: usize = 512;

/// Pixels of the small end, all images.
fn pixels(g: &Geometry) -> usize {
    g.n * g.ho * g.wo
}

/// For every output row or column and tap, the source row or column.
fn sources(out: usize, k: usize, stride: usize, source: impl Fn(usize) -> Option<usize>) -> Vec<Option<usize>> {
    (0..out * k).map(|i| source(i / k * stride + i % k)).collect()
}

/// The im2col matrix `[pixels][ci · kh · kw]`.
fn columns(g: &Geometry, x: &[f32]) -> Scratch {
    let (taps, depth) = (g.kh * g.kw, g.taps());
    let mut matrix = Scratch::take(pixels(g) * depth);
    let ys = sources(g.ho, g.kh, g.stride, |p| g.source_row(p));
    let xs = sources(g.wo, g.kw, g.stride, |p| g.source_column(p));
    matrix.par_chunks_mut(depth).enumerate().for_each(|(pixel, row)| {
        let (image, oy, ox) = (pixel / (g.ho * g.wo), pixel / g.wo % g.ho, pixel % g.wo);
        let planes = x[image * g.ci * g.h * g.w..].chunks_exact(g.h * g.w);
        let (ys, xs) = (&ys[oy * g.kh..(oy + 1) * g.kh], &xs[ox * g.kw..(ox + 1) * g.kw]);
        for (to, plane) in row.chunks_exact_mut(taps).zip(planes) {
            for (to, y) in to.chunks_exact_mut(g.kw).zip(ys) {
                let Some(y) = *y else {
                    to.fill(0.0);
                    continue;
                };
                for (to, x) in to.iter_mut().zip(xs) {
                    *to = x.map_or(0.0, |x| plane[y * g.w + x]);
                }
            }
        }
    });
    matrix
}

/// The small end as `[co][pixels]`.
fn by_channel(g: &Geometry, small: &[f32]) -> Scratch {
    let area = g.ho * g.wo;
    let mut out = Scratch::take(small.len());
    for (c, row) in out.chunks_exact_mut(pixels(g)).enumerate() {
        for (image, to) in row.chunks_exact_mut(area).enumerate() {
            to.copy_from_slice(&small[(image * g.co + c) * area..][..area]);
        }
    }
    out
}

/// From the big end to the small end, with a bias per output channel.
pub(super) fn forward(isa: Isa, g: &Geometry, x: &[f32], w: &[f32], bias: Option<&[f32]>) -> Vec<f32> {
    let (depth, pixels, area) = (g.taps(), pixels(g), g.ho * g.wo);
    let matrix = columns(g, x);
    let mut out = for_overwrite(pixels * g.co);
    let shared = Shared::new(&mut out);
    w.par_chunks(CHANNELS * depth).enumerate().for_each(|(task, w)| {
        let channels = w.len() / depth;
        let mut sums = Scratch::take(channels * pixels);
        Dot { w, x: &matrix, depth }.run(isa, &mut sums);
        for (i, sums) in sums.chunks_exact(pixels).enumerate() {
            let c = task * CHANNELS + i;
            let start = bias.map_or(0.0, |b| b[c]);
            for (image, sums) in sums.chunks_exact(area).enumerate() {
                // SAFETY: an output channel belongs to one task.
                let to = unsafe { shared.part((image * g.co + c) * area, area) };
                for (to, &v) in to.iter_mut().zip(sums) {
                    *to = v + start;
                }
            }
        }
    });
    out
}

/// From the small end to the big end, with a bias per channel of the big end.
pub(super) fn backward_data(isa: Isa, g: &Geometry, dy: &[f32], w: &[f32], bias: Option<&[f32]>) -> Vec<f32> {
    let (taps, pixels, area) = (g.kh * g.kw, pixels(g), g.h * g.w);
    let dy = by_channel(g, dy);
    let ys = sources(g.ho, g.kh, g.stride, |p| g.source_row(p));
    let xs = sources(g.wo, g.kw, g.stride, |p| g.source_column(p));
    let mut out = for_overwrite(g.n * g.ci * area);
    let shared = Shared::new(&mut out);
    // Few enough columns for their gradients to stay in the cache, and at least eight tasks.
    let step = (COLUMNS / taps).min(g.ci.div_ceil(8)).max(1);
    (0..g.ci.div_ceil(step)).into_par_iter().for_each(|task| {
        let first = task * step;
        let count = step.min(g.ci - first);
        let width = count * taps;
        let mut matrix = Scratch::take(pixels * width);
        Spread { w, depth: g.taps(), first: first * taps, width, dy: &dy, pixels, channels: g.co }
            .run(isa, &mut matrix);
        for ci in 0..count {
            for image in 0..g.n {
                // SAFETY: a channel of the big end belongs to one task.
                let to = unsafe { shared.part((image * g.ci + first + ci) * area, area) };
                to.fill(bias.map_or(0.0, |b| b[first + ci]));
                for p in 0..g.ho * g.wo {
                    let row = &matrix[(image * g.ho * g.wo + p) * width + ci * taps..][..taps];
                    let (ys, xs) = (&ys[p / g.wo * g.kh..][..g.kh], &xs[p % g.wo * g.kw..][..g.kw]);
                    for (row, y) in row.chunks_exact(g.kw).zip(ys) {
                        let Some(y) = y else { continue };
                        for (&v, x) in row.iter().zip(xs) {
                            if let Some(x) = x {
                                to[y * g.w + x] += v;
                            }
                        }
                    }
                }
            }
        }
    });
    out
}

/// `into += ` gradient of the weight.
pub(super) fn backward_weight(isa: Isa, g: &Geometry, x: &[f32], dy: &[f32], into: &mut [f32]) {
    let (depth, pixels) = (g.taps(), pixels(g));
    let matrix = columns(g, x);
    let dy = by_channel(g, dy);
    into.par_chunks_mut(CHANNELS * depth).zip(dy.par_chunks(CHANNELS * pixels)).for_each(|(into, dy)| {
        for first in (0..depth).step_by(COLUMNS) {
            let width = COLUMNS.min(depth - first);
            Accumulate { x: &matrix, dy, pixels, depth, first, width }.add_to(isa, into);
        }
    });
}
