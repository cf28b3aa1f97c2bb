//! Products of few tiles with many channels.
//!
//! Transformed weights are then many times larger than all else, and to write them to memory and read them back would be
//! most of the work. So each task transforms the weights of some output channels and a few input channels at a time, and
//! uses them at once, while they lie in its cache together with the tiles of these input channels.
use super::tiles::Layout;
use super::weights::{Part, Weights, panel_of};
use super::{Panels, offsets};
use crate::cpu::planes::Shared;
use crate::cpu::scratch::Scratch;
use crate::isa::Isa;
use crate::weight::LARGEST;
use rayon::prelude::*;

/// The most tiles that count as few, and of large transformed weights.
pub(super) const TILES: usize = 48;
const TILES_OF_LARGE: usize = 96;
/// Input channels at a time.
const DEPTH: usize = 64;
/// Elements that a task works on (1.6 MB).
const CACHED: usize = 400 << 10;

/// Whether this way pays, for weights that are not kept transformed.
pub(super) fn serves(weights: &Weights, transformed: usize, tiles: usize) -> bool {
    let few = if transformed > LARGEST { TILES_OF_LARGE } else { TILES };
    weights.stride == 1 && tiles <= few && weights.outputs() >= tiles
}

/// As [`super::multiply`], from weights as they are.
pub(super) fn multiply(
    isa: Isa,
    weights: &Weights,
    w: &[f32],
    v: &[f32],
    from: &Layout,
    results: &mut [f32],
    to: &Layout,
) {
    weights.check(w);
    let (products, panels) = (weights.points * weights.points, weights.panels());
    let outputs = (CACHED / products).saturating_sub(DEPTH * from.tiles) / (DEPTH + from.tiles);
    let group = (outputs / weights.panel).min(panels.div_ceil(2 * rayon::current_num_threads())).max(1);
    let panel_len = DEPTH * weights.panel + isa.lanes();
    let offsets = offsets(isa);
    let shared = Shared::new(results);
    (0..panels.div_ceil(group)).into_par_iter().for_each(|task| {
        let first = task * group;
        let count = group.min(panels - first);
        let rows = first * weights.panel..(first + count) * weights.panel;
        // An odd number of cache lines, so that products do not compete for cache sets.
        let step = ((count * panel_len).div_ceil(16) | 1) * 16;
        let mut u = Scratch::take(products * step);
        let out = Shared::new(&mut u);
        for k in (0..from.channels).step_by(DEPTH) {
            let depth = DEPTH.min(from.channels - k);
            for i in 0..count {
                let part = Part { inputs: k..k + depth, start: i * panel_len, step, phase: 0 };
                panel_of(isa, weights, w, first + i, &part, out);
            }
            for (product, u) in u.chunks_exact(step).enumerate() {
                // SAFETY: these rows of every product belong to this task.
                #[allow(unsafe_code)]
                let c = unsafe { shared.part(product * to.product() + rows.start * to.tiles, rows.len() * to.tiles) };
                let v = &v[product * from.product()..][..from.product()];
                let panels = Panels { u, channels: weights.panel, len: panel_len, count };
                for q in (0..from.tiles).step_by(from.panel) {
                    panels.multiply(isa, v, from, &offsets, (q, k, depth), 0, c, to);
                }
            }
        }
    });
}
