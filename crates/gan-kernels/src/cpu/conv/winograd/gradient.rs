//! Backward to the weights: `dg = Gᵀ [Σ over tiles of (Bᵀ d B) ⊙ (A dy Aᵀ)] G`.
#![allow(unsafe_code)]
use super::points::{POINTS, PRODUCTS, both};
use super::tiles::{Destination, Layout, Tiles, transform_gradient, transform_input};
use super::{BLOCK, Geometry};
use crate::PadMode;
use crate::cpu::conv::outer::{Outer, TAPS, TapRows};
use crate::cpu::conv::transpose::transpose;
use crate::cpu::planes::Shared;
use crate::cpu::scratch::Scratch;
use crate::cpu::simd::simd_entry;
use crate::isa::Isa;
use rayon::prelude::*;

/// Input channels of a task of the last step.
const INPUTS: usize = 16;

/// Elements of the sums that are held at a time.
const SUMS: usize = 8 << 20;

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
}

impl Sums {
    fn block(&self) -> usize {
        self.inputs * self.lanes
    }

    fn len(&self) -> usize {
        PRODUCTS * self.blocks * self.block()
    }
}

/// `into += ` gradient of the weight.
pub(in super::super) fn backward_weight(isa: Isa, g: &Geometry, x: &[f32], dy: &[f32], into: &mut [f32]) {
    let m = POINTS + 1 - g.kh;
    let (all, columns) = (g.ho.div_ceil(m), g.wo.div_ceil(m));
    let vectors = if g.co > 2 * isa.lanes() && isa == Isa::Avx512 { 4 } else { 2 };
    let lanes = vectors * isa.lanes();
    let blocks = g.co.div_ceil(lanes);
    let one = Sums { lanes, first: 0, blocks: 1, inputs: g.ci.next_multiple_of(TAPS) };
    // With very many channels the sums of a few output channels at a time are held and added to the gradient at once.
    let held = (SUMS / one.len()).clamp(1, blocks);
    let mut du = Scratch::take(held * one.len());
    let rows = (BLOCK / (PRODUCTS * (g.ci + g.co) * columns)).clamp(1, all);
    for image in 0..g.n {
        let x = &x[image * g.ci * g.h * g.w..][..g.ci * g.h * g.w];
        let dy = &dy[image * g.co * g.ho * g.wo..][..g.co * g.ho * g.wo];
        for first in (0..all).step_by(rows) {
            let rows = rows.min(all - first);
            let big = Tiles { h: g.h, w: g.w, padding: g.padding, mode: g.mode, m, first, rows, columns };
            let small = Tiles { h: g.ho, w: g.wo, padding: 0, mode: PadMode::Zero, ..big };
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
                    add(isa, g, du, sums, into);
                }
            }
        }
    }
}

/// Transforms the sums back and adds them to the gradient.
fn add(isa: Isa, g: &Geometry, du: &[f32], sums: Sums, into: &mut [f32]) {
    let out = Shared::new(into);
    let tasks = sums.blocks * g.ci.div_ceil(INPUTS);
    (0..tasks).into_par_iter().for_each(|task| {
        let (block, first) = (task % sums.blocks, task / sums.blocks * INPUTS);
        let count = INPUTS.min(g.ci - first);
        finish(isa, g, du, sums, block, first..first + count, out);
    });
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
        let (ci, co) = (x.len() / (big.h * big.w), dy.len() / (small.h * small.w));
        let v_layout = Layout::new(isa, ci, big.count(), None);
        let m_layout = Layout::new(isa, co, big.count(), None);
        let mut v = Scratch::take(PRODUCTS * v_layout.product());
        let mut m = Scratch::take(PRODUCTS * m_layout.product());
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

/// Transforms the sums of some input channels back and adds them to the gradient `[co][ci][r][r]`.
fn finish(
    isa: Isa,
    g: &Geometry,
    du: &[f32],
    sums: Sums,
    block: usize,
    inputs: std::ops::Range<usize>,
    out: Shared<f32>,
) {
    let taps = g.kh * g.kw;
    let start = (sums.first + block) * sums.lanes;
    let channels = sums.lanes.min(g.co - start);
    let mut buffer = Scratch::take(taps * sums.lanes);
    for input in inputs {
        back(isa, du, sums, block, input, g.kh, &mut buffer);
        for lane in 0..channels {
            let at = ((start + lane) * g.ci + input) * taps;
            // SAFETY: these weights belong to this task.
            let to = unsafe { out.part(at, taps) };
            for (to, from) in to.iter_mut().zip(buffer[lane..].iter().step_by(sums.lanes)) {
                *to += from;
            }
        }
    }
}

simd_entry! {
    fn back[S](du: &[f32], sums: Sums, block: usize, input: usize, taps: usize, to: &mut [f32]) {
        let step = sums.blocks * sums.block();
        let start = block * sums.block() + input * sums.lanes;
        assert!(du.len() >= (PRODUCTS - 1) * step + start + sums.lanes && to.len() >= taps * taps * sums.lanes);
        for lane in (0..sums.lanes).step_by(S::LANES) {
            // SAFETY: inside the lengths above; the entry has the instruction set.
            unsafe {
                let mut u = [[S::zero(); POINTS]; POINTS];
                for (i, u) in u.as_flattened_mut().iter_mut().enumerate() {
                    *u = S::load(du.as_ptr().add(i * step + start + lane));
                }
                if taps == 3 {
                    let dg = both!(S, filter_adjoint::<3>, u, 6, 3);
                    for (i, &v) in dg.as_flattened().iter().enumerate() {
                        S::store(to.as_mut_ptr().add(i * sums.lanes + lane), v);
                    }
                } else {
                    let dg = both!(S, filter_adjoint::<4>, u, 6, 4);
                    for (i, &v) in dg.as_flattened().iter().enumerate() {
                        S::store(to.as_mut_ptr().add(i * sums.lanes + lane), v);
                    }
                }
            }
        }
    }
}
