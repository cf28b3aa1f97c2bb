//! Transformed weights: `G g Gᵀ` for every pair of channels, in panels for the register tiles.
#![allow(unsafe_code)]
use super::points::both;
use crate::cpu::conv::tile::TileShape;
use crate::cpu::planes::Shared;
use crate::cpu::simd::{Simd, prefetch, simd_entry};
use crate::isa::Isa;
use crate::spec::geometry::Geometry;
use rayon::prelude::*;
use std::ops::Range;

/// Taps of the largest kernel, and lanes of the widest vector.
pub(super) const WIDEST: usize = 16;
/// Inputs whose weights are asked for in advance.
const AHEAD: usize = 16;
/// Vectors that are written behind one another: whole cache lines to each of many places.
const VECTORS: usize = 4;

/// Weights of a filter with stride 1 between the phases of the big end's planes and the planes of the small end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Weights {
    /// Planes of the big end and of the small end.
    big: usize,
    small: usize,
    kernel: usize,
    pub(super) stride: usize,
    /// Whether the filter goes from the small end to the big end.
    pub(super) adjoint: bool,
    /// Whether its taps are turned around.
    pub(super) turned: bool,
    /// Output channels of a panel.
    pub(super) panel: usize,
    /// Products of a tile in one dimension.
    pub(super) points: usize,
}

impl Weights {
    pub(super) fn new(isa: Isa, g: &Geometry, adjoint: bool, points: usize) -> Self {
        // Wide panels of output channels even where there are few: the products are many and small.
        let panel = TileShape::of(isa, usize::MAX).channels;
        Weights { big: g.ci, small: g.co, kernel: g.kh, stride: g.stride, adjoint, turned: adjoint, panel, points }
    }

    /// Phases of a plane of the big end.
    pub(super) fn phases(&self) -> usize {
        self.stride * self.stride
    }

    /// Phases that a product is made of, as runs. A phase of a 3x3 kernel with one tap is filled up with a zero at the end, which is all that the
    /// weights at ∞ consist of, or those at 0 of the taps turned around: with four points it is left out there.
    pub(super) fn phases_of(&self, product: usize) -> Vec<Range<usize>> {
        let zero = if self.adjoint { 0 } else { self.points - 1 };
        let full = |phase: usize| self.kernel - phase > self.stride * (self.taps() - 1);
        let used = |phase: usize, i: usize| self.points != 4 || i != zero || full(phase);
        let mut runs: Vec<Range<usize>> = Vec::new();
        for phase in 0..self.phases() {
            if used(phase / self.stride, product / self.points) && used(phase % self.stride, product % self.points) {
                match runs.last_mut() {
                    Some(run) if run.end == phase => run.end += 1,
                    _ => runs.push(phase..phase + 1),
                }
            }
        }
        runs
    }

    /// The products of each phase that are left out by [`Weights::phases_of`], a bit each.
    pub(super) fn left_out(&self) -> [u64; 4] {
        let uses = |phase: usize, product: usize| self.phases_of(product).iter().any(|run| run.contains(&phase));
        std::array::from_fn(|phase| {
            let products = (0..self.points.pow(2)).filter(|&product| phase < self.phases() && !uses(phase, product));
            products.map(|product| 1 << product).sum()
        })
    }

    /// Taps of the filter in one dimension.
    pub(super) fn taps(&self) -> usize {
        self.kernel.div_ceil(self.stride)
    }

    /// Inputs of the filter; phases are the slower index.
    pub(super) fn inputs(&self) -> usize {
        if self.adjoint { self.small } else { self.phases() * self.big }
    }

    /// Outputs of the filter, filled up to whole panels; phases are the slower index.
    pub(super) fn outputs(&self) -> usize {
        self.panels() * self.panel
    }

    pub(super) fn panels(&self) -> usize {
        let phases = if self.adjoint { self.phases() } else { 1 };
        phases * self.panels_of_a_phase()
    }

    pub(super) fn panels_of_a_phase(&self) -> usize {
        (if self.adjoint { self.big } else { self.small }).div_ceil(self.panel)
    }

    /// Elements of a panel, with room for the last vector.
    pub(super) fn panel_len(&self, isa: Isa) -> usize {
        (self.inputs() * self.panel + isa.lanes()).next_multiple_of(16)
    }

    /// Distance of two products: an odd number of cache lines, so that they do not compete for cache sets.
    pub(super) fn product(&self, isa: Isa) -> usize {
        ((self.panels() * self.panel_len(isa) / 16) | 1) * 16
    }

    /// Elements of the transformed weights.
    pub(super) fn len(&self, isa: Isa) -> usize {
        self.points * self.points * self.product(isa)
    }

    /// Panics if there are too few weights.
    pub(super) fn check(&self, weights: &[f32]) {
        assert!(weights.len() >= self.big * self.small * self.kernel.pow(2));
    }

    /// `[product][panel][input][channel of the panel]`.
    pub(super) fn transform(&self, isa: Isa, weights: &[f32], to: &mut [f32]) {
        self.check(weights);
        assert!(to.len() >= self.len(isa));
        let (shared, panel_len) = (Shared::new(to), self.panel_len(isa));
        let (inputs, step) = (if self.adjoint { self.small } else { self.big }, self.product(isa));
        // A phase's weights lie behind all panels of the phase before, or behind the same panel's.
        let phase = if self.adjoint { self.panels_of_a_phase() * panel_len } else { inputs * self.panel };
        (0..self.panels_of_a_phase()).into_par_iter().for_each(|panel| {
            let part = Part { inputs: 0..inputs, start: panel * panel_len, step, phase };
            panel_of(isa, self, weights, panel, &part, shared);
        });
    }

    /// The taps of channel `output` of the filter's output side and channel `input` of its input side, if there are such.
    #[inline(always)]
    fn pair<'w>(&self, weights: &'w [f32], input: usize, output: usize) -> Option<&'w [f32]> {
        let (big, small) = if self.adjoint { (output, input) } else { (input, output) };
        let taps = self.kernel * self.kernel;
        (big < self.big && small < self.small).then(|| &weights[(small * self.big + big) * taps..][..taps])
    }
}

/// Where tap (a, b) of a phase is among the taps of the convolution, if it has it.
#[inline(always)]
pub(super) fn tap(kernel: usize, stride: usize, phase: usize, a: usize, b: usize) -> Option<usize> {
    let (y, x) = (stride * a + phase / stride, stride * b + phase % stride);
    (y < kernel && x < kernel).then_some(y * kernel + x)
}

/// Which of a panel's inputs are transformed, and where to.
pub(super) struct Part {
    pub(super) inputs: Range<usize>,
    /// Where these inputs begin within a product's weights, in the first phase.
    pub(super) start: usize,
    /// Distance of two products, and of two phases.
    pub(super) step: usize,
    pub(super) phase: usize,
}

simd_entry! {
    /// Transforms a panel's weights, or a part of them, which the caller owns, with room for a vector behind them.
    pub(super) fn panel_of[S](w: &Weights, weights: &[f32], panel: usize, part: &Part, out: Shared<f32>) {
        assert!(part.start + part.inputs.len() * w.panel + (w.points * w.points - 1) * part.step <= out.len());
        // SAFETY: a panel belongs to one task; lengths were checked. The entry has the instruction set.
        unsafe {
            match (w.points, w.kernel) {
                (3, 3) => transform::<S, 3, 3, 2>(w, weights, panel, part, out),
                (3, _) => transform::<S, 3, 4, 2>(w, weights, panel, part, out),
                (4, 3) => transform::<S, 4, 3, 2>(w, weights, panel, part, out),
                (4, _) => transform::<S, 4, 4, 2>(w, weights, panel, part, out),
                (_, 3) => transform::<S, 6, 3, 3>(w, weights, panel, part, out),
                (_, _) => transform::<S, 6, 4, 4>(w, weights, panel, part, out),
            }
        }
    }
}

/// # Safety
/// The panel of each phase belongs to this task, the filter has `N` points, the kernel `K` by `K` taps and the filter `R` by `R`, and the caller
/// has the instruction set of `S`.
#[inline(always)]
unsafe fn transform<S: Simd, const N: usize, const K: usize, const R: usize>(
    w: &Weights,
    weights: &[f32],
    panel: usize,
    part: &Part,
    out: Shared<f32>,
) {
    let step = part.step;
    let stride = if R == 2 { 2 } else { 1 };
    let phases = stride * stride;
    let elements = part.inputs.len() * w.panel;
    // The taps of as many pairs as a vector has lanes, and some vectors of the same with pairs as lanes. The lanes are
    // elements of the panel, that is its channels for one input after the other.
    let mut pairs = [[0.0f32; WIDEST]; WIDEST];
    let mut lanes = [[[0.0f32; WIDEST]; WIDEST]; VECTORS];
    for group in (0..elements).step_by(VECTORS * S::LANES) {
        let vectors = VECTORS.min((elements - group).div_ceil(S::LANES));
        for (v, lanes) in lanes.iter_mut().enumerate().take(vectors) {
            for (lane, row) in pairs.iter_mut().enumerate().take(S::LANES) {
                let at = part.inputs.start * w.panel + group + v * S::LANES + lane;
                match w.pair(weights, at / w.panel, panel * w.panel + at % w.panel) {
                    Some(taps) => {
                        // Those of an input that comes soon.
                        prefetch(taps.as_ptr().wrapping_add(AHEAD * if w.adjoint { w.big * K * K } else { K * K }));
                        row[..K * K].copy_from_slice(&taps[..K * K]);
                    }
                    None => row.fill(0.0),
                }
            }
            for t in (0..K * K).step_by(S::LANES) {
                // SAFETY: both hold sixteen by sixteen elements; the instruction set is the caller's promise.
                unsafe { S::transpose(pairs.as_ptr().cast::<f32>().add(t), WIDEST, lanes[t].as_mut_ptr(), WIDEST) };
            }
        }
        for phase in 0..phases {
            let start = part.start + phase * part.phase;
            for (v, lanes) in lanes.iter().enumerate().take(vectors) {
                let first = group + v * S::LANES;
                // SAFETY: by this function's contract; the panel has room for the last vector.
                unsafe {
                    let mut g = [[S::zero(); R]; R];
                    for (i, g) in g.as_flattened_mut().iter_mut().enumerate() {
                        let i = if w.turned { R * R - 1 - i } else { i };
                        if let Some(tap) = tap(K, stride, phase, i / R, i % R) {
                            *g = S::load(lanes[tap].as_ptr());
                        }
                    }
                    let u: [[S::V; N]; N] = both!(S, filter::<N, R>, g, R, N);
                    let to = out.start().add(start + first);
                    if first + S::LANES <= elements || w.adjoint || phase + 1 == phases {
                        for (i, &u) in u.as_flattened().iter().enumerate() {
                            S::store(to.add(i * step), u);
                        }
                    } else {
                        // Behind these elements the next phase begins.
                        let mut values = [0.0; WIDEST];
                        for (i, &u) in u.as_flattened().iter().enumerate() {
                            S::store(values.as_mut_ptr(), u);
                            std::ptr::copy_nonoverlapping(values.as_ptr(), to.add(i * step), elements - first);
                        }
                    }
                }
            }
        }
    }
}
