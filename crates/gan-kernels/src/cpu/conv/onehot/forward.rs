//! From labels to the output.
#![allow(unsafe_code)]
use super::{Geometry, Labels, PIXELS, Part, Rows, Table, by_registers};
use crate::cpu::planes::Shared;
use crate::cpu::real::Real;
use crate::cpu::simd::{Simd, simd_entry};
use crate::dispatch::{ConvAlgorithm, forced, isa};
use crate::scratch::Scratch;
use crate::weight::Form;
use crate::weight::Weight;
use rayon::prelude::*;

/// The labels' part of the rows `made` of a convolution: with the bias instead of what is in `out` `[n, co, made, wo]`, or added to it (the part of
/// other planes). The weight is `[co, ci, kh, kw]`, labels first.
#[allow(clippy::too_many_arguments)]
pub(crate) fn forward<T: Real>(
    g: &Geometry,
    made: Rows,
    labels: Labels,
    w: &[T],
    weight: &Weight,
    bias: Option<&[T]>,
    out: &mut [T],
    add: bool,
) {
    if let (Some(w), false) = (T::as_f32(w), forced() == Some(ConvAlgorithm::Portable))
        && let Some(out) = T::as_f32_mut(out)
    {
        return vectorised(g, made, labels, w, weight, bias.and_then(T::as_f32), out, add);
    }
    portable(g, made, labels, w, bias, out, add);
}

fn portable<T: Real>(g: &Geometry, made: Rows, labels: Labels, w: &[T], bias: Option<&[T]>, out: &mut [T], add: bool) {
    let taps = g.kh * g.kw;
    out.par_chunks_mut(made.count * g.wo).enumerate().for_each(|(plane, out)| {
        let (image, c) = (plane / g.co, plane % g.co);
        let w = &w[c * g.taps()..][..labels.classes * taps];
        for (i, out) in out.iter_mut().enumerate() {
            let mut sum = if add { *out } else { bias.map_or(T::zero(), |b| b[c]) };
            for tap in 0..taps {
                let row = g.source_row((made.first + i / g.wo) * g.stride + tap / g.kw);
                let column = g.source_column(i % g.wo * g.stride + tap % g.kw);
                let label = labels.at(g, image, row, column);
                if label < labels.classes {
                    sum += w[label * taps + tap];
                }
            }
            *out = sum;
        }
    });
}

#[allow(clippy::too_many_arguments)]
fn vectorised(
    g: &Geometry,
    made: Rows,
    labels: Labels,
    w: &[f32],
    weight: &Weight,
    bias: Option<&[f32]>,
    out: &mut [f32],
    add: bool,
) {
    let isa = isa();
    let table = Table::new(g, labels.classes, isa);
    let form = Form { name: "one-hot", numbers: [table.rows, table.pitch, 0, 0] };
    let packed = weight.packed(form, table.len(), |to| pack(g, &table, w, to));
    let mut start = vec![0.0; table.pitch];
    if let Some(bias) = bias.filter(|_| !add) {
        start[..g.co].copy_from_slice(bias);
    }
    let out = Shared::new(out);
    (0..g.n * made.count).into_par_iter().for_each(|row| {
        let offsets = table.offsets(g, labels, row / made.count, made.first + row % made.count);
        let mut tile = Scratch::take(PIXELS * table.pitch);
        for x in (0..g.wo).step_by(PIXELS) {
            let part = Part { row, x, count: PIXELS.min(g.wo - x) };
            gather(isa, g, &table, &packed, &start, &offsets, part, &mut tile);
            spread(isa, g, made.count, &table, part, &tile, out, add);
        }
    });
}

fn pack(g: &Geometry, table: &Table, w: &[f32], to: &mut [f32]) {
    to.par_chunks_mut(table.tap()).enumerate().for_each(|(tap, to)| {
        for (label, to) in to.chunks_mut(table.pitch).enumerate() {
            to.fill(0.0);
            if label + 1 < table.rows {
                for (c, to) in to[..g.co].iter_mut().enumerate() {
                    *to = w[(c * g.ci + label) * table.taps + tap];
                }
            }
        }
    });
}

simd_entry! {
    /// Fills the tile `[pixels][pitch]` of a part of a row.
    fn gather[S](
        g: &Geometry,
        table: &Table,
        packed: &[f32],
        start: &[f32],
        offsets: &[u32],
        part: Part,
        tile: &mut [f32],
    ) {
        assert!(packed.len() >= table.len() && start.len() == table.pitch && tile.len() >= PIXELS * table.pitch);
        assert!(offsets.len() == g.kh * g.padded_w() && part.x + part.count <= g.wo && part.count <= PIXELS);
        assert!(table.pitch.is_multiple_of(S::LANES));
        // SAFETY: offsets are rows of a tap's table, and everything else is inside its slice by the lengths checked above;
        // the entry has the instruction set.
        unsafe {
            by_registers!(S, table.pitch, first, N => gather_block::<S, N>(
                g,
                table,
                packed.as_ptr().add(first),
                start.as_ptr().add(first),
                offsets,
                part,
                tile.as_mut_ptr().add(first),
            ));
        }
    }
}

/// # Safety
/// As for [`Simd`]; all pointers are good for what the table's sizes say.
#[inline(always)]
unsafe fn gather_block<S: Simd, const N: usize>(
    g: &Geometry,
    table: &Table,
    packed: *const f32,
    start: *const f32,
    offsets: &[u32],
    part: Part,
    tile: *mut f32,
) {
    // SAFETY: the caller's promise.
    unsafe {
        let (width, tap) = (g.padded_w(), table.tap());
        for i in 0..part.count {
            let mut sum = [S::zero(); N];
            for (j, sum) in sum.iter_mut().enumerate() {
                *sum = S::load(start.add(j * S::LANES));
            }
            let mut rows = packed;
            for ky in 0..g.kh {
                let seen = offsets.as_ptr().add(ky * width + (part.x + i) * g.stride);
                for kx in 0..g.kw {
                    let row = rows.add(*seen.add(kx) as usize);
                    for (j, sum) in sum.iter_mut().enumerate() {
                        *sum = S::add(*sum, S::load(row.add(j * S::LANES)));
                    }
                    rows = rows.add(tap);
                }
            }
            for (j, sum) in sum.iter().enumerate() {
                S::store(tile.add(i * table.pitch + j * S::LANES), *sum);
            }
        }
    }
}

simd_entry! {
    /// Writes a tile `[pixels][pitch]` to the planes of the output, or adds it.
    fn spread[S](g: &Geometry, rows: usize, table: &Table, part: Part, tile: &[f32], out: Shared<f32>, add: bool) {
        let mut square = [0.0; 256];
        assert!(tile.len() >= PIXELS * table.pitch && table.pitch.is_multiple_of(S::LANES) && S::LANES * S::LANES <= square.len());
        let (image, oy) = (part.row / rows, part.row % rows);
        for c in (0..g.co).step_by(S::LANES) {
            for x in (0..part.count).step_by(S::LANES) {
                // SAFETY: the tile has room for a multiple of every register's length of pixels and of channels.
                unsafe {
                    S::transpose(tile.as_ptr().add(x * table.pitch + c), table.pitch, square.as_mut_ptr(), S::LANES);
                }
                let count = S::LANES.min(part.count - x);
                for (j, line) in square.chunks_exact(S::LANES).take(g.co - c).enumerate().take(S::LANES) {
                    let at = ((image * g.co + c + j) * rows + oy) * g.wo + part.x + x;
                    // SAFETY: the output is borrowed by the caller, and every task writes other rows.
                    let to = unsafe { out.part(at, count) };
                    if add {
                        to.iter_mut().zip(line).for_each(|(to, v)| *to += v);
                    } else {
                        to.copy_from_slice(&line[..count]);
                    }
                }
            }
        }
    }
}
