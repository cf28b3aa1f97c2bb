//! Transformed weights: `G g Gᵀ` for every pair of channels, in panels for the register tiles.
#![allow(unsafe_code)]
use super::points::{POINTS, PRODUCTS, both};
use crate::cpu::planes::Shared;
use crate::cpu::simd::{Simd, simd_entry};
use crate::isa::Isa;
use rayon::prelude::*;

/// Weights of a filter from `inputs` to `outputs` channels with `taps` × `taps` taps.
#[derive(Debug, Clone, Copy)]
pub(super) struct Weights {
    pub(super) inputs: usize,
    pub(super) outputs: usize,
    pub(super) taps: usize,
    /// Whether the tensor is `[inputs][outputs]` with its taps to be turned around (the adjoint filter).
    pub(super) adjoint: bool,
    /// Output channels of a panel.
    pub(super) panel: usize,
}

impl Weights {
    pub(super) fn panels(&self) -> usize {
        self.outputs.div_ceil(self.panel)
    }

    /// Elements of a panel, with room for the last vector.
    pub(super) fn panel_len(&self, isa: Isa) -> usize {
        (self.inputs * self.panel + isa.lanes()).next_multiple_of(16)
    }

    /// Elements of the transformed weights.
    pub(super) fn len(&self, isa: Isa) -> usize {
        PRODUCTS * self.panels() * self.panel_len(isa)
    }

    /// `[product][panel][input][channel of the panel]`.
    pub(super) fn transform(&self, isa: Isa, weights: &[f32], to: &mut [f32]) {
        assert!(weights.len() >= self.inputs * self.outputs * self.taps.pow(2) && to.len() >= self.len(isa));
        let step = self.panels() * self.panel_len(isa);
        let shared = Shared::new(to);
        (0..self.panels()).into_par_iter().for_each(|panel| panel_of(isa, self, weights, panel, step, shared));
    }

    /// Where the taps of a pair of channels begin.
    #[inline(always)]
    fn at(&self, input: usize, output: usize) -> usize {
        let pair = if self.adjoint { input * self.outputs + output } else { output * self.inputs + input };
        pair * self.taps * self.taps
    }
}

simd_entry! {
    fn panel_of[S](w: &Weights, weights: &[f32], panel: usize, step: usize, out: Shared<f32>) {
        // SAFETY: a panel belongs to one task; lengths were checked. The entry has the instruction set.
        unsafe {
            if w.taps == 3 { transform::<S, 3>(w, weights, panel, step, out) } else { transform::<S, 4>(w, weights, panel, step, out) }
        }
    }
}

/// # Safety
/// The panel belongs to this task, `R` is `w.taps`, and the caller has the instruction set of `S`.
#[inline(always)]
unsafe fn transform<S: Simd, const R: usize>(
    w: &Weights,
    weights: &[f32],
    panel: usize,
    step: usize,
    out: Shared<f32>,
) {
    let start = panel * (step / w.panels());
    // One vector of weights for each tap. The lanes of a vector are elements of the panel, that is its channels for one
    // input after the other.
    let mut lanes = [[0.0f32; 16]; 16];
    for first in (0..w.inputs * w.panel).step_by(S::LANES) {
        for lane in 0..S::LANES {
            let (input, output) = ((first + lane) / w.panel, panel * w.panel + (first + lane) % w.panel);
            if input < w.inputs && output < w.outputs {
                let from = &weights[w.at(input, output)..][..R * R];
                for (t, &v) in from.iter().enumerate() {
                    lanes[if w.adjoint { R * R - 1 - t } else { t }][lane] = v;
                }
            } else {
                lanes.iter_mut().for_each(|l| l[lane] = 0.0);
            }
        }
        // SAFETY: by this function's contract; `lanes` holds sixteen elements a tap.
        unsafe {
            let mut g = [[S::zero(); R]; R];
            for (i, g) in g.as_flattened_mut().iter_mut().enumerate() {
                *g = S::load(lanes[i].as_ptr());
            }
            let u: [[S::V; POINTS]; POINTS] = both!(S, filter::<R>, g, R, 6);
            for (i, &u) in u.as_flattened().iter().enumerate() {
                S::store(out.start().add(i * step + start + first), u);
            }
        }
    }
}
