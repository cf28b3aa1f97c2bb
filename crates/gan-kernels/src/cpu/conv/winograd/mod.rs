//! Convolution by minimal filtering: 3x3 and 4x4 kernels with stride 1, in all three passes.
//!
//! Tiles of input and weights are transformed ([`points`]), multiplied as 36 matrix products over channels, and
//! transformed back. Backward to the data is the same filter with its weights turned around; backward to the weights
//! multiplies transformed inputs by transformed gradients. Tile rows are worked on in blocks, so that memory is bounded.
mod gradient;
mod points;
mod tiles;
mod weights;

pub(super) use gradient::backward_weight;

use super::fold::fold;
use super::geometry::Geometry;
use super::tile::{Product, TileShape};
use crate::cpu::elementwise::for_overwrite;
use crate::cpu::planes::Shared;
use crate::cpu::scratch::Scratch;
use crate::isa::Isa;
use crate::weight::Form;
use crate::{PadMode, Weight};
use points::{POINTS, PRODUCTS};
use rayon::prelude::*;
use tiles::{Destination, Layout, Tiles, transform_input, transform_output};
use weights::Weights;

/// Elements of the transformed tensors of a block of tile rows.
const BLOCK: usize = 10 << 20;
/// Channels that are summed before the next tile's turn: their part of a panel stays in the first-level cache.
const DEPTH: usize = 128;

/// Whether this family can serve a convolution.
pub(super) fn serves(g: &Geometry) -> bool {
    g.stride == 1 && g.kh == g.kw && matches!(g.kh, 3 | 4) && g.padding < g.kh
}

/// A filter with stride 1 from `inputs` planes to `outputs` planes.
struct Filter {
    inputs: usize,
    outputs: usize,
    h: usize,
    w: usize,
    padding: usize,
    mode: PadMode,
    ho: usize,
    wo: usize,
    taps: usize,
}

impl Filter {
    fn weights(&self, isa: Isa, adjoint: bool) -> Weights {
        // Wide panels of output channels even where there are few: the products are many and small.
        let panel = TileShape::of(isa, usize::MAX).channels;
        Weights { inputs: self.inputs, outputs: self.outputs, taps: self.taps, adjoint, panel }
    }

    #[allow(clippy::too_many_arguments)]
    fn apply(
        &self,
        isa: Isa,
        images: usize,
        x: &[f32],
        weights: &Weights,
        u: &[f32],
        bias: Option<&[f32]>,
        out: &mut [f32],
    ) {
        let m = POINTS + 1 - self.taps;
        let (all, columns) = (self.ho.div_ceil(m), self.wo.div_ceil(m));
        let outputs = weights.panels() * weights.panel;
        let rows = (BLOCK / (PRODUCTS * (self.inputs + outputs) * columns)).clamp(1, all);
        for image in 0..images {
            let x = &x[image * self.inputs * self.h * self.w..][..self.inputs * self.h * self.w];
            let out = &mut out[image * self.outputs * self.ho * self.wo..][..self.outputs * self.ho * self.wo];
            for first in (0..all).step_by(rows) {
                let rows = rows.min(all - first);
                let Filter { h, w, padding, mode, .. } = *self;
                let tiles = Tiles { h, w, padding, mode, m, first, rows, columns };
                self.block(isa, &tiles, x, weights, u, bias, out);
            }
        }
    }

    #[allow(clippy::too_many_arguments)]
    fn block(
        &self,
        isa: Isa,
        t: &Tiles,
        x: &[f32],
        weights: &Weights,
        u: &[f32],
        bias: Option<&[f32]>,
        out: &mut [f32],
    ) {
        let panel = TileShape::of(isa, usize::MAX).pixels;
        let from = Layout::new(isa, self.inputs, t.count(), Some(panel));
        let to = Layout::new(isa, weights.panels() * weights.panel, t.count(), None);
        let mut v = Scratch::take(PRODUCTS * from.product());
        let shared = Shared::new(&mut v);
        x.par_chunks(t.h * t.w).enumerate().for_each(|(channel, plane)| {
            transform_input(isa, t, plane, Destination { layout: &from, channel, to: shared });
        });
        let mut products = Scratch::take(PRODUCTS * to.product());
        multiply(isa, weights, u, &v, &from, &mut products, &to);
        out.par_chunks_mut(self.ho * self.wo).enumerate().for_each(|(channel, plane)| {
            let start = bias.map_or(0.0, |b| b[channel]);
            transform_output(isa, t, &products, &to, channel, start, plane, (self.ho, self.wo));
        });
    }
}

/// The 36 matrix products.
fn multiply(isa: Isa, weights: &Weights, u: &[f32], v: &[f32], from: &Layout, products: &mut [f32], to: &Layout) {
    let shared = Shared::new(products);
    let panels = weights.panels();
    // Half of the panels at a time where there are many: more tasks, and weights that stay in the cache.
    let share = if panels >= 16 { panels.div_ceil(2) } else { panels };
    let shares = panels.div_ceil(share);
    let panel_len = weights.panel_len(isa);
    let offsets: Vec<[usize; DEPTH]> =
        (1..=3).map(|vectors| std::array::from_fn(|k| k * vectors * isa.lanes())).collect();
    (0..PRODUCTS * shares).into_par_iter().for_each(|task| {
        let (product, first) = (task / shares, task % shares * share);
        let count = share.min(panels - first);
        let rows = first * weights.panel..(first + count) * weights.panel;
        // SAFETY: these rows of this product belong to one task.
        #[allow(unsafe_code)]
        let c = unsafe { shared.part(product * to.product() + rows.start * to.tiles, rows.len() * to.tiles) };
        let u = &u[(product * panels + first) * panel_len..][..count * panel_len];
        let v = &v[product * from.product()..][..from.product()];
        for q in (0..from.tiles).step_by(from.panel) {
            let width = from.panel.min(from.tiles - q);
            for k in (0..from.channels).step_by(DEPTH) {
                let depth = DEPTH.min(from.channels - k);
                Product {
                    shape: TileShape { channels: weights.panel, pixels: width },
                    weights: &u[k * weights.panel..],
                    panel: panel_len,
                    panels: count,
                    x: &v[q * from.channels + k * width..],
                    plane: 0,
                    channels: 1,
                    offsets: &offsets[width / isa.lanes() - 1][..depth],
                    tiles: 1,
                    pitch: to.tiles,
                    first: k == 0,
                }
                .run(isa, &mut c[q..]);
            }
        }
    });
}

/// From the big end to the small end, with a bias per output channel.
pub(super) fn forward(isa: Isa, g: &Geometry, x: &[f32], w: &[f32], weight: &Weight, bias: Option<&[f32]>) -> Vec<f32> {
    let filter = Filter {
        inputs: g.ci,
        outputs: g.co,
        h: g.h,
        w: g.w,
        padding: g.padding,
        mode: g.mode,
        ho: g.ho,
        wo: g.wo,
        taps: g.kh,
    };
    let weights = filter.weights(isa, false);
    let form = Form { name: "winograd", numbers: [weights.panel, isa.lanes(), 0, 0] };
    let u = weight.packed(form, weights.len(isa), |to| weights.transform(isa, w, to));
    let mut out = for_overwrite(g.n * g.co * g.ho * g.wo);
    filter.apply(isa, g.n, x, &weights, &u, bias, &mut out);
    out
}

/// From the small end to the big end, with a bias per channel of the big end.
pub(super) fn backward_data(
    isa: Isa,
    g: &Geometry,
    dy: &[f32],
    w: &[f32],
    weight: &Weight,
    bias: Option<&[f32]>,
) -> Vec<f32> {
    // To the big end as it is, or to the padded big end, which is then folded.
    let (ho, wo, padding) = match g.mode {
        PadMode::Zero => (g.h, g.w, g.kh - 1 - g.padding),
        _ => (g.padded_h(), g.padded_w(), g.kh - 1),
    };
    let filter =
        Filter { inputs: g.co, outputs: g.ci, h: g.ho, w: g.wo, padding, mode: PadMode::Zero, ho, wo, taps: g.kh };
    let weights = filter.weights(isa, true);
    let form = Form { name: "winograd adjoint", numbers: [weights.panel, isa.lanes(), 0, 0] };
    let u = weight.packed(form, weights.len(isa), |to| weights.transform(isa, w, to));
    let mut out = for_overwrite(g.n * g.ci * g.h * g.w);
    if g.mode == PadMode::Zero {
        filter.apply(isa, g.n, dy, &weights, &u, bias, &mut out);
        return out;
    }
    let mut padded = Scratch::take(g.ci * ho * wo);
    for (dy, out) in dy.chunks(g.co * g.ho * g.wo).zip(out.chunks_mut(g.ci * g.h * g.w)) {
        filter.apply(isa, 1, dy, &weights, &u, None, &mut padded);
        out.par_chunks_mut(g.h * g.w).zip(padded.par_chunks(ho * wo)).enumerate().for_each(|(ci, (out, padded))| {
            fold(g, padded, out, bias.map_or(0.0, |b| b[ci]));
        });
    }
    out
}
