//! Winograd convolution: 3x3 and 4x4 kernels with stride 1 or 2, in all three passes.
//!
//! A convolution with stride 2 is one with stride 1 and 2x2 taps over four times as many planes: the phases (even and odd
//! rows and columns) of the big end's planes. Phases of a 3x3 kernel that have one tap are filled up with zeros; products that are zero for it are left out.
//!
//! Tiles of input and weights are transformed ([`points`]), multiplied as matrix products over channels, one for every pair of points, and
//! transformed back. Backward to the data is the same filter with its weights turned around; backward to the weights
//! multiplies transformed inputs by transformed gradients. Tile rows are worked on in blocks, so that memory is bounded.
mod few_tiles;
mod gradient;
mod overlap;
mod points;
mod tiles;
mod weights;

pub(super) use gradient::backward_weight;

use super::Banding;
use super::epilogue::Epilogue;
use super::joined::Joined;
use super::tile::{Product, TileShape};
use crate::cpu::elementwise::for_overwrite;
use crate::cpu::planes::Shared;
use crate::isa::Isa;
use crate::scratch::Scratch;
use crate::spec::act::Act;
use crate::spec::conv::PadMode;
use crate::spec::geometry::Geometry;
use crate::spec::rows::{Bands, Rows, Span};
use crate::weight::Weight;
use crate::weight::{Form, LARGEST, Pack};
use rayon::prelude::*;
use std::ops::Range;
use tiles::{Destination, Layout, Output, Tiles, transform_input, transform_output};
use weights::Weights;

/// Elements of the transformed tensors of a block of tile rows.
const BLOCK: usize = 4 << 20;
/// Transformed weights that are better not written to memory and read back where they are short-lived.
const MANY: usize = 8 << 20;
/// As [`BLOCK`], of a whole image whose transformed weights are more than [`MANY`], so that they need not be made as a whole.
const WHOLE: usize = 6 << 20;
/// Channels that are summed before the next tile's turn: their part of a panel stays in the first-level cache, and the shorter the sums, the
/// less they are rounded (of 256 channels: 0.76 times as much as with sums of 128).
const DEPTH: usize = 64;

/// Whether this family can serve a convolution.
pub(super) fn serves(g: &Geometry) -> bool {
    // A tile that is mostly empty would only add rounding errors.
    let stride = g.stride == 1 || g.stride == 2 && g.mode == PadMode::Zero && g.ho.min(g.wo) >= 5;
    let [padding, side] = g.padding;
    stride && g.kh == g.kw && matches!(g.kh, 3 | 4) && padding == side && padding < g.kh
}

/// Products of a tile in one dimension. Filters of two taps (the phases of stride 2) have only three outputs to a tile: five
/// would save a fifth of the products, no time that could be measured, and cost three times the rounding error.
fn points(g: &Geometry) -> usize {
    match g.stride {
        1 => 6,
        _ if is_small(g) => 3,
        _ => 4,
    }
}

/// Whether a convolution with stride 2 has few tiles even if they are small: those of all images are then worked on together. Images
/// whose tiles do not fill vectors are not put together, since the weight gradient sums over whole vectors.
pub(super) fn is_small(g: &Geometry) -> bool {
    let tiles = g.ho.div_ceil(2) * g.wo.div_ceil(2);
    g.stride == 2 && tiles <= 64 && (g.n == 1 || tiles.is_multiple_of(16) && g.n * tiles <= 256)
}

/// Elements of the transformed weights of a convolution.
pub(super) fn weights_len(g: &Geometry) -> usize {
    points(g).pow(2) * g.ci * g.stride.pow(2) * g.co
}

/// A filter with stride 1 from the planes of one end, or their phases, to those of the other end.
struct Filter {
    images: usize,
    /// Planes `[h, w]` of the input, continued by `padding` pixels in `mode`; of each, `stride · stride` phases are inputs.
    inputs: usize,
    h: usize,
    w: usize,
    /// Rows of the planes that are in memory.
    held: Rows,
    padding: usize,
    mode: PadMode,
    stride: usize,
    /// Planes of the result.
    outputs: usize,
    output: Output,
    weights: Weights,
}

impl Filter {
    /// From the big end to the small end.
    fn forward(isa: Isa, g: &Geometry) -> Self {
        let Geometry { n: images, ci: inputs, co: outputs, h, w, ho, wo, stride, padding: [padding, _], mode, .. } = *g;
        let output =
            Output { h: ho, w: wo, made: Rows::all(ho), stride: 1, padding: 0, shifted: false, left_out: [0; 4] };
        let weights = Weights::new(isa, g, false, points(g));
        Filter { images, inputs, h, w, held: Rows::all(h), padding, mode, stride, outputs, output, weights }
    }

    /// From the small end to the big end, whose border is zero.
    fn backward(isa: Isa, g: &Geometry) -> Self {
        let (reach, mode, padding) = (g.kh.div_ceil(g.stride) - 1, PadMode::Zero, g.padding[0]);
        let weights = Weights::new(isa, g, true, points(g));
        let left_out = weights.left_out();
        let whole = Output { h: g.h, w: g.w, made: Rows::all(g.h), stride: 1, padding: 0, shifted: false, left_out };
        let (padding, output) = match g.stride {
            // Tiles begin at the first pixel that is wanted.
            1 => (reach - padding, whole),
            stride => (reach, Output { stride, padding, ..whole }.with_fewest_tiles(isa, &weights)),
        };
        let Geometry { n: images, co: inputs, ci: outputs, ho: h, wo: w, .. } = *g;
        Filter { images, inputs, h, w, held: Rows::all(h), padding, mode, stride: 1, outputs, output, weights }
    }

    /// The same for some rows of both ends.
    fn of(mut self, span: &Span) -> Self {
        (self.held, self.output.made) = (span.input, span.output);
        self
    }

    /// Outputs of a tile in one dimension.
    fn m(&self) -> usize {
        self.weights.points + 1 - self.weights.taps()
    }

    /// The tile rows of the output's rows `made`.
    fn tile_rows(&self, made: Rows) -> Range<usize> {
        let Output { stride, padding, shifted, .. } = self.output;
        if shifted {
            return 0..self.tiles().0;
        }
        (made.first + padding) / (stride * self.m())..(made.end() + padding).div_ceil(stride * self.m())
    }

    /// Some tile rows.
    fn some(&self, rows: Range<usize>, act: Act) -> Tiles {
        let Filter { h, w, held, padding, mode, stride, .. } = *self;
        let left_out = if self.weights.adjoint { [0; 4] } else { self.weights.left_out() };
        let (points, m, columns) = (self.weights.points, self.m(), self.tiles().1);
        let (first, rows, padding) = (rows.start, rows.len(), [padding; 2]);
        Tiles { h, w, held, padding, mode, act, stride, phase: (0, 0), left_out, points, m, first, rows, columns }
    }

    /// How it is computed in bands of rows.
    fn banding(&self, isa: Isa) -> Banding {
        let Output { h, stride, padding, .. } = self.output;
        let (_, columns, rows) = self.tiles();
        let whole = self.together();
        let bands = if whole { Bands::whole(h) } else { Bands::every(stride * self.m(), h).with_offset(padding) };
        let tiles = (rows * columns).next_multiple_of(isa.lanes());
        let planes = self.copies() * self.weights.inputs() + self.weights.outputs();
        Banding {
            bands,
            packed: self.weights.len(isa),
            working: self.weights.points.pow(2) * (planes * tiles).next_multiple_of(16),
        }
    }

    /// Whether the tiles of all images make one block: weights that are transformed piece by piece then serve them all.
    fn together(&self) -> bool {
        let (rows, columns) = self.grid();
        self.weights.points == 3 || few_tiles::are_few(self.images, rows * columns)
    }

    /// Tile rows and columns of an image.
    fn grid(&self) -> (usize, usize) {
        let (h, w) = self.output.tiled();
        (h.div_ceil(self.m()), w.div_ceil(self.m()))
    }

    /// How many sets of tiles an input has: one for each phase of the output, if they are shifted.
    fn copies(&self) -> usize {
        if self.output.shifted { self.output.stride.pow(2) } else { 1 }
    }

    /// Tile rows and columns of an image, and the rows of a block.
    fn tiles(&self) -> (usize, usize, usize) {
        let points = self.weights.points;
        let (all, columns) = self.grid();
        let planes = self.weights.inputs() + self.weights.outputs();
        let weights = self.weights.inputs() * self.weights.outputs();
        let rows = if self.together() { all } else { block_rows(all, points * points, planes * columns, weights) };
        (all, columns, rows)
    }

    fn factors<'a>(&self, isa: Isa, w: &'a [f32], weight: &Weight) -> Factors<'a> {
        let (all, columns, rows) = self.tiles();
        let one = self.together() || self.images == 1 && rows == all;
        Factors::new(isa, &self.weights, one, all * columns, w, weight)
    }

    fn apply(&self, isa: Isa, x: Joined<'_, f32>, u: &Factors<'_>, epilogue: Epilogue<f32>, out: &mut [f32]) {
        let rows = self.tiles().2;
        let images = if self.together() { self.images } else { 1 };
        let Output { w, made, .. } = self.output;
        let tile_rows = self.tile_rows(made);
        for (i, out) in out.chunks_mut(images * self.outputs * made.count * w).enumerate() {
            let planes = i * images * self.inputs..(i + 1) * images * self.inputs;
            for first in tile_rows.clone().step_by(rows) {
                let tiles = self.some(first..(first + rows).min(tile_rows.end), x.act);
                self.block(isa, &tiles, (x, planes.clone()), u, epilogue, out);
            }
        }
    }

    /// Some tile rows of the images that the planes of `x` are of. An activation of the epilogue is for results that are no phases.
    fn block(
        &self,
        isa: Isa,
        t: &Tiles,
        (x, planes): (Joined<'_, f32>, Range<usize>),
        u: &Factors<'_>,
        epilogue: Epilogue<f32>,
        out: &mut [f32],
    ) {
        let panel = TileShape::of(isa, usize::MAX).pixels;
        let weights = &self.weights;
        let image = t.count().next_multiple_of(isa.lanes());
        let area = t.held.count * t.w;
        let tiles = planes.len() / self.inputs * image;
        let from = Layout::new(isa, self.copies() * weights.inputs(), tiles, Some(panel));
        let to = Layout::new(isa, weights.outputs(), tiles, None);
        let products = t.points * t.points;
        let mut v = Scratch::take(products * from.product());
        let shared = Shared::new(&mut v);
        let first_plane = planes.start;
        planes.into_par_iter().for_each(|plane| {
            let (i, plane) = (plane - first_plane, x.plane(plane, area));
            let (channel, first) = (i % self.inputs, i / self.inputs * image);
            for copy in 0..self.copies() {
                let [up, left] = t.padding;
                let starts =
                    [copy / self.output.stride, copy % self.output.stride].map(|phase| self.output.start(phase));
                let t = Tiles { padding: [up - starts[0], left - starts[1]], ..*t };
                let channel = copy * self.inputs + channel;
                transform_input(isa, &t, plane, Destination { layout: &from, channel, first, to: shared });
            }
        });
        let mut results = Scratch::take(products * to.product());
        u.multiply(isa, weights, &v, &from, &mut results, &to);
        let Output { w, made, .. } = self.output;
        let at = |tile_row: usize| ((tile_row * t.m).clamp(made.first, made.end()) - made.first) * w;
        let written = at(t.first)..at(t.first + t.rows);
        out.par_chunks_mut(made.count * w).enumerate().for_each(|(i, plane)| {
            let (channel, first) = (i % self.outputs, i / self.outputs * image);
            transform_output(isa, t, &results, &to, (channel, first), epilogue.start(channel), plane, self.output);
            epilogue.activate(isa, &mut plane[written.clone()]);
        });
    }
}

impl Output {
    /// With tiles that are shifted, if these are fewer. Only tiles that are worked on all together can be.
    fn with_fewest_tiles(self, isa: Isa, weights: &Weights) -> Self {
        let shifted = Output { shifted: true, ..self };
        let tiles = |output: &Output| {
            let (h, w) = output.tiled();
            (h.div_ceil(2) * w.div_ceil(2)).next_multiple_of(isa.lanes())
        };
        let fewer = weights.points == 3 && self.padding <= 2 && tiles(&shifted) < tiles(&self);
        if fewer { shifted } else { self }
    }
}

/// The weights of a filter: all of them transformed, or as they are.
enum Factors<'a> {
    Transformed(Pack),
    Plain(&'a [f32]),
}

impl<'a> Factors<'a> {
    /// Transformed, unless that is better done piece by piece, for tiles that are worked on in `one` block.
    fn new(isa: Isa, weights: &Weights, one: bool, tiles: usize, w: &'a [f32], weight: &Weight) -> Self {
        let len = weights.len(isa);
        let short_lived = !weight.keeps() || len > LARGEST;
        if one && short_lived && few_tiles::serves(weights, len, tiles) {
            return Factors::Plain(w);
        }
        let name = match (weights.adjoint, weights.turned) {
            (false, _) => "winograd",
            (true, true) => "winograd adjoint",
            (true, false) => "winograd overlap",
        };
        let form = Form { name, numbers: [weights.panel, isa.lanes(), weights.stride, weights.points] };
        Factors::Transformed(weight.packed(form, len, |to| weights.transform(isa, w, to)))
    }

    /// The matrix products, one for every pair of points.
    fn multiply(&self, isa: Isa, weights: &Weights, v: &[f32], from: &Layout, products: &mut [f32], to: &Layout) {
        match self {
            Factors::Transformed(u) => multiply(isa, weights, u, v, from, products, to),
            Factors::Plain(w) => few_tiles::multiply(isa, weights, w, v, from, products, to),
        }
    }
}

/// Tile rows of a block, of `all` rows of `row` elements and for so many `weights`, all of which become `products`: equal parts, so that
/// none is short.
fn block_rows(all: usize, products: usize, row: usize, weights: usize) -> usize {
    if products * weights > MANY && all * products * row <= WHOLE {
        return all;
    }
    let fit = (BLOCK / (products * row)).clamp(1, all);
    all.div_ceil(all.div_ceil(fit))
}

/// For a panel of one to three vectors of tiles, where the tiles of each input channel are.
fn offsets(isa: Isa) -> [[usize; DEPTH]; 3] {
    std::array::from_fn(|vectors| std::array::from_fn(|k| k * (vectors + 1) * isa.lanes()))
}

/// Panels of one product's transformed weights.
struct Panels<'a> {
    u: &'a [f32],
    /// Output channels of a panel.
    channels: usize,
    /// Distance of two panels.
    len: usize,
    count: usize,
}

impl Panels<'_> {
    /// Multiplies with the input channels `k .. k + depth` (of each of the `phases`) of the panel of tiles at `q`, whose product is added to `c`, or
    /// overwrites it if these are the `first` ones. `next`: see [`Product::next`].
    #[allow(clippy::too_many_arguments)]
    fn multiply(
        &self,
        isa: Isa,
        v: &[f32],
        from: &Layout,
        offsets: &[[usize; DEPTH]; 3],
        (q, k, depth): (usize, usize, usize),
        phases: usize,
        first: bool,
        next: usize,
        c: &mut [f32],
        to: &Layout,
    ) {
        let width = from.panel.min(from.tiles - q);
        Product {
            shape: TileShape { channels: self.channels, pixels: width },
            weights: self.u,
            panel: self.len,
            panels: self.count,
            x: &v[q * from.channels + k * width..],
            plane: from.channels / phases * width,
            channels: phases,
            offsets: &offsets[width / isa.lanes() - 1][..depth],
            tiles: 1,
            pitch: to.tiles,
            first,
            next,
        }
        .run(isa, &mut c[q..]);
    }
}

/// The matrix products, one for every pair of points.
fn multiply(isa: Isa, weights: &Weights, u: &[f32], v: &[f32], from: &Layout, products: &mut [f32], to: &Layout) {
    let shared = Shared::new(products);
    let panels = weights.panels();
    // Half of the panels at a time where there are many: more tasks, and weights that stay in the cache.
    let share = if panels >= 16 { panels.div_ceil(2) } else { panels };
    let shares = panels.div_ceil(share);
    let panel_len = weights.panel_len(isa);
    let offsets = offsets(isa);
    (0..weights.points * weights.points * shares).into_par_iter().for_each(|task| {
        let (product, first) = (task / shares, task % shares * share);
        let v = &v[product * from.product()..][..from.product()];
        // Phases are phases of the inputs, or else of the outputs, each of which may have inputs of its own.
        let phases = weights.phases_of(product);
        let scaled = |by: usize| phases.iter().map(|run| run.start * by..run.end * by).collect();
        let whole = |len: usize| std::iter::once(0..len).collect();
        let own = from.channels > weights.inputs();
        let (inputs, outputs): (Vec<Range<usize>>, Vec<Range<usize>>) = if own {
            let of_a_phase = weights.panels_of_a_phase();
            (
                whole(weights.inputs()),
                phases.iter().cloned().flatten().map(|p| p * of_a_phase..(p + 1) * of_a_phase).collect(),
            )
        } else if weights.adjoint {
            (whole(from.channels), scaled(weights.panels_of_a_phase()))
        } else {
            (scaled(from.channels / weights.phases()), whole(panels))
        };
        for outputs in outputs {
            let inputs_from = if own { outputs.start / weights.panels_of_a_phase() * weights.inputs() } else { 0 };
            let (first, end) = (first.max(outputs.start), (first + share).min(outputs.end));
            if first >= end {
                continue;
            }
            let count = end - first;
            // SAFETY: these rows of this product belong to one task.
            #[allow(unsafe_code)]
            let c = unsafe {
                let rows = first * weights.panel;
                shared.part(product * to.product() + rows * to.tiles, count * weights.panel * to.tiles)
            };
            let u = &u[product * weights.product(isa) + first * panel_len..][..count * panel_len];
            for q in (0..from.tiles).step_by(from.panel) {
                let width = from.panel.min(from.tiles - q);
                let pieces =
                    inputs.iter().flat_map(|run| run.clone().step_by(DEPTH).map(|k| (k, DEPTH.min(run.end - k))));
                for (i, (k, depth)) in pieces.enumerate() {
                    let panels = Panels { u: &u[k * weights.panel..], channels: weights.panel, len: panel_len, count };
                    panels.multiply(
                        isa,
                        v,
                        from,
                        &offsets,
                        (q, inputs_from + k, depth),
                        1,
                        i == 0,
                        depth * width,
                        c,
                        to,
                    );
                }
            }
        }
    });
}

/// How a pass is computed in bands of rows.
pub(super) fn banding(isa: Isa, g: &Geometry, forward: bool) -> Banding {
    let filter = if forward { Filter::forward(isa, g) } else { Filter::backward(isa, g) };
    filter.banding(isa)
}

/// The rows of the input that the rows `made` of the output are computed from, which are whole bands.
pub(super) fn reads(isa: Isa, g: &Geometry, forward: bool, made: Rows) -> Rows {
    let filter = if forward { Filter::forward(isa, g) } else { Filter::backward(isa, g) };
    filter.some(filter.tile_rows(made), Act::Identity).reads()
}

/// From the big end to the small end, with bias and activation.
pub(super) fn forward(
    isa: Isa,
    g: &Geometry,
    span: &Span,
    x: Joined<'_, f32>,
    w: &[f32],
    weight: &Weight,
    epilogue: Epilogue<f32>,
) -> Vec<f32> {
    let filter = Filter::forward(isa, g).of(span);
    let u = filter.factors(isa, w, weight);
    let mut out = for_overwrite(g.n * g.co * span.output.count * g.wo);
    filter.apply(isa, x, &u, epilogue, &mut out);
    out
}

/// From the small end to the big end, with a bias per channel of the big end.
pub(super) fn backward_data(
    isa: Isa,
    g: &Geometry,
    span: &Span,
    dy: Joined<'_, f32>,
    w: &[f32],
    weight: &Weight,
    bias: Option<&[f32]>,
) -> Vec<f32> {
    if g.mode != PadMode::Zero {
        return overlap::backward_data(isa, g, &dy.made(), w, weight, bias);
    }
    let filter = Filter::backward(isa, g).of(span);
    let u = filter.factors(isa, w, weight);
    let mut out = for_overwrite(g.n * g.ci * span.output.count * g.w);
    filter.apply(isa, dy, &u, Epilogue::bias(bias), &mut out);
    out
}
