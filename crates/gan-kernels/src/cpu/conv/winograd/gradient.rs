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

/// Sums of products `[product][block of output channels][input channel][lane]`.
#[derive(Clone, Copy)]
struct Sums {
    /// Output channels of a block.
    lanes: usize,
    blocks: usize,
    /// Input channels, filled up to whole tiles.
    inputs: usize,
}

impl Sums {
    fn block(&self) -> usize {
        self.inputs * self.lanes
    }
}

/// `into += ` gradient of the weight.
pub(in super::super) fn backward_weight(isa: Isa, g: &Geometry, x: &[f32], dy: &[f32], into: &mut [f32]) {
    let m = POINTS + 1 - g.kh;
    let (all, columns) = (g.ho.div_ceil(m), g.wo.div_ceil(m));
    let vectors = if g.co > 2 * isa.lanes() && isa == Isa::Avx512 { 4 } else { 2 };
    let lanes = vectors * isa.lanes();
    let sums = Sums { lanes, blocks: g.co.div_ceil(lanes), inputs: g.ci.next_multiple_of(TAPS) };
    let mut du = Scratch::take(PRODUCTS * sums.blocks * sums.block());
    du.par_chunks_mut(sums.block()).for_each(|block| block.fill(0.0));
    let rows = (BLOCK / (PRODUCTS * (g.ci + g.co) * columns)).clamp(1, all);
    for image in 0..g.n {
        let x = &x[image * g.ci * g.h * g.w..][..g.ci * g.h * g.w];
        let dy = &dy[image * g.co * g.ho * g.wo..][..g.co * g.ho * g.wo];
        for first in (0..all).step_by(rows) {
            let rows = rows.min(all - first);
            let big = Tiles { h: g.h, w: g.w, padding: g.padding, mode: g.mode, m, first, rows, columns };
            let small = Tiles { h: g.ho, w: g.wo, padding: 0, mode: PadMode::Zero, ..big };
            add_block(isa, &big, &small, x, dy, sums, &mut du);
        }
    }
    let out = Shared::new(into);
    let tasks = sums.blocks * g.ci.div_ceil(INPUTS);
    (0..tasks).into_par_iter().for_each(|task| {
        let (block, first) = (task % sums.blocks, task / sums.blocks * INPUTS);
        let count = INPUTS.min(g.ci - first);
        finish(isa, g, &du, sums, block, first..first + count, out);
    });
}

/// Adds a block of tile rows to the sums.
fn add_block(isa: Isa, big: &Tiles, small: &Tiles, x: &[f32], dy: &[f32], sums: Sums, du: &mut [f32]) {
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
    let tiles = v_layout.tiles;
    // Rows of sums behind the last channel repeat it; they are never looked at.
    let offsets: Vec<usize> = (0..sums.inputs).map(|c| c.min(ci - 1) * tiles).collect();
    du.par_chunks_mut(sums.block()).enumerate().for_each(|(i, du)| {
        let (product, block) = (i / sums.blocks, i % sums.blocks);
        let count = sums.lanes.min(co - block * sums.lanes);
        let from = &m[product * m_layout.product() + block * sums.lanes * tiles..][..count * tiles];
        let mut transposed = Scratch::take(tiles * sums.lanes);
        transpose(isa, from, &mut transposed, (1, tiles, tiles), sums.lanes);
        let taps = TapRows { x: &v[product * v_layout.product()..][..v_layout.product()], offsets: &offsets };
        for q in (0..big.count()).step_by(DEPTH) {
            let len = DEPTH.min(big.count() - q);
            Outer { taps, q, len, dy: &transposed[q * sums.lanes..], lanes: sums.lanes }.add_to(isa, du);
        }
    });
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
    let channels = sums.lanes.min(g.co - block * sums.lanes);
    let mut buffer = Scratch::take(taps * sums.lanes);
    for input in inputs {
        back(isa, du, sums, block, input, g.kh, &mut buffer);
        for lane in 0..channels {
            let at = ((block * sums.lanes + lane) * g.ci + input) * taps;
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
