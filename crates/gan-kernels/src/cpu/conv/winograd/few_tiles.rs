//! Products of few tiles with many channels.
//!
//! Transformed weights are then many times larger than all else, and to write them to memory and read them back would be
//! most of the work. So each task transforms the weights of some output channels and a few input channels at a time, and
//! uses them at once, while they lie in its cache together with the tiles of these input channels.
use super::tiles::Layout;
use super::weights::{Part, Weights, panel_of};
use super::{MANY, Panels, offsets};
use crate::cpu::planes::Shared;
use crate::isa::Isa;
use crate::scratch::Scratch;
use rayon::prelude::*;

/// The most tiles that count as few, and of large transformed weights.
pub(super) const TILES: usize = 48;
const TILES_OF_LARGE: usize = 96;
/// Input channels at a time.
const DEPTH: usize = 64;
/// Elements that a task works on (1.6 MB).
const CACHED: usize = 400 << 10;

/// Whether the tiles of all images, so many of each, are few and better worked on together.
pub(super) fn are_few(images: usize, tiles: usize) -> bool {
    images > 1 && images * tiles <= TILES
}

/// Whether this way pays, for weights that are not kept transformed: three points are only used for few tiles.
pub(super) fn serves(weights: &Weights, transformed: usize, tiles: usize) -> bool {
    let few = if transformed > MANY { TILES_OF_LARGE } else { TILES };
    weights.points == 3 || weights.stride == 1 && tiles <= few && weights.outputs() >= tiles
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
    // Phases are phases of the inputs, or else of the outputs.
    let (of_inputs, of_outputs) = if weights.adjoint { (1, weights.phases()) } else { (weights.phases(), 1) };
    let (products, panels) = (weights.points * weights.points, weights.panels_of_a_phase());
    let outputs = (CACHED / products).saturating_sub(DEPTH * from.tiles) / (DEPTH + from.tiles) / of_outputs;
    let group = (outputs / weights.panel).min(panels.div_ceil(2 * rayon::current_num_threads())).max(1);
    let panel_len = DEPTH * weights.panel + isa.lanes();
    let offsets = offsets(isa);
    let (inputs, pieces) = (weights.inputs() / of_inputs, DEPTH / of_inputs);
    let own = from.channels > weights.inputs();
    let shared = Shared::new(results);
    (0..panels.div_ceil(group)).into_par_iter().for_each(|task| {
        let first = task * group;
        let count = group.min(panels - first);
        // An odd number of cache lines, so that products do not compete for cache sets.
        let step = ((of_outputs * count * panel_len).div_ceil(16) | 1) * 16;
        let mut u = Scratch::take(products * step);
        let out = Shared::new(&mut u);
        for k in (0..inputs).step_by(pieces) {
            let depth = pieces.min(inputs - k);
            let phase = if weights.adjoint { count * panel_len } else { depth * weights.panel };
            for i in 0..count {
                let part = Part { inputs: k..k + depth, start: i * panel_len, step, phase };
                panel_of(isa, weights, w, first + i, &part, out);
            }
            for (product, u) in u.chunks_exact(step).enumerate() {
                let v = &v[product * from.product()..][..from.product()];
                for phase in 0..of_outputs {
                    let row = (phase * panels + first) * weights.panel;
                    // SAFETY: these rows of every product belong to this task.
                    #[allow(unsafe_code)]
                    let c = unsafe {
                        shared.part(product * to.product() + row * to.tiles, count * weights.panel * to.tiles)
                    };
                    // Each phase of the outputs may have inputs of its own.
                    let k_from = if own { phase * inputs } else { 0 };
                    let u = &u[phase * count * panel_len..];
                    let panels = Panels { u, channels: weights.panel, len: panel_len, count };
                    for q in (0..from.tiles).step_by(from.panel) {
                        panels.multiply(isa, v, from, &offsets, (q, k_from + k, depth), of_inputs, k == 0, 0, c, to);
                    }
                }
            }
        }
    });
}
