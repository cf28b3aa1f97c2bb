//! Backward to the weights: `dg = Gᵀ [Σ over tiles of (Bᵀ d B) ⊙ (A dy Aᵀ)] G`.
#![allow(unsafe_code)]
use super::points::both;
use super::tiles::{Destination, Layout, Tiles, transform_gradient, transform_input};
use super::weights::{WIDEST, tap};
use super::{Geometry, block_rows, points};
use crate::PadMode;
use crate::cpu::conv::outer::{Outer, TAPS, TapRows};
use crate::cpu::conv::transpose::transpose;
use crate::cpu::planes::Shared;
use crate::cpu::scratch::Scratch;
use crate::cpu::simd::{prefetch, simd_entry};
use crate::isa::Isa;
use rayon::prelude::*;
use std::sync::atomic::{AtomicBool, Ordering};

/// Input channels of a task of the last step.
const INPUTS: usize = 16;

/// Elements of the sums that are held at a time.
const SUMS: usize = 4 << 20;

/// Sums of products `[product][block of output channels][input channel][lane]` of some blocks.
#[derive(Clone, Copy)]
struct Sums {
    /// Output channels of a block.
    lanes: usize,
    /// First block and number of blocks.
    first: usize,
    blocks: usize,
    /// Input channels, filled up to whole tiles.
    inputs: usize,
    /// Products of a tile in one dimension.
    points: usize,
}

impl Sums {
    fn block(&self) -> usize {
        self.inputs * self.lanes
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
    let (inputs, taps) = (g.ci * g.stride.pow(2), g.kh.div_ceil(g.stride));
    let points = points(g, (g.ho, g.wo));
    let m = points + 1 - taps;
    let (all, columns) = (g.ho.div_ceil(m), g.wo.div_ceil(m));
    let vectors = if g.co > 2 * isa.lanes() && isa == Isa::Avx512 { 4 } else { 2 };
    let lanes = vectors * isa.lanes();
    let blocks = g.co.div_ceil(lanes);
    let one = Sums { lanes, first: 0, blocks: 1, inputs: inputs.next_multiple_of(TAPS), points };
    // With very many channels the sums of a few output channels at a time are held and added to the gradient at once.
    let held = (SUMS / one.len()).clamp(1, blocks);
    let mut du = Scratch::take(held * one.len());
    let rows = block_rows(all, points * points * (inputs + g.co) * columns);
    for image in 0..g.n {
        let x = &x[image * g.ci * g.h * g.w..][..g.ci * g.h * g.w];
        let dy = &dy[image * g.co * g.ho * g.wo..][..g.co * g.ho * g.wo];
        for first in (0..all).step_by(rows) {
            let rows = rows.min(all - first);
            let (stride, phase) = (g.stride, (0, 0));
            let big = Tiles {
                h: g.h,
                w: g.w,
                padding: g.padding,
                mode: g.mode,
                stride,
                phase,
                points,
                m,
                first,
                rows,
                columns,
            };
            let small = Tiles { h: g.ho, w: g.wo, padding: 0, mode: PadMode::Zero, stride: 1, ..big };
            let factors = Factors::new(isa, &big, &small, x, dy);
            let starts = image == 0 && first == 0;
            let ends = image + 1 == g.n && first + rows == all;
            for block in (0..blocks).step_by(held) {
                let sums = Sums { first: block, blocks: held.min(blocks - block), ..one };
                let du = &mut du[..sums.len()];
                if starts || held < blocks {
                    du.par_chunks_mut(sums.block()).for_each(|block| block.fill(0.0));
                }
                factors.multiply(isa, sums, du);
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
}

impl Factors {
    fn new(isa: Isa, big: &Tiles, small: &Tiles, x: &[f32], dy: &[f32]) -> Self {
        let (ci, co) = (big.stride.pow(2) * x.len() / (big.h * big.w), dy.len() / (small.h * small.w));
        let v_layout = Layout::new(isa, ci, big.count(), None);
        let m_layout = Layout::new(isa, co, big.count(), None);
        let products = big.points * big.points;
        let mut v = Scratch::take(products * v_layout.product());
        let mut m = Scratch::take(products * m_layout.product());
        let (v_shared, m_shared) = (Shared::new(&mut v), Shared::new(&mut m));
        x.par_chunks(big.h * big.w).enumerate().for_each(|(channel, plane)| {
            transform_input(isa, big, plane, Destination { layout: &v_layout, channel, to: v_shared });
        });
        dy.par_chunks(small.h * small.w).enumerate().for_each(|(channel, plane)| {
            transform_gradient(isa, small, plane, Destination { layout: &m_layout, channel, to: m_shared });
        });
        Factors { v, v_layout, m, m_layout, count: big.count() }
    }

    /// Adds the products to the sums.
    fn multiply(&self, isa: Isa, sums: Sums, du: &mut [f32]) {
        let (ci, co) = (self.v_layout.channels, self.m_layout.channels);
        let tiles = self.v_layout.tiles;
        // Rows of sums behind the last channel repeat it; they are never looked at.
        let offsets: Vec<usize> = (0..sums.inputs).map(|c| c.min(ci - 1) * tiles).collect();
        du.par_chunks_mut(sums.block()).enumerate().for_each(|(i, du)| {
            let (product, block) = (i / sums.blocks, sums.first + i % sums.blocks);
            let count = sums.lanes.min(co - block * sums.lanes);
            let from = &self.m[product * self.m_layout.product() + block * sums.lanes * tiles..][..count * tiles];
            let mut transposed = Scratch::take(tiles * sums.lanes);
            transpose(isa, from, &mut transposed, (1, tiles, tiles), sums.lanes);
            let v = &self.v[product * self.v_layout.product()..][..self.v_layout.product()];
            let taps = TapRows { x: v, offsets: &offsets };
            for q in (0..self.count).step_by(DEPTH) {
                let len = DEPTH.min(self.count - q);
                Outer { taps, q, len, dy: &transposed[q * sums.lanes..], lanes: sums.lanes }.add_to(isa, du);
            }
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
        inputs: std::ops::Range<usize>,
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
                        let at = block * sums.block() + (phase * g.ci + input) * sums.lanes + first;
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
                            (5, _) => back!(5, 2),
                            (_, 2) => back!(6, 2),
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
