//! From the output's gradient to that of the labels' weights.
#![allow(unsafe_code)]
use super::{Geometry, Labels, PIXELS, Part, Table, by_registers};
use crate::cpu::elementwise::CHUNK;
use crate::cpu::real::Real;
use crate::cpu::simd::{Simd, simd_entry};
use crate::dispatch::{ConvAlgorithm, forced, isa};
use crate::scratch::Scratch;
use rayon::prelude::*;

/// Parts in which the gradient is summed, and the least rows of one.
const PARTS: usize = 16;
const LEAST_ROWS: usize = 8;

/// Adds the gradient of the labels' weights to `into` `[co, ci, kh, kw]`.
pub(crate) fn backward_weight<T: Real>(g: &Geometry, labels: Labels, dy: &[T], into: &mut [T]) {
    if dy.is_empty() {
        return;
    }
    if let (Some(dy), false) = (T::as_f32(dy), forced() == Some(ConvAlgorithm::Portable))
        && let Some(into) = T::as_f32_mut(into)
    {
        return vectorised_gradient(g, labels, dy, into);
    }
    portable_gradient(g, labels, dy, into);
}

fn portable_gradient<T: Real>(g: &Geometry, labels: Labels, dy: &[T], into: &mut [T]) {
    let (taps, pixels) = (g.kh * g.kw, g.ho * g.wo);
    into.par_chunks_mut(g.taps()).enumerate().for_each(|(c, into)| {
        for (at, &v) in dy.chunks(pixels).enumerate().skip(c).step_by(g.co).flat_map(|(plane, dy)| {
            let first = plane / g.co * pixels;
            dy.iter().enumerate().map(move |(i, v)| (first + i, v))
        }) {
            let (image, oy, ox) = (at / pixels, at % pixels / g.wo, at % g.wo);
            for tap in 0..taps {
                let row = g.source_row(oy * g.stride + tap / g.kw);
                let column = g.source_column(ox * g.stride + tap % g.kw);
                let label = labels.at(g, image, row, column);
                if label < labels.classes {
                    into[label * taps + tap] += v;
                }
            }
        }
    });
}

fn vectorised_gradient(g: &Geometry, labels: Labels, dy: &[f32], into: &mut [f32]) {
    let isa = isa();
    let table = Table::new(g, labels.classes, isa);
    let rows = g.n * g.ho;
    let each = rows.div_ceil(PARTS).max(LEAST_ROWS);
    let parts = rows.div_ceil(each);
    let mut sums = Scratch::take(parts * table.len());
    sums.par_chunks_mut(table.len()).enumerate().for_each(|(part, sums)| {
        sums.fill(0.0);
        let mut tile = Scratch::take(PIXELS * table.pitch);
        for row in part * each..rows.min((part + 1) * each) {
            let offsets = table.offsets(g, labels, row / g.ho, row % g.ho);
            for x in (0..g.wo).step_by(PIXELS) {
                let part = Part { row, x, count: PIXELS.min(g.wo - x) };
                collect(isa, g, &table, part, dy, &mut tile);
                scatter(isa, g, &table, part, &tile, &offsets, sums);
            }
        }
    });
    let (total, others) = sums.split_at_mut(table.len());
    total.par_chunks_mut(CHUNK).enumerate().for_each(|(i, total)| {
        for other in others.chunks(table.len()) {
            let other = &other[i * CHUNK..][..total.len()];
            total.iter_mut().zip(other).for_each(|(total, v)| *total += v);
        }
    });
    let total = &*total;
    into.par_chunks_mut(g.taps()).enumerate().for_each(|(c, into)| {
        for (i, into) in into[..labels.classes * table.taps].iter_mut().enumerate() {
            *into += total[i % table.taps * table.tap() + i / table.taps * table.pitch + c];
        }
    });
}

simd_entry! {
    /// Fills the tile `[pixels][pitch]` from the planes of the gradient; the channels beyond the last are arbitrary.
    fn collect[S](g: &Geometry, table: &Table, part: Part, dy: &[f32], tile: &mut [f32]) {
        let (image, oy) = (part.row / g.ho, part.row % g.ho);
        let at = |c: usize, x: usize| ((image * g.co + c) * g.ho + oy) * g.wo + part.x + x;
        assert!(tile.len() >= PIXELS * table.pitch && at(g.co - 1, part.count) <= dy.len());
        let (columns, channels) = (part.count / S::LANES * S::LANES, g.co / S::LANES * S::LANES);
        for x in (0..columns).step_by(S::LANES) {
            for c in (0..channels).step_by(S::LANES) {
                // SAFETY: whole squares of the planes and of the tile, by the lengths checked above.
                unsafe {
                    let to = tile.as_mut_ptr().add(x * table.pitch + c);
                    S::transpose(dy.as_ptr().add(at(c, x)), g.ho * g.wo, to, table.pitch);
                }
            }
        }
        for c in 0..g.co {
            let first = if c < channels { columns } else { 0 };
            for x in first..part.count {
                tile[x * table.pitch + c] = dy[at(c, x)];
            }
        }
    }
}

simd_entry! {
    /// Adds a tile to the sums of the labels that its pixels see, run by run of equal labels.
    fn scatter[S](
        g: &Geometry,
        table: &Table,
        part: Part,
        tile: &[f32],
        offsets: &[u32],
        sums: &mut [f32],
    ) {
        assert!(sums.len() == table.len() && tile.len() >= PIXELS * table.pitch && part.x + part.count <= g.wo);
        assert!(offsets.len() == g.kh * g.padded_w() && part.count <= PIXELS && table.pitch.is_multiple_of(S::LANES));
        // SAFETY: as in `gather`.
        unsafe {
            by_registers!(S, table.pitch, first, N => scatter_block::<S, N>(
                g,
                table,
                part,
                tile.as_ptr().add(first),
                offsets,
                sums.as_mut_ptr().add(first),
            ));
        }
    }
}

/// # Safety
/// As for [`Simd`]; all pointers are good for what the table's sizes say.
#[inline(always)]
unsafe fn scatter_block<S: Simd, const N: usize>(
    g: &Geometry,
    table: &Table,
    part: Part,
    tile: *const f32,
    offsets: &[u32],
    sums: *mut f32,
) {
    // SAFETY: the caller's promise.
    unsafe {
        let width = g.padded_w();
        for tap in 0..table.taps {
            let seen = offsets.as_ptr().add(tap / g.kw * width + part.x * g.stride + tap % g.kw);
            let mut i = 0;
            while i < part.count {
                let label = *seen.add(i * g.stride);
                let mut run = [S::zero(); N];
                while i < part.count && *seen.add(i * g.stride) == label {
                    for (j, run) in run.iter_mut().enumerate() {
                        *run = S::add(*run, S::load(tile.add(i * table.pitch + j * S::LANES)));
                    }
                    i += 1;
                }
                let to = sums.add(tap * table.tap() + label as usize);
                for (j, run) in run.iter().enumerate() {
                    let to = to.add(j * S::LANES);
                    S::store(to, S::add(S::load(to), *run));
                }
            }
        }
    }
}
