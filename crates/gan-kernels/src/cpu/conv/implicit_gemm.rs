//! Implicit matrix products by taps: forward, and backward to the data, without an im2col matrix.
//!
//! A task owns a band of output rows and a group of output channels. It brings blocks of input channels into the band
//! layout (which lies in the second-level cache), multiplies them by the packed weights with register tiles, and writes
//! its rows when all blocks are done. The split depends on the shape alone.
#![allow(unsafe_code)]
use super::Banding;
use super::epilogue::Epilogue;
use super::fold::Fold;
use super::joined::Joined;
use super::phases::{SLACK, Source};
use super::tile::{Product, TileShape};
use crate::cpu::elementwise::for_overwrite;
use crate::cpu::planes::Shared;
use crate::isa::{Isa, vectorised};
use crate::scratch::Scratch;
use crate::spec::conv::PadMode;
use crate::spec::geometry::Geometry;
use crate::spec::rows::{Bands, Rows, Span};
use crate::weight::Form;
use crate::weight::Weight;
use rayon::prelude::*;

/// Elements of a task's results: they should stay in the second-level cache beside its input.
const RESULTS: usize = 72 << 10;
/// Elements of a block of input channels.
const BLOCK: usize = 48 << 10;
/// Elements of a tile's input, which should stay in the first-level cache.
const TILE_INPUT: usize = 5 << 10;
/// Tasks that a call is split into at least, where its size allows.
const TASKS: usize = 16;

/// One tap: input phase, row and column relative to the output pixel's, and its index in the kernel.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tap {
    pub(super) phase: (usize, usize),
    pub(super) row: usize,
    pub(super) column: usize,
    index: usize,
}

/// How the small end looks at the big end: its source, the taps in the kernel's order, and the rows of a band beyond its
/// output rows.
pub(super) fn forward_taps(g: &Geometry) -> (Source, Vec<Tap>, usize) {
    let s = g.stride;
    let taps = (0..g.kh * g.kw).map(|index| {
        let (ky, kx) = (index / g.kw, index % g.kw);
        Tap { phase: (ky % s, kx % s), row: ky / s, column: kx / s, index }
    });
    let [top, left] = g.padding;
    let held = Rows::all(g.h);
    let source = Source { h: g.h, w: g.w, top, left, mode: g.mode, stride: s, columns: g.padded_w(), held };
    (source, taps.collect(), (g.kh - 1) / s)
}

/// A map from `inputs` channels of a source to `outputs` channels, each output in `stride²` phases.
struct Map {
    source: Source,
    inputs: usize,
    outputs: usize,
    /// Taps of every output phase (r, t), in row-major order of phases.
    phases: Vec<Vec<Tap>>,
    /// Output rows and columns of a phase.
    rows: usize,
    columns: usize,
    /// Input rows that a band has beyond its output rows.
    margin: usize,
    /// Step between the pixels of an output phase.
    stride: usize,
    /// Output size, and the rows of it that are computed.
    h: usize,
    w: usize,
    made: Rows,
    /// Distance in the weight tensor of two output channels and of two input channels.
    weight_steps: (usize, usize),
}

impl Map {
    fn forward(g: &Geometry) -> Self {
        let (source, taps, margin) = forward_taps(g);
        Map {
            source,
            inputs: g.ci,
            outputs: g.co,
            phases: vec![taps],
            rows: g.ho,
            columns: g.wo,
            margin,
            stride: 1,
            h: g.ho,
            w: g.wo,
            made: Rows::all(g.ho),
            weight_steps: (g.taps(), g.kh * g.kw),
        }
    }

    /// The same for some rows of both ends.
    fn of(mut self, span: &Span) -> Self {
        (self.source.held, self.made) = (span.input, span.output);
        self
    }

    /// The output's rows `made` in rows of a phase.
    fn phase_rows(&self, made: Rows) -> Rows {
        let first = made.first / self.stride;
        Rows { first, count: made.end().div_ceil(self.stride) - first }
    }

    /// The adjoint, to the big end as it is (zero padding) or to the padded big end (which is then folded).
    fn backward(g: &Geometry) -> Self {
        let s = g.stride as isize;
        let (h, w, [up, side]) = match g.mode {
            PadMode::Zero => (g.h, g.w, g.padding.map(|p| p as isize)),
            _ => (g.padded_h(), g.padded_w(), [0; 2]),
        };
        // Row y = a · s + r of the big end meets row a + (r + p − ky) / s of the small end, for all ky ≡ r + p.
        let reach = |k: usize, p: isize| {
            let low = -((k as isize - 1 - p).max(0) / s);
            (low, (s - 1 + p) / s)
        };
        let ((top, bottom), (left, right)) = (reach(g.kh, up), reach(g.kw, side));
        let (rows, columns) = (h.div_ceil(g.stride), w.div_ceil(g.stride));
        let mut phases = Vec::new();
        for (r, t) in (0..s).flat_map(|r| (0..s).map(move |t| (r, t))) {
            let mut taps = Vec::new();
            for index in 0..g.kh * g.kw {
                let (dy, dx) = (r + up - (index / g.kw) as isize, t + side - (index % g.kw) as isize);
                if dy.rem_euclid(s) == 0 && dx.rem_euclid(s) == 0 {
                    let (row, column) = ((dy.div_euclid(s) - top) as usize, (dx.div_euclid(s) - left) as usize);
                    taps.push(Tap { phase: (0, 0), row, column, index });
                }
            }
            phases.push(taps);
        }
        Map {
            source: Source {
                h: g.ho,
                w: g.wo,
                top: -top as usize,
                left: -left as usize,
                mode: PadMode::Zero,
                stride: 1,
                columns: columns + (right - left) as usize,
                held: Rows::all(g.ho),
            },
            inputs: g.co,
            outputs: g.ci,
            phases,
            rows,
            columns,
            margin: (bottom - top) as usize,
            stride: g.stride,
            h,
            w,
            made: Rows::all(h),
            weight_steps: (g.kh * g.kw, g.taps()),
        }
    }

    /// Weights `[panel][phase][input][tap][channel of the panel]`; channels past the last are zero.
    fn pack(&self, weights: &[f32], shape: TileShape, packed: &mut [f32]) {
        let m = shape.channels;
        packed.par_chunks_mut(self.panel(shape)).enumerate().for_each(|(panel, to)| {
            let channels = m.min(self.outputs - panel * m);
            let mut phases: Vec<&mut [f32]> = Vec::with_capacity(self.phases.len());
            let mut rest = to;
            for taps in &self.phases {
                let (phase, after) = rest.split_at_mut(self.inputs * taps.len() * m);
                phases.push(phase);
                rest = after;
            }
            // Inputs outermost, so that the weights are read once and in order.
            for input in 0..self.inputs {
                let from = &weights[panel * m * self.weight_steps.0 + input * self.weight_steps.1..];
                for (taps, phase) in self.phases.iter().zip(&mut phases) {
                    let to = &mut phase[input * taps.len() * m..(input + 1) * taps.len() * m];
                    for (tap, to) in taps.iter().zip(to.chunks_exact_mut(m)) {
                        let from = from[tap.index..].iter().step_by(self.weight_steps.0);
                        for (to, &from) in to.iter_mut().zip(from).take(channels) {
                            *to = from;
                        }
                    }
                }
            }
        });
    }

    /// Elements of the packed weights.
    fn packed_len(&self, shape: TileShape) -> usize {
        self.outputs.div_ceil(shape.channels) * self.panel(shape)
    }

    /// Elements of a panel of packed weights.
    fn panel(&self, shape: TileShape) -> usize {
        self.inputs * shape.channels * self.phases.iter().map(Vec::len).sum::<usize>()
    }

    /// How the work is cut.
    fn split(&self, images: usize, shape: TileShape) -> Split {
        let pitch = self.source.pitch();
        let phases = self.phases.len();
        let mut split = Split { rows: self.rows, outputs: self.outputs.next_multiple_of(shape.channels) };
        loop {
            let results = split.outputs * phases * split.rows * pitch;
            let tasks = images * self.rows.div_ceil(split.rows) * self.outputs.div_ceil(split.outputs);
            if results <= RESULTS && tasks >= TASKS {
                return split;
            }
            if split.rows > 1 && split.rows * pitch > 5 * shape.pixels {
                split.rows = split.rows.div_ceil(2);
            } else if split.outputs > 4 * shape.channels {
                split.outputs = split.outputs.div_ceil(2).next_multiple_of(shape.channels);
            } else {
                return split;
            }
        }
    }

    /// `out[image][output] = act(bias[output] + map(x[image]))`; rows of a padded output are folded.
    #[allow(clippy::too_many_arguments)]
    fn apply(
        &self,
        isa: Isa,
        images: usize,
        x: Joined<'_, f32>,
        packed: &[f32],
        epilogue: Epilogue<f32>,
        fold: Option<&Fold<'_>>,
        out: &mut [f32],
    ) {
        let shape = TileShape::of(isa, self.outputs);
        let split = self.split(images, shape);
        // Cuts of the whole image, whichever rows of it are computed: they decide how sums are rounded.
        let made = self.phase_rows(self.made);
        let (start, bands) = (made.first / split.rows, made.end().div_ceil(split.rows) - made.first / split.rows);
        let groups = self.outputs.div_ceil(split.outputs);
        let out = Shared::new(out);
        (0..images * bands * groups).into_par_iter().for_each(|task| {
            let (group, band, image) = (task % groups, start + task / groups % bands, task / groups / bands);
            let part = Part {
                first: band * split.rows,
                rows: split.rows.min(self.rows - band * split.rows),
                output: group * split.outputs,
                outputs: split.outputs.min(self.outputs - group * split.outputs),
            };
            self.run(isa, shape, &part, (x, image), packed, epilogue, fold, out);
        });
    }

    #[allow(clippy::too_many_arguments)]
    fn run(
        &self,
        isa: Isa,
        shape: TileShape,
        part: &Part,
        (x, image): (Joined<'_, f32>, usize),
        packed: &[f32],
        epilogue: Epilogue<f32>,
        fold: Option<&Fold<'_>>,
        out: Shared<f32>,
    ) {
        let band = self.source.band(part.first, part.rows + self.margin);
        let plane = band.plane();
        let tiles = ((part.rows - 1) * band.pitch + self.columns).div_ceil(shape.pixels);
        let (pitch, panels) = (tiles * shape.pixels, part.outputs.div_ceil(shape.channels));
        debug_assert!(shape.pixels <= SLACK);
        let seen = self.source.stride.pow(2) * (self.margin + 1) * (shape.pixels + self.margin);
        let block = (TILE_INPUT / seen).min(BLOCK / plane).clamp(4, self.inputs.max(4)).min(self.inputs);
        let mut input = Scratch::take(block * plane);
        let mut results = Scratch::take(self.phases.len() * panels * shape.channels * pitch);
        let panel = self.panel(shape);
        for first in (0..self.inputs).step_by(block) {
            let count = block.min(self.inputs - first);
            for (i, to) in input.chunks_exact_mut(plane).enumerate().take(count) {
                fill(isa, &self.source, &band, x.plane(image * self.inputs + first + i, self.source.area()), to);
                x.activate(isa, to);
            }
            let mut start = part.output / shape.channels * panel;
            for (taps, results) in self.phases.iter().zip(results.chunks_exact_mut(panels * shape.channels * pitch)) {
                let offsets: Vec<usize> = taps.iter().map(|t| band.at(t.phase, t.row, t.column)).collect();
                let depth = taps.len() * shape.channels;
                Product {
                    shape,
                    weights: &packed[start + first * depth..],
                    panel,
                    panels,
                    x: &input,
                    plane,
                    channels: count,
                    offsets: &offsets,
                    tiles,
                    pitch,
                    first: first == 0,
                    next: 0,
                }
                .run(isa, results);
                start += self.inputs * depth;
            }
        }
        let phase = panels * shape.channels * pitch;
        let mut padded = Scratch::take(if fold.is_some() { self.w } else { 0 });
        for channel in 0..part.outputs {
            let output = part.output + channel;
            let (plane, start) = (image * self.outputs + output, epilogue.start(output));
            for i in 0..part.rows * self.stride {
                let (a, r) = (i / self.stride, i % self.stride);
                let y = part.first * self.stride + i;
                if y >= self.made.end() {
                    break;
                }
                let row = match fold {
                    Some(_) => &mut *padded,
                    // SAFETY: rows of an output channel belong to one task.
                    None => unsafe { out.part((plane * self.made.count + y - self.made.first) * self.w, self.w) },
                };
                let from = &results[r * self.stride * phase + channel * pitch + a * band.pitch..];
                match self.stride {
                    1 => store_row(isa, row, from, start),
                    2 => store_interleaved(isa, row, from, &from[phase..], start),
                    s => {
                        for (x, o) in row.iter_mut().enumerate() {
                            *o = from[x % s * phase + x / s] + start;
                        }
                    }
                }
                match fold {
                    // SAFETY: as above.
                    Some(fold) => unsafe { fold.take(isa, row, plane, y, out) },
                    None => epilogue.activate(isa, row),
                }
            }
        }
    }
}

/// Rows and output channels of a task.
struct Split {
    rows: usize,
    outputs: usize,
}

/// What a task computes.
struct Part {
    first: usize,
    rows: usize,
    output: usize,
    outputs: usize,
}

vectorised! {
    pub(super) fn fill(source: &Source, band: &super::phases::Band, from: &[f32], to: &mut [f32]) {
        for (from, to) in from.chunks_exact(source.area()).zip(to.chunks_exact_mut(band.plane())) {
            source.fill(band, from, to);
        }
    }
}

vectorised! {
    fn store_row(to: &mut [f32], from: &[f32], start: f32) {
        for (o, &v) in to.iter_mut().zip(from) {
            *o = v + start;
        }
    }
}

vectorised! {
    fn store_interleaved(to: &mut [f32], even: &[f32], odd: &[f32], start: f32) {
        let half = to.len() / 2;
        for ((o, &a), &b) in to.chunks_exact_mut(2).zip(&even[..half]).zip(&odd[..half]) {
            o[0] = a + start;
            o[1] = b + start;
        }
        if to.len() % 2 == 1 {
            to[2 * half] = even[half] + start;
        }
    }
}

/// How a pass is computed in bands of rows.
pub(super) fn banding(isa: Isa, g: &Geometry, forward: bool) -> Banding {
    let map = if forward { Map::forward(g) } else { Map::backward(g) };
    let shape = TileShape::of(isa, map.outputs);
    let split = map.split(1, shape);
    let results = split.outputs * map.phases.len() * (split.rows * map.source.pitch() + shape.pixels);
    let input = BLOCK.max(4 * map.source.band(0, split.rows + map.margin).plane());
    Banding {
        bands: Bands::every(split.rows * map.stride, map.h),
        packed: map.packed_len(shape),
        working: rayon::current_num_threads() * (results + input),
    }
}

/// The rows of the input that the rows `made` of the output are computed from, which are whole bands.
pub(super) fn reads(g: &Geometry, forward: bool, made: Rows) -> Rows {
    let map = if forward { Map::forward(g) } else { Map::backward(g) };
    let rows = map.phase_rows(made);
    map.source.reads(rows.first, rows.count + map.margin)
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
    let map = Map::forward(g).of(span);
    let shape = TileShape::of(isa, map.outputs);
    let form = Form { name: "taps", numbers: [shape.channels, 0, 0, 0] };
    let packed = weight.packed(form, map.packed_len(shape), |to| map.pack(w, shape, to));
    let mut out = for_overwrite(g.n * g.co * span.output.count * g.wo);
    map.apply(isa, g.n, x, &packed, epilogue, None, &mut out);
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
    let mut map = Map::backward(g);
    if g.mode == PadMode::Zero {
        map = map.of(span);
    }
    let shape = TileShape::of(isa, map.outputs);
    // Which taps a phase has depends on the stride and on where the crop starts.
    let crop = if g.mode == PadMode::Zero { g.padding.map(|p| p % g.stride) } else { [0; 2] };
    let form = Form { name: "taps backward", numbers: [shape.channels, g.stride, crop[0], crop[1]] };
    let packed = weight.packed(form, map.packed_len(shape), |to| map.pack(w, shape, to));
    let mut out = for_overwrite(g.n * g.ci * span.output.count * g.w);
    // Only transposed convolutions have a bias here, and their border is zero.
    debug_assert!(bias.is_none() || g.mode == PadMode::Zero);
    let fold = (g.mode != PadMode::Zero).then(|| Fold::new(g));
    map.apply(isa, g.n, dy, &packed, Epilogue::bias(bias), fold.as_ref(), &mut out);
    if let Some(fold) = fold {
        fold.finish(&mut out);
    }
    out
}
