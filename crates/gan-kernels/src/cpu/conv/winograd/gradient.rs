//! Backward to the weights: `dg = Gᵀ [Σ over tiles of (Bᵀ d B) ⊙ (A dy Aᵀ)] G`.
#![allow(unsafe_code)]
use super::points::both;
use super::tiles::{Destination, Layout, Tiles, transform_gradient, transform_input};
use super::weights::{WIDEST, Weights, tap};
use super::{Geometry, Rows, block_rows, few_tiles, is_small, points};
use crate::cpu::conv::transpose::{Channels, transpose};
use crate::cpu::conv::weight_grad_tile::{Outer, TAPS, TapRows};
use crate::cpu::planes::Shared;
use crate::cpu::simd::{prefetch, simd_entry};
use crate::isa::Isa;
use crate::scratch::Scratch;
use crate::spec::act::Act;
use crate::spec::conv::PadMode;
use rayon::prelude::*;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

/// Input channels of a task of the last step.
const INPUTS: usize = 16;

/// Input channels whose sums are gathered at a time where channels are very many: whole tiles.
const PIECE: usize = 8 * TAPS;

/// Elements of the sums that are held at a time.
const SUMS: usize = 5 << 20;

/// Sums of products `[product][block of output channels][phase][input channel][lane]` of some blocks.
#[derive(Clone, Copy)]
struct Sums {
    /// Output channels of a block.
    lanes: usize,
    /// First block and number of blocks.
    first: usize,
    blocks: usize,
    /// The first input channel, and their number, of each phase.
    from: usize,
    inputs: usize,
    phases: usize,
    /// Products of a tile in one dimension.
    points: usize,
}

impl Sums {
    /// Input channels of all phases, filled up to whole tiles.
    fn rows(&self) -> usize {
        (self.phases * self.inputs).next_multiple_of(TAPS)
    }

    fn block(&self) -> usize {
        self.rows() * self.lanes
    }

    fn len(&self) -> usize {
        self.points * self.points * self.blocks * self.block()
    }
}

/// `into += ` gradient of the weight, or `into = ` it if `into` is `fresh`; tells whether the result is finite.
pub(in super::super) fn backward_weight(
    isa: Isa,
    g: &Geometry,
    x: &[f32],
    dy: &[f32],
    into: &mut [f32],
    fresh: bool,
) -> bool {
    let mut finite = true;
    let (phases, taps) = (g.stride.pow(2), g.kh.div_ceil(g.stride));
    let points = points(g);
    let m = points + 1 - taps;
    let (all, columns) = (g.ho.div_ceil(m), g.wo.div_ceil(m));
    let vectors = if g.co > 2 * isa.lanes() && isa == Isa::Avx512 { 4 } else { 2 };
    let lanes = vectors * isa.lanes();
    let blocks = g.co.div_ceil(lanes);
    let one = Sums { lanes, first: 0, blocks: 1, from: 0, inputs: g.ci, phases, points };
    // With very many channels the sums of a few output channels at a time are held and added to the gradient at once.
    let held = (SUMS / one.len()).clamp(1, blocks);
    let rows = block_rows(all, points * points, (phases * g.ci + g.co) * columns, phases * g.ci * g.co);
    let (tiles, one_block) = (all * columns, g.n == 1 && rows == all);
    // Tiles of several images are summed without gaps, so that they have to fill vectors.
    let together = few_tiles::are_few(g.n, tiles) && tiles.is_multiple_of(16);
    let few = together || one_block && (held < blocks || tiles <= few_tiles::TILES);
    if is_small(g) || g.stride == 1 && few {
        return piece_by_piece(isa, g, x, dy, into, fresh, one);
    }
    let mut du = Scratch::take(held * one.len());
    for image in 0..g.n {
        let x = &x[image * g.ci * g.h * g.w..][..g.ci * g.h * g.w];
        let dy = &dy[image * g.co * g.ho * g.wo..][..g.co * g.ho * g.wo];
        for first in (0..all).step_by(rows) {
            let rows = rows.min(all - first);
            let factors = Factors::new(isa, g, first..first + rows, x, dy);
            let starts = image == 0 && first == 0;
            let ends = image + 1 == g.n && first + rows == all;
            for block in (0..blocks).step_by(held) {
                let sums = Sums { first: block, blocks: held.min(blocks - block), ..one };
                let du = &mut du[..sums.len()];
                factors.multiply(isa, sums, starts || held < blocks, du);
                if ends || held < blocks {
                    let fresh = fresh && (starts || held == blocks);
                    let found = add(isa, g, du, sums, into, fresh);
                    finite &= found || !ends;
                }
            }
        }
    }
    finite
}

/// The same for one block of tile rows, or those of all images, and few tiles or very many channels: the sums of some output channels and a few input channels
/// are transformed back while they lie in the cache, for to write all sums to memory would be most of the work.
fn piece_by_piece(isa: Isa, g: &Geometry, x: &[f32], dy: &[f32], into: &mut [f32], fresh: bool, all: Sums) -> bool {
    assert!(into.len() >= g.co * g.taps());
    let rows = g.ho.div_ceil(all.points + 1 - g.kh.div_ceil(g.stride));
    let factors = Factors::new(isa, g, 0..rows, x, dy);
    let (out, finite) = (Shared::new(into), AtomicBool::new(true));
    let (lanes, products, tiles) = (all.lanes, all.points * all.points, factors.m_layout.tiles);
    let blocks = g.co.div_ceil(lanes);
    // Where there are few blocks, each is shared by several tasks.
    let shares = (4 * rayon::current_num_threads()).div_ceil(blocks).min(g.ci.div_ceil(PIECE));
    let share = g.ci.div_ceil(shares).next_multiple_of(PIECE);
    (0..blocks * shares).into_par_iter().for_each(|task| {
        let (block, first) = (task / shares, task % shares * share);
        let mut dy = Scratch::take(products * tiles * lanes);
        for (product, dy) in dy.chunks_exact_mut(tiles * lanes).enumerate() {
            factors.turn(isa, product, block, lanes, dy);
        }
        let piece = Sums { first: block, inputs: PIECE, ..all };
        let mut du = Scratch::take(piece.len());
        for from in (first..(first + share).min(g.ci)).step_by(PIECE) {
            let piece = Sums { from, ..piece };
            for (product, du) in du.chunks_exact_mut(piece.block()).enumerate() {
                factors.multiply_one(isa, product, piece, &dy[product * tiles * lanes..], true, du);
            }
            finish(isa, g, &du, piece, 0, from..g.ci.min(from + PIECE), out, fresh, &finite);
        }
    });
    finite.into_inner()
}

/// Transforms the sums back and adds them to the gradient, or overwrites it; tells whether it is finite.
fn add(isa: Isa, g: &Geometry, du: &[f32], sums: Sums, into: &mut [f32], fresh: bool) -> bool {
    assert!(du.len() >= sums.len() && into.len() >= g.co * g.taps());
    let (out, finite) = (Shared::new(into), AtomicBool::new(true));
    let tasks = sums.blocks * g.ci.div_ceil(INPUTS);
    (0..tasks).into_par_iter().for_each(|task| {
        let (block, first) = (task % sums.blocks, task / sums.blocks * INPUTS);
        finish(isa, g, du, sums, block, first..g.ci.min(first + INPUTS), out, fresh, &finite);
    });
    finite.into_inner()
}

/// Transformed inputs and gradients of a block of tile rows.
struct Factors {
    v: Scratch,
    v_layout: Layout,
    m: Scratch,
    m_layout: Layout,
    /// Tiles, without those that fill the last vector.
    count: usize,
    weights: Weights,
}

impl Factors {
    /// Of some tile rows of one or more images.
    fn new(isa: Isa, g: &Geometry, rows: Range<usize>, x: &[f32], dy: &[f32]) -> Self {
        let points = points(g);
        let m = points + 1 - g.kh.div_ceil(g.stride);
        let (first, rows, columns) = (rows.start, rows.len(), g.wo.div_ceil(m));
        let (stride, phase) = (g.stride, (0, 0));
        let weights = Weights::new(isa, g, false, points);
        let (Geometry { h, w, padding: [padding, _], mode, .. }, left_out) = (*g, weights.left_out());
        let held = Rows::all(h);
        let (padding, act) = ([padding; 2], Act::Identity);
        let big = Tiles { h, w, held, padding, mode, act, stride, phase, left_out, points, m, first, rows, columns };
        let held = Rows::all(g.ho);
        let small = Tiles { h: g.ho, w: g.wo, held, padding: [0; 2], mode: PadMode::Zero, stride: 1, ..big };
        let (big, small) = (&big, &small);
        let phases = stride * stride;
        // Tiles of several images fill vectors.
        let (images, image) = (dy.len() / (g.co * g.ho * g.wo), big.count());
        let count = images * image;
        let v_layout = Layout::new(isa, phases * g.ci, count, None);
        let m_layout = Layout::new(isa, g.co, count, None);
        let products = big.points * big.points;
        let mut v = Scratch::take(products * v_layout.product());
        let mut m = Scratch::take(products * m_layout.product());
        let (v_shared, m_shared) = (Shared::new(&mut v), Shared::new(&mut m));
        x.par_chunks(big.h * big.w).enumerate().for_each(|(i, plane)| {
            let (channel, first) = (i % g.ci, i / g.ci * image);
            transform_input(isa, big, plane, Destination { layout: &v_layout, channel, first, to: v_shared });
        });
        dy.par_chunks(small.h * small.w).enumerate().for_each(|(i, plane)| {
            let (channel, first) = (i % g.co, i / g.co * image);
            transform_gradient(isa, small, plane, Destination { layout: &m_layout, channel, first, to: m_shared });
        });
        Factors { v, v_layout, m, m_layout, count, weights }
    }

    /// A block's transformed gradients of one product, with channels as lanes.
    fn turn(&self, isa: Isa, product: usize, block: usize, lanes: usize, to: &mut [f32]) {
        let tiles = self.m_layout.tiles;
        let count = lanes.min(self.m_layout.channels - block * lanes);
        let from = &self.m[product * self.m_layout.product() + block * lanes * tiles..][..count * tiles];
        transpose(isa, Channels { from, count, step: tiles }, to, (1, tiles, tiles), lanes);
    }

    /// Adds one product of a block, whose gradients [`Factors::turn`] has turned, to the sums, or overwrites them if it is the `first` one.
    fn multiply_one(&self, isa: Isa, product: usize, sums: Sums, dy: &[f32], first: bool, du: &mut [f32]) {
        let tiles = self.v_layout.tiles;
        // Rows of sums behind a phase's last channel repeat it; they are never looked at.
        let inputs = self.v_layout.channels / sums.phases;
        let row = |r: usize| {
            let (phase, c) = ((r / sums.inputs).min(sums.phases - 1), sums.from + r % sums.inputs);
            (phase * inputs + c.min(inputs - 1)) * tiles
        };
        let offsets: Vec<usize> = (0..sums.rows()).map(row).collect();
        let x = &self.v[product * self.v_layout.product()..][..self.v_layout.product()];
        let runs = self.weights.phases_of(product);
        // Phases that are left out have sums of zero.
        let partly = runs.iter().map(Range::len).sum::<usize>() < sums.phases;
        if first && partly {
            du.fill(0.0);
        }
        for run in runs {
            // Whole tiles of rows; what is added to their neighbors does not count.
            let start = run.start * sums.inputs / TAPS * TAPS;
            let end = (run.end * sums.inputs).next_multiple_of(TAPS);
            let (taps, du) =
                (TapRows { x, offsets: &offsets[start..end] }, &mut du[start * sums.lanes..end * sums.lanes]);
            for q in (0..self.count).step_by(DEPTH) {
                let len = DEPTH.min(self.count - q);
                let first = first && !partly && q == 0;
                Outer { taps, q, len, dy: &dy[q * sums.lanes..], lanes: sums.lanes, first }.add_to(isa, du);
            }
        }
    }

    /// Adds the products to the sums, or overwrites them if they are the `first` ones.
    fn multiply(&self, isa: Isa, sums: Sums, first: bool, du: &mut [f32]) {
        du.par_chunks_mut(sums.block()).enumerate().for_each(|(i, du)| {
            let (product, block) = (i / sums.blocks, sums.first + i % sums.blocks);
            let mut turned = Scratch::take(self.m_layout.tiles * sums.lanes);
            self.turn(isa, product, block, sums.lanes, &mut turned);
            if first {
                // Not by the products themselves: they would write to memory that is not in the cache.
                du.fill(0.0);
            }
            self.multiply_one(isa, product, sums, &turned, false, du);
        });
    }
}

/// Tiles that are summed before the next channels' turn.
const DEPTH: usize = 128;

simd_entry! {
    /// Transforms the sums of some input channels back and adds them to the gradient `[co][ci][r][r]`.
    fn finish[S](
        g: &Geometry,
        du: &[f32],
        sums: Sums,
        block: usize,
        inputs: Range<usize>,
        out: Shared<f32>,
        fresh: bool,
        finite: &AtomicBool,
    ) {
        // Zeros as long as all is finite.
        let mut zeros = [0.0f32; WIDEST];
        let (phases, taps) = (g.stride * g.stride, g.kh * g.kw);
        let step = sums.blocks * sums.block();
        let outputs = (sums.first + block) * sums.lanes..g.co.min((sums.first + block + 1) * sums.lanes);
        for input in inputs {
            for first in (0..outputs.len()).step_by(S::LANES) {
                // Taps by output channels, and output channels by taps.
                let mut lanes = [[0.0f32; WIDEST]; WIDEST];
                let mut rows = [[0.0f32; WIDEST]; WIDEST];
                // SAFETY: inside the lengths that `add` checked: inputs lie below `sums.inputs`, lanes below `sums.lanes`.
                // The entry has the instruction set.
                unsafe {
                    for phase in 0..phases {
                        let at = block * sums.block() + (phase * sums.inputs + input - sums.from) * sums.lanes + first;
                        macro_rules! back {
                            ($n:tt, $r:tt) => {{
                                let mut u = [[S::zero(); $n]; $n];
                                for (i, u) in u.as_flattened_mut().iter_mut().enumerate() {
                                    let place = du.as_ptr().add(i * step + at);
                                    prefetch(place.wrapping_add(sums.lanes));
                                    *u = S::load(place);
                                }
                                let g_of = both!(S, filter_adjoint::<$n, $r>, u, $n, $r);
                                for (i, &v) in g_of.as_flattened().iter().enumerate() {
                                    if let Some(tap) = tap(g.kh, g.stride, phase, i / $r, i % $r) {
                                        S::store(lanes[tap].as_mut_ptr(), v);
                                    }
                                }
                            }};
                        }
                        match (sums.points, g.kh.div_ceil(g.stride)) {
                            (3, _) => back!(3, 2),
                            (4, _) => back!(4, 2),
                            (_, 3) => back!(6, 3),
                            _ => back!(6, 4),
                        }
                    }
                    for t in (0..taps).step_by(S::LANES) {
                        S::transpose(lanes[t].as_ptr(), WIDEST, rows.as_mut_ptr().cast::<f32>().add(t), WIDEST);
                    }
                    for (lane, row) in rows.iter().enumerate().take(S::LANES.min(outputs.len() - first)) {
                        // The weights of these channels belong to this task.
                        let to = out.part(((outputs.start + first + lane) * g.ci + input) * taps, taps);
                        prefetch(to.as_ptr().wrapping_add(2 * taps));
                        macro_rules! put {
                            ($taps:tt) => {
                                for ((to, &from), zero) in to[..$taps].iter_mut().zip(row).zip(&mut zeros) {
                                    *to = if fresh { from } else { *to + from };
                                    *zero += 0.0 * *to;
                                }
                            };
                        }
                        match taps {
                            9 => put!(9),
                            _ => put!(16),
                        }
                    }
                }
            }
        }
        if zeros.iter().any(|&zero| zero != 0.0) {
            finite.store(false, Ordering::Relaxed);
        }
    }
}
