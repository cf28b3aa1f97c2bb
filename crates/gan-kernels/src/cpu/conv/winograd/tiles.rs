//! From pixels to transformed tiles and back.
//!
//! Tiles are numbered along rows and the vector lanes are neighbouring tiles. To load the six by six pixels of many
//! tiles as vectors, a channel is first laid out as arrays `[row phase][column of the tile][tile]`: element (a, b) of
//! tile t is at phase a mod m, column b, index t + (a div m) · (tiles in a row).
#![allow(unsafe_code)]
use super::points::both;
use crate::PadMode;
use crate::cpu::conv::geometry::source;
use crate::cpu::scratch::Scratch;
use crate::cpu::simd::{Simd, prefetch, simd_entry};
use crate::isa::Isa;

/// A plane, how it is continued, and the part of its tiles that is worked on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tiles {
    /// Size of the plane.
    pub(super) h: usize,
    pub(super) w: usize,
    /// Padded rows above and columns left of the plane.
    pub(super) padding: usize,
    pub(super) mode: PadMode,
    /// Only every `stride`-th row and column, from `phase` on, is looked at.
    pub(super) stride: usize,
    pub(super) phase: (usize, usize),
    /// Products of a tile in one dimension, and its outputs.
    pub(super) points: usize,
    pub(super) m: usize,
    /// First tile row, tile rows, tiles in a row.
    pub(super) first: usize,
    pub(super) rows: usize,
    pub(super) columns: usize,
}

/// Elements that places of transformed tensors are asked for in advance.
const AHEAD: usize = 64;

/// Where the values of a tile go: `[product][panel of tiles][channel][tile of the panel]`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layout {
    pub(super) channels: usize,
    /// Tiles of all panels but the last.
    pub(super) panel: usize,
    /// Tiles, filled up to whole vectors.
    pub(super) tiles: usize,
}

impl Layout {
    /// Panels of at most `panel` tiles, if they are wanted, that are as wide as one another as far as possible.
    pub(super) fn new(isa: Isa, channels: usize, tiles: usize, panel: Option<usize>) -> Self {
        let tiles = tiles.next_multiple_of(isa.lanes());
        let panels = panel.map_or(1, |panel| tiles.div_ceil(panel));
        Layout { channels, panel: tiles.div_ceil(panels).next_multiple_of(isa.lanes()), tiles }
    }

    /// Distance of two products: an odd number of cache lines, so that they do not compete for cache sets.
    pub(super) fn product(&self) -> usize {
        ((self.channels * self.tiles).div_ceil(16) | 1) * 16
    }

    /// Where a channel's values of the vector of tiles at `q` are.
    #[inline(always)]
    pub(super) fn at(&self, channel: usize, q: usize) -> usize {
        let panel = q / self.panel;
        let width = self.panel.min(self.tiles - panel * self.panel);
        panel * self.panel * self.channels + channel * width + q % self.panel
    }
}

impl Tiles {
    pub(super) fn count(&self) -> usize {
        self.rows * self.columns
    }

    /// Rows of a phase, the tile's extent being `extent` pixels.
    fn phase_rows(&self, extent: usize) -> usize {
        self.rows + (extent - 1) / self.m
    }

    /// Lays a plane out for tiles of `extent` pixels (see the module).
    #[inline(always)]
    fn lay_out(&self, plane: &[f32], extent: usize, to: &mut [f32]) {
        let (m, columns) = (self.m, self.columns);
        let array = self.phase_rows(extent) * columns;
        // A padded row of the plane, so that the strided copies below need no borders.
        let width = (columns - 1) * m + extent;
        let mut row = [0.0f32; 1024];
        let mut long = Vec::new();
        let row = if width <= row.len() {
            &mut row[..width]
        } else {
            long.resize(width, 0.0);
            &mut long[..]
        };
        for j in 0..(self.rows - 1) * m + extent {
            let (phase, line) = (j % m, j / m);
            let y = (self.stride * (self.first * m + j) + self.phase.0) as isize - self.padding as isize;
            match source(self.mode, y, self.h) {
                Some(y) => self.padded_row(&plane[y * self.w..(y + 1) * self.w], row),
                None => row.fill(0.0),
            }
            let at = |b: usize| (phase * extent + b) * array + line * columns;
            match m {
                4 => take_apart::<4>(row, std::array::from_fn(at), columns, to),
                3 => take_apart::<3>(row, std::array::from_fn(at), columns, to),
                _ => take_apart::<2>(row, std::array::from_fn(at), columns, to),
            }
            // Columns of a tile from the m-th on are those of its right neighbour.
            for b in m..extent {
                let next = at(b - m) + 1;
                to.copy_within(next..next + columns - 1, at(b));
                to[at(b) + columns - 1] = row[b + (columns - 1) * m];
            }
        }
    }

    #[inline(always)]
    fn padded_row(&self, from: &[f32], to: &mut [f32]) {
        let (stride, phase) = (self.stride, self.phase.1);
        let left = self.padding.saturating_sub(phase).div_ceil(stride).min(to.len());
        let first = (stride * left + phase).saturating_sub(self.padding);
        let inner = self.w.saturating_sub(first).div_ceil(stride).min(to.len() - left);
        match stride {
            1 => to[left..left + inner].copy_from_slice(&from[first..first + inner]),
            _ => to[left..left + inner].iter_mut().zip(from[first..].chunks(2)).for_each(|(to, from)| *to = from[0]),
        }
        for x in (0..left).chain(left + inner..to.len()) {
            let x_from = (stride * x + phase) as isize - self.padding as isize;
            to[x] = source(self.mode, x_from, self.w).map_or(0.0, |x| from[x]);
        }
    }

    /// Elements of a channel's layout, with slack for whole vectors.
    fn laid_out(&self, extent: usize) -> usize {
        self.m.min(extent) * extent * self.phase_rows(extent) * self.columns + 16
    }
}

/// Takes the first `M · columns` elements of a row apart: element `i` goes to place `i div M` behind `at[i mod M]`.
#[inline(always)]
fn take_apart<const M: usize>(row: &[f32], at: [usize; M], columns: usize, to: &mut [f32]) {
    // Places lie in order and apart, so that each can be borrowed.
    let mut rest = &mut to[at[0]..];
    let mut parts: [&mut [f32]; M] = std::array::from_fn(|_| &mut [][..]);
    for (i, part) in parts.iter_mut().enumerate() {
        let next = at.get(i + 1).map_or(columns, |next| next - at[i]);
        let (this, after) = rest.split_at_mut(next);
        *part = &mut this[..columns];
        rest = after;
    }
    for (i, pixels) in row[..M * columns].chunks_exact(M).enumerate() {
        for (part, &pixel) in parts.iter_mut().zip(pixels) {
            part[i] = pixel;
        }
    }
}

/// Transforms a channel's tiles of input, `Bᵀ d B`; with a stride, its phases become channels of their own, behind those of
/// all channels' former phases.
pub(super) fn transform_input(isa: Isa, t: &Tiles, plane: &[f32], to: Destination<'_>) {
    let mut arrays = Scratch::take(t.laid_out(t.points));
    let phases = t.stride * t.stride;
    for phase in 0..phases {
        let t = Tiles { phase: (phase / t.stride, phase % t.stride), ..*t };
        let to = Destination { channel: phase * (to.layout.channels / phases) + to.channel, ..to };
        to.check(t.points);
        input_tiles(isa, &t, plane, &mut arrays, to);
    }
}

/// Transforms a channel's tiles of an output gradient: `A dy Aᵀ`.
pub(super) fn transform_gradient(isa: Isa, t: &Tiles, plane: &[f32], to: Destination<'_>) {
    let mut arrays = Scratch::take(t.laid_out(t.m));
    to.check(t.points);
    gradient_tiles(isa, t, plane, &mut arrays, to);
}

/// A channel's place in a transformed tensor.
#[derive(Clone, Copy)]
pub(super) struct Destination<'a> {
    pub(super) layout: &'a Layout,
    pub(super) channel: usize,
    pub(super) to: crate::cpu::planes::Shared<f32>,
}

impl Destination<'_> {
    fn check(&self, points: usize) {
        assert!(self.channel < self.layout.channels && self.to.len() >= points * points * self.layout.product());
    }
}

simd_entry! {
    fn input_tiles[S](t: &Tiles, plane: &[f32], arrays: &mut [f32], to: Destination<'_>) {
        t.lay_out(plane, t.points, arrays);
        let array = t.phase_rows(t.points) * t.columns;
        macro_rules! tiles {
            ($n:tt) => {
                for q in (0..t.count()).step_by(S::LANES) {
                    // SAFETY: the arrays end a vector behind the last tile; the destination was checked, and its channel
                    // belongs to this task. The entry has the instruction set.
                    unsafe {
                        let mut d = [[S::zero(); $n]; $n];
                        for (a, d) in d.iter_mut().enumerate() {
                            for (b, d) in d.iter_mut().enumerate() {
                                let at = (a % t.m * $n + b) * array + a / t.m * t.columns + q;
                                *d = S::load(arrays.as_ptr().add(at));
                            }
                        }
                        store::<S, $n>(both!(S, input::<$n>, d, $n, $n), q, to);
                    }
                }
            };
        }
        match t.points {
            3 => tiles!(3),
            4 => tiles!(4),
            _ => tiles!(6),
        }
    }
}

simd_entry! {
    fn gradient_tiles[S](t: &Tiles, plane: &[f32], arrays: &mut [f32], to: Destination<'_>) {
        t.lay_out(plane, t.m, arrays);
        let array = t.phase_rows(t.m) * t.columns;
        for q in (0..t.count()).step_by(S::LANES) {
            // SAFETY: as for the input's tiles.
            unsafe {
                let load = |a: usize, b: usize| S::load(arrays.as_ptr().add((a * t.m + b) * array + q));
                // Lanes behind the last tile hold the next phase's pixels: they must not count.
                macro_rules! tile {
                    ($n:tt, $m:tt) => {{
                        let mut y = [[S::zero(); $m]; $m];
                        for (i, y) in y.as_flattened_mut().iter_mut().enumerate() {
                            *y = load(i / $m, i % $m);
                        }
                        store::<S, $n>(both!(S, output_adjoint::<$n, $m>, y, $m, $n), q, to)
                    }};
                }
                match (t.points, t.m) {
                    (3, _) => tile!(3, 2),
                    (4, _) => tile!(4, 3),
                    (_, 4) => tile!(6, 4),
                    _ => tile!(6, 3),
                }
            }
        }
    }
}

/// # Safety
/// The destination was checked and its channel belongs to this task; the caller has the instruction set of `S`.
#[inline(always)]
unsafe fn store<S: Simd, const N: usize>(tile: [[S::V; N]; N], q: usize, to: Destination<'_>) {
    let (at, step) = (to.layout.at(to.channel, q), to.layout.product());
    for (i, &v) in tile.as_flattened().iter().enumerate() {
        // SAFETY: inside the checked length.
        let place = unsafe { to.to.start().add(i * step + at) };
        // So many places far apart are more than the processor foresees.
        prefetch(place.wrapping_add(AHEAD));
        // SAFETY: as above.
        unsafe { S::store(place, v) };
    }
}

/// How the planes that tiles are transformed back to make up the result.
#[derive(Debug, Clone, Copy)]
pub(super) struct Output {
    /// Size of a plane of the result.
    pub(super) h: usize,
    pub(super) w: usize,
    /// A plane of the result is `stride · stride` planes of products, its phases: pixel (y, x) is the pixel
    /// ((y + padding) div stride, (x + padding) div stride) of the phase of the remainders.
    pub(super) stride: usize,
    pub(super) padding: usize,
}

impl Output {
    /// Size of a phase.
    pub(super) fn phase(&self) -> (usize, usize) {
        ((self.h - 1 + self.padding) / self.stride + 1, (self.w - 1 + self.padding) / self.stride + 1)
    }
}

/// Transforms a channel's products back, `Aᵀ m A`, adds `start`, and writes the tiles' pixels to the plane `[h, w]` of
/// outputs (tiles reach over its right and lower border).
#[allow(clippy::too_many_arguments)]
pub(super) fn transform_output(
    isa: Isa,
    t: &Tiles,
    products: &[f32],
    layout: &Layout,
    channel: usize,
    start: f32,
    out: &mut [f32],
    size: Output,
) {
    let Output { h, w, stride, padding } = size;
    let phases = stride * stride;
    let channels = layout.channels / phases;
    assert!(products.len() >= t.points.pow(2) * layout.product() && channel < channels);
    let plane = t.m * t.m * layout.tiles;
    let mut arrays = Scratch::take(phases * plane);
    for (phase, arrays) in arrays.chunks_exact_mut(plane).enumerate() {
        output_tiles(isa, t, products, layout, phase * channels + channel, arrays);
    }
    let columns = size.phase().1;
    let mut parts = Scratch::take(stride * columns);
    let lines = t.first * t.m * stride..(t.first + t.rows) * t.m * stride;
    for y in lines.start.max(padding) - padding..(lines.end - padding.min(lines.end)).min(h) {
        let (phase, i) = ((y + padding) % stride, (y + padding) / stride);
        let (line, a) = (i / t.m - t.first, i % t.m);
        let row = &mut out[y * w..(y + 1) * w];
        let pixels = |phase: usize, to: &mut [f32]| {
            let arrays = &arrays[phase * plane + a * t.m * layout.tiles..][..t.m * layout.tiles];
            interleave(isa, arrays, layout.tiles, line * t.columns, t.m, start, to);
        };
        if stride == 1 {
            pixels(0, row);
            continue;
        }
        for (t, part) in parts.chunks_exact_mut(columns).enumerate() {
            pixels(phase * stride + t, part);
        }
        weave(isa, &parts, columns, padding, row);
    }
}

crate::isa::vectorised! {
    /// Even and odd columns, each of `columns` elements, become a row without its first `padding` elements.
    fn weave(parts: &[f32], columns: usize, padding: usize, row: &mut [f32]) {
        let (even, odd) = parts.split_at(columns);
        let skipped = padding / 2;
        let (mut even, odd) = (&even[skipped..], &odd[skipped..]);
        let mut row = row;
        let mut odd = odd;
        if padding % 2 == 1 {
            // The row begins with an odd column.
            let (first, rest) = row.split_at_mut(1);
            first[0] = odd[0];
            (even, odd, row) = (&even[1..], &odd[1..], rest);
        }
        let pairs = row.len() / 2;
        for ((o, &e), &d) in row.chunks_exact_mut(2).zip(&even[..pairs]).zip(&odd[..pairs]) {
            o[0] = e;
            o[1] = d;
        }
        if row.len() % 2 == 1 {
            row[2 * pairs] = even[pairs];
        }
    }
}

crate::isa::vectorised! {
    fn interleave(arrays: &[f32], array: usize, at: usize, m: usize, start: f32, row: &mut [f32]) {
        let part = |b: usize| &arrays[b * array + at..(b + 1) * array];
        let whole = row.len() / m;
        macro_rules! whole {
            ($m:tt) => {{
                let parts: [&[f32]; $m] = std::array::from_fn(|b| &part(b)[..whole]);
                for (i, o) in row.chunks_exact_mut($m).enumerate() {
                    for (o, part) in o.iter_mut().zip(parts) {
                        *o = part[i] + start;
                    }
                }
            }};
        }
        match m {
            4 => whole!(4),
            3 => whole!(3),
            _ => whole!(2),
        }
        for (b, o) in row[whole * m..].iter_mut().enumerate() {
            *o = part(b)[whole] + start;
        }
    }
}

simd_entry! {
    fn output_tiles[S](t: &Tiles, products: &[f32], layout: &Layout, channel: usize, arrays: &mut [f32]) {
        for q in (0..t.count()).step_by(S::LANES) {
            let (at, step) = (layout.at(channel, q), layout.product());
            // SAFETY: inside the checked lengths; the entry has the instruction set.
            unsafe {
                let to = arrays.as_mut_ptr().add(q);
                macro_rules! tile {
                    ($n:tt, $m:tt) => {{
                        let mut d = [[S::zero(); $n]; $n];
                        for (i, d) in d.as_flattened_mut().iter_mut().enumerate() {
                            let place = products.as_ptr().add(i * step + at);
                            prefetch(place.wrapping_add(AHEAD));
                            *d = S::load(place);
                        }
                        for (i, &y) in both!(S, output::<$n, $m>, d, $n, $m).as_flattened().iter().enumerate() {
                            S::store(to.add(i * layout.tiles), y);
                        }
                    }};
                }
                match (t.points, t.m) {
                    (3, _) => tile!(3, 2),
                    (4, _) => tile!(4, 3),
                    (_, 4) => tile!(6, 4),
                    _ => tile!(6, 3),
                }
            }
        }
    }
}
