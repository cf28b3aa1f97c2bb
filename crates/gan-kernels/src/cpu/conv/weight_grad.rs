//! Backward to the weights by taps: the big end correlated with the gradient of the small end.
//!
//! With many output channels the gradient is transposed, by each task for some rows at a time, so that channels are the
//! vector lanes, and a tile of taps × channels is summed over pixels. With few of them, pixels are the lanes and each sum
//! is folded at its end. A task owns a block of input channels and a block of output channels and runs over its share of
//! the rows of all images; shares depend on the shape alone and are added in order.
use super::implicit_gemm::{Tap, fill};
use super::phases::{SLACK, Source};
use super::transpose::{Channels, transpose};
use super::weight_grad_tile::{Dots, Outer, TAPS, TapRows};
use crate::cpu::planes::Shared;
use crate::isa::{Isa, vectorised};
use crate::scratch::Scratch;
use crate::spec::geometry::Geometry;
use rayon::prelude::*;

/// Elements of a task's sums.
const SUMS: usize = 40 << 10;
/// Elements of a block of input channels, and of the rows of the gradient that are transposed at a time.
const BLOCK: usize = 64 << 10;
const TRANSPOSED: usize = 48 << 10;
/// Tasks that a call is split into at least, where its size allows.
const TASKS: usize = 12;
/// Pixels that are summed before the next taps' turn.
const PIXELS: usize = 128;
/// Output channels of a task.
const WIDE: usize = 64;
/// Up to so many output channels, pixels are the lanes.
const FEW: usize = 8;

/// How many output channels a block has; all blocks are filled up with zeros.
fn lanes(isa: Isa, channels: usize) -> usize {
    match isa {
        _ if channels <= FEW => channels,
        Isa::Avx512 if channels > 32 => 64,
        Isa::Avx512 => 32,
        Isa::Avx2 => 16,
        Isa::Portable => 8,
    }
}

struct Plan {
    source: Source,
    taps: Vec<Tap>,
    margin: usize,
    pitch: usize,
    /// Output channels of a block, blocks of a task, and tasks along them.
    lanes: usize,
    wide: usize,
    blocks: usize,
    /// Input channels of a task, and tasks along them.
    inputs: usize,
    groups: usize,
    /// Shares of the rows, and rows of a share.
    shares: usize,
    rows: usize,
    /// Rows of sums of a task: taps, filled up to whole tiles.
    sums: usize,
}

impl Plan {
    fn new(isa: Isa, g: &Geometry) -> Self {
        let (source, taps, margin) = super::implicit_gemm::forward_taps(g);
        let lanes = lanes(isa, g.co);
        // A task brings its inputs into place for at least this many output channels.
        let wide = (WIDE / lanes).clamp(1, g.co.div_ceil(lanes));
        let blocks = g.co.div_ceil(lanes * wide);
        let pitch = source.pitch();
        // As many as fit: each group reads the whole gradient, and each band of inputs has rows that the next one has as well.
        let fit = (SUMS / (taps.len() * lanes * wide)).min(BLOCK / (g.stride.pow(2) * pitch * (2 * margin + 1)));
        let groups = g.ci.div_ceil(fit.clamp(1, g.ci));
        let inputs = g.ci.div_ceil(groups);
        let rows = g.ho.div_ceil(TASKS.div_ceil(blocks * groups)).max(g.ho.min(4));
        let sums = (inputs * taps.len()).next_multiple_of(TAPS);
        let shares = g.ho.div_ceil(rows);
        Plan { source, taps, margin, pitch, lanes, wide, blocks, inputs, groups, shares, rows, sums }
    }

    /// Elements of `rows` prepared rows of one block's gradient.
    fn prepared(&self, rows: usize) -> usize {
        rows * self.pitch * self.lanes + SLACK
    }
}

/// `into += ` gradient of the weight, or `into = ` it if `into` is `fresh`; tells whether the result is finite.
pub(super) fn backward_weight(isa: Isa, g: &Geometry, x: &[f32], dy: &[f32], into: &mut [f32], fresh: bool) -> bool {
    let plan = Plan::new(isa, g);
    let size = plan.sums * plan.lanes * plan.wide;
    let mut sums = Scratch::take(plan.shares * plan.blocks * plan.groups * size);
    sums.par_chunks_mut(size).enumerate().for_each(|(task, sums)| {
        let (block, rest) = (task % plan.blocks, task / plan.blocks);
        let (group, share) = (rest % plan.groups, rest / plan.groups);
        sums.fill(0.0);
        let rows = share * plan.rows..((share + 1) * plan.rows).min(g.ho);
        for (x, dy) in x.chunks_exact(g.ci * g.h * g.w).zip(dy.chunks_exact(g.co * g.ho * g.wo)) {
            correlate(isa, g, &plan, x, dy, (block, group), rows.clone(), sums);
        }
    });
    add(isa, g, &plan, &sums, into, fresh)
}

/// Adds the correlations of some rows of an image to a task's sums.
#[allow(clippy::too_many_arguments)]
fn correlate(
    isa: Isa,
    g: &Geometry,
    plan: &Plan,
    x: &[f32],
    dy: &[f32],
    (block, group): (usize, usize),
    rows: std::ops::Range<usize>,
    sums: &mut [f32],
) {
    let inputs = plan.inputs.min(g.ci - group * plan.inputs);
    let outer = g.co > FEW;
    let (area, channel) = (g.h * g.w, g.ho * g.wo);
    let from = &x[group * plan.inputs * area..][..inputs * area];
    let fit = (BLOCK / inputs / (g.stride.pow(2) * plan.pitch)).saturating_sub(plan.margin);
    let step = fit.min(TRANSPOSED / (plan.pitch * plan.lanes)).clamp(1, rows.len());
    let mut offsets = vec![0; plan.sums];
    let mut prepared = Scratch::take(plan.prepared(step));
    for first in rows.clone().step_by(step) {
        let count = step.min(rows.end - first);
        let band = plan.source.band(first, count + plan.margin);
        let plane = band.plane();
        let mut input = Scratch::take(inputs * plane);
        fill(isa, &plan.source, &band, from, &mut input);
        for (i, o) in offsets.iter_mut().enumerate().take(inputs * plan.taps.len()) {
            let tap = plan.taps[i % plan.taps.len()];
            *o = i / plan.taps.len() * plane + band.at(tap.phase, tap.row, tap.column);
        }
        let len = (count - 1) * plan.pitch + g.wo;
        let taps = TapRows { x: &input, offsets: &offsets };
        for (i, sums) in sums.chunks_exact_mut(plan.sums * plan.lanes).enumerate() {
            let c = (block * plan.wide + i) * plan.lanes;
            if c >= g.co {
                break;
            }
            let (planes, count_of) = (&dy[c * channel + first * g.wo..], plan.lanes.min(g.co - c));
            let dy = Channels { from: planes, count: count_of, step: channel };
            if outer {
                transpose(isa, dy, &mut prepared, (count, g.wo, plan.pitch), plan.lanes);
                // Equal parts, so that none is short.
                let part = len.div_ceil(len.div_ceil(PIXELS));
                for q in (0..len).step_by(part) {
                    let dy = &prepared[q * plan.lanes..];
                    Outer { taps, q, len: part.min(len - q), dy, lanes: plan.lanes, first: false }.add_to(isa, sums);
                }
            } else {
                spread(dy, &mut prepared, (count, g.wo, plan.pitch));
                Dots { taps, len, dy: &prepared, channels: plan.lanes, pitch: count * plan.pitch }.add_to(isa, sums);
            }
        }
    }
}

/// `[channels][h][w]` → `[channels][h][pitch]`, zeros elsewhere.
fn spread(dy: Channels<'_>, to: &mut [f32], (h, w, pitch): (usize, usize, usize)) {
    for (c, to) in to.chunks_exact_mut(h * pitch).enumerate().take(dy.count) {
        for (to, from) in to.chunks_exact_mut(pitch).zip(dy.from[c * dy.step..].chunks_exact(w)) {
            to[..w].copy_from_slice(from);
            to[w..].fill(0.0);
        }
    }
}

/// Adds all shares' sums to the gradient `[co][ci · taps]`; tells whether it is finite.
fn add(isa: Isa, g: &Geometry, plan: &Plan, sums: &[f32], into: &mut [f32], fresh: bool) -> bool {
    let depth = g.taps();
    let size = plan.sums * plan.lanes;
    let blocks = g.co.div_ceil(plan.lanes);
    let out = Shared::new(into);
    let finite = (0..blocks * plan.groups).into_par_iter().map(|i| {
        let mut all = true;
        let (block, group) = (i % blocks, i / blocks);
        let channels = plan.lanes.min(g.co - block * plan.lanes);
        let first = group * plan.inputs * plan.taps.len();
        let count = (plan.inputs * plan.taps.len()).min(depth - first);
        for share in 0..plan.shares {
            let task = (share * plan.groups + group) * plan.blocks + block / plan.wide;
            let from = &sums[(task * plan.wide + block % plan.wide) * size..][..size];
            for k in (0..count).step_by(16) {
                let width = 16.min(count - k);
                for c in 0..channels {
                    let at = (block * plan.lanes + c) * depth + first + k;
                    // SAFETY: these weights belong to this block and group alone.
                    #[allow(unsafe_code)]
                    let to = unsafe { out.part(at, width) };
                    let found = add_column(isa, to, &from[k * plan.lanes + c..], plan.lanes, fresh && share == 0);
                    all &= found || share + 1 < plan.shares;
                }
            }
        }
        all
    });
    finite.reduce(|| true, |a, b| a & b)
}

vectorised! {
    /// Adds a column, or overwrites with it; tells whether the result is finite.
    fn add_column(to: &mut [f32], from: &[f32], step: usize, fresh: bool) -> bool {
        let mut zero = 0.0;
        for (o, &v) in to.iter_mut().zip(from.iter().step_by(step)) {
            *o = if fresh { v } else { *o + v };
            zero += 0.0 * *o;
        }
        zero == 0.0
    }
}
