//! From pixels to transformed tiles and back.
//!
//! Tiles are numbered along rows and the vector lanes are neighboring tiles. To load the six by six pixels of many
//! tiles as vectors, a channel is first laid out as arrays `[row phase][column of the tile][tile]`: element (a, b) of
//! tile t is at phase a mod m, column b, index t + (a div m) · (tiles in a row).
#![allow(unsafe_code)]
use super::points::both;
use crate::cpu::elementwise::by_act;
use crate::cpu::simd::{Simd, prefetch, simd_entry};
use crate::isa::Isa;
use crate::scratch::Scratch;
use crate::spec::act::Act;
use crate::spec::conv::PadMode;
use crate::spec::geometry::{seen, source};
use crate::spec::rows::Rows;

/// A plane, how it is continued, and the part of its tiles that is worked on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tiles {
    /// Size of the plane, and the rows of it that are in memory.
    pub(super) h: usize,
    pub(super) w: usize,
    pub(super) held: Rows,
    /// Padded rows above and columns left of the plane.
    pub(super) padding: [usize; 2],
    pub(super) mode: PadMode,
    /// What its values pass as they are read.
    pub(super) act: Act,
    /// Only every `stride`-th row and column, from `phase` on, is looked at.
    pub(super) stride: usize,
    pub(super) phase: (usize, usize),
    /// The products of each phase that nobody needs, a bit each.
    pub(super) left_out: [u64; 4],
    /// Products of a tile in one dimension, and its outputs.
    pub(super) points: usize,
    pub(super) m: usize,
    /// First tile row, tile rows, tiles in a row.
    pub(super) first: usize,
    pub(super) rows: usize,
    pub(super) columns: usize,
}

/// Elements behind an array, for the last vector of the widest registers.
const SLACK: usize = 16;
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

    /// The row of the plane that line `j` of the tile rows shows, if there were no border.
    fn position(&self, j: usize) -> isize {
        (self.stride * (self.first * self.m + j) + self.phase.0) as isize - self.padding[0] as isize
    }

    /// The rows of the plane that the tile rows read, in all phases.
    pub(super) fn reads(&self) -> Rows {
        let lines = 0..(self.rows - 1) * self.m + self.points;
        let positions = lines.flat_map(|j| (0..self.stride).map(move |phase| self.position(j) + phase as isize));
        seen(self.mode, positions, self.h)
    }

    /// Rows of a phase, the tile's extent being `extent` pixels.
    fn phase_rows(&self, extent: usize) -> usize {
        self.rows + (extent - 1) / self.m
    }

    /// Distance of two arrays, whose last vectors may reach over their ends.
    fn array(&self, extent: usize) -> usize {
        self.phase_rows(extent) * self.columns + SLACK
    }

    /// Lays a plane out for tiles of `extent` pixels (see the module).
    ///
    /// # Safety
    /// The caller has the instruction set of `S`; `to` holds [`Tiles::laid_out`] elements, and a plane its `h` by `w`.
    #[inline(always)]
    unsafe fn lay_out<S: Simd>(&self, plane: &[f32], extent: usize, to: &mut [f32]) {
        let (m, columns, array) = (self.m, self.columns, self.array(extent));
        // A padded row of the plane, so that the strided copies below need no borders, and room for whole vectors.
        let width = (columns - 1) * m + extent;
        let reach = (columns.next_multiple_of(S::LANES) + 1) * m;
        let mut row = [0.0f32; 1024];
        let mut long = Vec::new();
        let row = if reach <= row.len() {
            &mut row[..reach]
        } else {
            long.resize(reach, 0.0);
            &mut long[..]
        };
        for j in 0..(self.rows - 1) * m + extent {
            let (phase, line) = (j % m, j / m);
            // SAFETY: `extent` is at most `2 · m`, so that the row is `width` long; a line's vectors reach over its end into the next line, which is
            // written later, or into the slack behind the array.
            unsafe {
                match source(self.mode, self.position(j), self.h) {
                    Some(y) => {
                        self.padded_row::<S>(&plane[(y - self.held.first) * self.w..][..self.w], &mut row[..width]);
                    }
                    None => row.fill(0.0),
                }
                let to = to.as_mut_ptr().add(phase * extent * array + line * columns);
                match m {
                    4 => take_apart::<S, 4>(row, extent, columns, to, array),
                    3 => take_apart::<S, 3>(row, extent, columns, to, array),
                    _ => take_apart::<S, 2>(row, extent, columns, to, array),
                }
            }
        }
    }

    /// # Safety
    /// The caller has the instruction set of `S`.
    #[inline(always)]
    unsafe fn padded_row<S: Simd>(&self, from: &[f32], to: &mut [f32]) {
        let (stride, phase, padding) = (self.stride, self.phase.1, self.padding[1]);
        let left = padding.saturating_sub(phase).div_ceil(stride).min(to.len());
        let first = (stride * left + phase).saturating_sub(padding);
        let inner = self.w.saturating_sub(first).div_ceil(stride).min(to.len() - left);
        if stride == 1 {
            to[left..left + inner].copy_from_slice(&from[first..first + inner]);
        } else if inner > 0 {
            let (to, from) = (&mut to[left..left + inner], &from[first..]);
            let whole = (from.len() / 2).min(inner) / S::LANES * S::LANES;
            for i in (0..whole).step_by(S::LANES) {
                // SAFETY: `whole` elements of `to`, and twice as many of `from`, exist.
                unsafe {
                    let pairs = std::array::from_fn(|k| S::load(from.as_ptr().add(2 * i + k * S::LANES)));
                    S::store(to.as_mut_ptr().add(i), S::deal::<2>(pairs)[0]);
                }
            }
            to[whole..].iter_mut().zip(from[2 * whole..].chunks(2)).for_each(|(to, from)| *to = from[0]);
        }
        for x in (0..left).chain(left + inner..to.len()) {
            let x_from = (stride * x + phase) as isize - padding as isize;
            to[x] = source(self.mode, x_from, self.w).map_or(0.0, |x| from[x]);
        }
        if self.act != Act::Identity {
            by_act!(self.act, A => for x in to.iter_mut() {
                *x = A.of(*x);
            });
        }
    }

    /// Elements of a channel's layout, with slack for whole vectors.
    fn laid_out(&self, extent: usize) -> usize {
        self.m.min(extent) * extent * self.array(extent) + SLACK
    }
}

/// Takes a row apart: pixel b of `columns` tiles, `M` pixels from one another, goes to the array at `b · array`, for the `extent` pixels of a tile.
///
/// # Safety
/// The row holds `M` elements for one more than `columns`, filled up to whole vectors, `to` as many vectors to each array; `extent` is at most
/// `2 · M`, and the caller has the instruction set of `S`.
#[inline(always)]
unsafe fn take_apart<S: Simd, const M: usize>(row: &[f32], extent: usize, columns: usize, to: *mut f32, array: usize) {
    for i in (0..columns).step_by(S::LANES) {
        // The pixels from the M-th on are those of the right neighbor.
        for tile in 0..extent.div_ceil(M) {
            // SAFETY: by this function's contract.
            unsafe {
                let from = row.as_ptr().add(M * (i + tile));
                let parts = S::deal::<M>(std::array::from_fn(|k| S::load(from.add(k * S::LANES))));
                for (b, &part) in parts.iter().enumerate().take(extent - tile * M) {
                    S::store(to.add((tile * M + b) * array + i), part);
                }
            }
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
    /// Where the image's tiles begin.
    pub(super) first: usize,
    pub(super) to: crate::cpu::planes::Shared<f32>,
}

impl Destination<'_> {
    fn check(&self, points: usize) {
        assert!(self.channel < self.layout.channels && self.to.len() >= points * points * self.layout.product());
    }
}

simd_entry! {
    fn input_tiles[S](t: &Tiles, plane: &[f32], arrays: &mut [f32], to: Destination<'_>) {
        assert!(arrays.len() >= t.laid_out(t.points));
        // SAFETY: the length was checked; the entry has the instruction set.
        unsafe { t.lay_out::<S>(plane, t.points, arrays) };
        let array = t.array(t.points);
        let left_out = t.left_out[t.phase.0 * t.stride + t.phase.1];
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
                        store::<S, $n>(both!(S, input::<$n>, d, $n, $n), left_out, q, to);
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
        assert!(arrays.len() >= t.laid_out(t.m));
        // SAFETY: as for the input's tiles.
        unsafe { t.lay_out::<S>(plane, t.m, arrays) };
        let array = t.array(t.m);
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
                        store::<S, $n>(both!(S, output_adjoint::<$n, $m>, y, $m, $n), 0, q, to)
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
unsafe fn store<S: Simd, const N: usize>(tile: [[S::V; N]; N], left_out: u64, q: usize, to: Destination<'_>) {
    let (at, step) = (to.layout.at(to.channel, to.first + q), to.layout.product());
    for (i, &v) in tile.as_flattened().iter().enumerate() {
        if N < 6 && left_out >> i & 1 == 1 {
            continue;
        }
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
    /// Size of a plane of the result, and the rows of it that are computed.
    pub(super) h: usize,
    pub(super) w: usize,
    pub(super) made: Rows,
    /// A plane of the result is `stride · stride` planes of products, its phases: pixel (y, x) is the pixel
    /// ((y + padding) div stride, (x + padding) div stride) of the phase of the remainders.
    pub(super) stride: usize,
    pub(super) padding: usize,
    /// Whether the tiles of each phase begin at its first pixel that is part of the result. Then every phase has tiles of the input of its own.
    pub(super) shifted: bool,
    /// The products of each phase that were left out because they are zero, a bit each.
    pub(super) left_out: [u64; 4],
}

impl Output {
    /// Size of a phase.
    fn phase(&self) -> (usize, usize) {
        ((self.h - 1 + self.padding) / self.stride + 1, (self.w - 1 + self.padding) / self.stride + 1)
    }

    /// Where the tiles of a phase, an even or an odd one, begin in it.
    pub(super) fn start(&self, phase: usize) -> usize {
        if self.shifted { self.padding.saturating_sub(phase).div_ceil(self.stride) } else { 0 }
    }

    /// The most rows and columns of a phase from where its tiles begin.
    pub(super) fn tiled(&self) -> (usize, usize) {
        let most = |size: usize| {
            let ends = (0..self.stride)
                .map(|phase| (size - 1 + self.padding).saturating_sub(phase) / self.stride + 1 - self.start(phase));
            ends.max().unwrap_or(0)
        };
        (most(self.h), most(self.w))
    }
}

/// Transforms a channel's products, those of the image whose tiles begin at `first`, back, `Aᵀ m A`, adds `start`, and writes the tiles' pixels to the plane `[made, w]` of
/// outputs (tiles reach over its right and lower border).
#[allow(clippy::too_many_arguments)]
pub(super) fn transform_output(
    isa: Isa,
    t: &Tiles,
    products: &[f32],
    layout: &Layout,
    (channel, first): (usize, usize),
    start: f32,
    out: &mut [f32],
    size: Output,
) {
    let Output { h, w, made, stride, padding, left_out, shifted } = size;
    let phases = stride * stride;
    let channels = layout.channels / phases;
    assert!(products.len() >= t.points.pow(2) * layout.product() && channel < channels);
    let plane = t.m * t.m * layout.tiles;
    let mut arrays = Scratch::take(phases * plane + SLACK);
    for (phase, arrays) in arrays.chunks_exact_mut(plane).enumerate() {
        output_tiles(isa, t, products, layout, phase * channels + channel, first, left_out[phase], arrays);
    }
    let columns = size.phase().1;
    let mut parts = Scratch::take(stride * columns);
    let lines = t.first * t.m * stride..(t.first + t.rows) * t.m * stride;
    // Tiles that are shifted are all there are.
    let rows =
        if shifted { 0..h } else { lines.start.max(padding) - padding..(lines.end - padding.min(lines.end)).min(h) };
    for y in rows {
        let (phase, i) = ((y + padding) % stride, (y + padding) / stride);
        let i = i - size.start(phase);
        let (line, a) = (i / t.m - t.first, i % t.m);
        let row = &mut out[(y - made.first) * w..][..w];
        let pixels = |phase: usize, to: &mut [f32]| {
            let arrays = &arrays[phase * plane + a * t.m * layout.tiles..][..t.m * layout.tiles + SLACK];
            interleave(isa, arrays, layout.tiles, line * t.columns, t.m, start, to);
        };
        if stride == 1 {
            pixels(0, row);
            continue;
        }
        for (p, part) in parts.chunks_exact_mut(columns).enumerate() {
            let part = &mut part[size.start(p)..];
            let tiled = part.len().min(t.columns * t.m);
            pixels(phase * stride + p, &mut part[..tiled]);
        }
        weave(isa, &parts, columns, padding, row);
    }
}

simd_entry! {
    /// Even and odd columns, each of `columns` elements, become a row without its first `padding` elements.
    fn weave[S](parts: &[f32], columns: usize, padding: usize, row: &mut [f32]) {
        let (even, odd) = parts.split_at(columns);
        let skipped = padding / 2;
        let (mut even, mut odd, mut row) = (&even[skipped..], &odd[skipped..], row);
        if padding % 2 == 1 {
            // The row begins with an odd column.
            row[0] = odd[0];
            (even, odd, row) = (&even[1..], &odd[1..], &mut row[1..]);
        }
        let pairs = row.len() / 2;
        let (row, last) = row.split_at_mut(2 * pairs);
        let whole = pairs.min(odd.len()) / S::LANES * S::LANES;
        for i in (0..whole).step_by(S::LANES) {
            // SAFETY: so many elements of all three exist; the entry has the instruction set.
            unsafe {
                let pairs = S::gather::<2>([S::load(even.as_ptr().add(i)), S::load(odd.as_ptr().add(i))]);
                S::store(row.as_mut_ptr().add(2 * i), pairs[0]);
                S::store(row.as_mut_ptr().add(2 * i + S::LANES), pairs[1]);
            }
        }
        for ((o, &e), &d) in row[2 * whole..].chunks_exact_mut(2).zip(&even[whole..pairs]).zip(&odd[whole..pairs]) {
            o[0] = e;
            o[1] = d;
        }
        if let [last] = last {
            *last = even[pairs];
        }
    }
}

simd_entry! {
    /// Puts a row together from the columns of its tiles, the m parts at `at` of every array, and adds `start`.
    pub(super) fn interleave[S](arrays: &[f32], array: usize, at: usize, m: usize, start: f32, row: &mut [f32]) {
        assert!(arrays.len() >= (m - 1) * array + at + row.len().div_ceil(m).next_multiple_of(S::LANES));
        macro_rules! whole {
            ($m:tt) => {
                for (i, row) in row.chunks_mut($m * S::LANES).enumerate() {
                    // SAFETY: the arrays' lengths were checked, the row's is compared; the entry has the instruction set.
                    unsafe {
                        let part = |b: usize| S::load(arrays.as_ptr().add(b * array + at + i * S::LANES));
                        let parts: [S::V; $m] = std::array::from_fn(|b| S::add(part(b), S::splat(start)));
                        let pixels = S::gather::<$m>(parts);
                        let mut rest = [0.0f32; $m * SLACK];
                        let whole = row.len() == $m * S::LANES;
                        let to = if whole { row.as_mut_ptr() } else { rest.as_mut_ptr() };
                        for (k, &pixels) in pixels.iter().enumerate() {
                            S::store(to.add(k * S::LANES), pixels);
                        }
                        if !whole {
                            row.copy_from_slice(&rest[..row.len()]);
                        }
                    }
                }
            };
        }
        match m {
            4 => whole!(4),
            3 => whole!(3),
            _ => whole!(2),
        }
    }
}

simd_entry! {
    fn output_tiles[S](t: &Tiles, products: &[f32], layout: &Layout, channel: usize, first: usize, left_out: u64, arrays: &mut [f32]) {
        for q in (0..t.count()).step_by(S::LANES) {
            let (at, step) = (layout.at(channel, first + q), layout.product());
            // SAFETY: inside the checked lengths; the entry has the instruction set.
            unsafe {
                let to = arrays.as_mut_ptr().add(q);
                macro_rules! tile {
                    ($n:tt, $m:tt) => {{
                        let mut d = [[S::zero(); $n]; $n];
                        for (i, d) in d.as_flattened_mut().iter_mut().enumerate() {
                            if $n < 6 && left_out >> i & 1 == 1 {
                                continue;
                            }
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
