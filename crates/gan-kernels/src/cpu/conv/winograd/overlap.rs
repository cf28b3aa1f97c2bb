//! Backward to the data where the border shows the image: the adjoint of the forward pass, transform by transform.
//!
//! A filter from the small end to the padded big end needs tiles for all of it, 25 for 16x16 pixels and a border of one. The adjoint has one for each tile of the
//! forward pass, 16: tiles of the gradient, transformed as for the weights (`A dy Aᵀ`), are multiplied by the forward pass's transformed weights and become tiles of `Bᵀ`'s
//! extent (`B m Bᵀ`), which overlap and are added.
#![allow(unsafe_code)]
use super::few_tiles;
use super::points::both;
use super::tiles::{Destination, Layout, Tiles, interleave, transform_gradient};
use super::weights::Weights;
use super::{Factors, block_rows, points};
use crate::cpu::conv::fold::fold;
use crate::cpu::conv::tile::TileShape;
use crate::cpu::elementwise::for_overwrite;
use crate::cpu::planes::Shared;
use crate::cpu::simd::{prefetch, simd_entry};
use crate::isa::Isa;
use crate::scratch::Scratch;
use crate::spec::act::Act;
use crate::spec::conv::PadMode;
use crate::spec::geometry::Geometry;
use crate::spec::rows::Rows;
use crate::weight::Weight;
use rayon::prelude::*;

/// Elements behind an array, for the last vector of the widest registers.
const SLACK: usize = 16;
/// Elements that products are asked for in advance.
const AHEAD: usize = 64;

/// From the small end to the big end of a convolution with stride 1, with a bias per channel of the big end.
pub(super) fn backward_data(
    isa: Isa,
    g: &Geometry,
    dy: &[f32],
    w: &[f32],
    weight: &Weight,
    bias: Option<&[f32]>,
) -> Vec<f32> {
    let mut weights = Weights::new(isa, g, true, points(g));
    weights.turned = false;
    let (points, m) = (weights.points, weights.points + 1 - weights.taps());
    let (all, columns) = (g.ho.div_ceil(m), g.wo.div_ceil(m));
    let together = few_tiles::are_few(g.n, all * columns);
    let planes = weights.inputs() + weights.outputs();
    let fit = block_rows(all, points * points, planes * columns, weights.inputs() * weights.outputs());
    let (images, fit) = if together { (g.n, all) } else { (1, fit) };
    let u = Factors::new(isa, &weights, images == g.n && fit == all, all * columns, w, weight);
    let tiles = |first: usize| {
        let (h, w, held, rows) = (g.ho, g.wo, Rows::all(g.ho), fit.min(all - first));
        let (padding, mode, act, stride, phase, left_out) = ([0; 2], PadMode::Zero, Act::Identity, 1, (0, 0), [0; 4]);
        Tiles { h, w, held, padding, mode, act, stride, phase, left_out, points, m, first, rows, columns }
    };
    let area = g.padded_h() * g.padded_w();
    let mut padded = Scratch::take(images * g.ci * area);
    let mut out = for_overwrite(g.n * g.ci * g.h * g.w);
    for (dy, out) in dy.chunks(images * g.co * g.ho * g.wo).zip(out.chunks_mut(images * g.ci * g.h * g.w)) {
        for first in (0..all).step_by(fit) {
            block(isa, g, &tiles(first), images, dy, (&weights, &u), &mut padded);
        }
        out.par_chunks_mut(g.h * g.w).zip(padded.par_chunks(area)).enumerate().for_each(|(i, (out, padded))| {
            fold(g, padded, out, bias.map_or(0.0, |b| b[i % g.ci]));
        });
    }
    out
}

/// Some tile rows of some images.
fn block(
    isa: Isa,
    g: &Geometry,
    t: &Tiles,
    images: usize,
    dy: &[f32],
    (weights, u): (&Weights, &Factors<'_>),
    padded: &mut [f32],
) {
    let (image, products) = (t.count().next_multiple_of(isa.lanes()), t.points * t.points);
    let panel = TileShape::of(isa, usize::MAX).pixels;
    let from = Layout::new(isa, g.co, images * image, Some(panel));
    let to = Layout::new(isa, weights.outputs(), images * image, None);
    let mut v = Scratch::take(products * from.product());
    let shared = Shared::new(&mut v);
    dy.par_chunks(g.ho * g.wo).enumerate().for_each(|(i, plane)| {
        let (channel, first) = (i % g.co, i / g.co * image);
        transform_gradient(isa, t, plane, Destination { layout: &from, channel, first, to: shared });
    });
    let mut results = Scratch::take(products * to.product());
    u.multiply(isa, weights, &v, &from, &mut results, &to);
    let inner: Vec<f32> = (0..image).map(|q| f32::from(u8::from(q % t.columns > 0))).collect();
    padded.par_chunks_mut(g.padded_h() * g.padded_w()).enumerate().for_each(|(i, plane)| {
        add_up(isa, t, &results, &to, (i % g.ci, i / g.ci * image), &inner, plane, g.padded_w());
    });
}

/// Transforms a channel's products, those of the image whose tiles begin at `first`, back, `B m Bᵀ`, and adds the tiles, which overlap, up to rows of the padded
/// plane. The first rows of tile rows that are not the first ones are added to what is there. `inner`: see [`overlap`].
#[allow(clippy::too_many_arguments)]
fn add_up(
    isa: Isa,
    t: &Tiles,
    products: &[f32],
    layout: &Layout,
    (channel, first): (usize, usize),
    inner: &[f32],
    out: &mut [f32],
    width: usize,
) {
    let (n, m, columns) = (t.points, t.m, t.columns);
    let over = n - m;
    // Zeros in front of every array stand for the tiles above and left of the first one.
    let lead = columns + 1;
    let array = lead + t.count().next_multiple_of(isa.lanes()) + SLACK;
    let mut arrays = Scratch::take(n * n * array);
    arrays.chunks_exact_mut(array).for_each(|array| array[..lead].fill(0.0));
    spread_tiles(isa, t, products, layout, channel, first, &mut arrays, array, lead);
    overlap(isa, t, inner, &mut arrays, array, lead);
    let mut line = Scratch::take(width.max(m * columns) + over);
    let at = |a: usize, b: usize, tile: usize| arrays[(a * n + b) * array + lead + tile];
    for (y, row) in out.chunks_exact_mut(width).skip(t.first * m).take(t.rows * m + over).enumerate() {
        // The line of the tile row that begins last, and what the one above has beyond that.
        let (i, a) = if y < t.rows * m { (y / m, y % m) } else { (t.rows - 1, y - (t.rows - 1) * m) };
        let tile = i * columns;
        interleave(isa, &arrays[a * n * array + lead..], array, tile, m, 0.0, &mut line[..m * columns]);
        for b in 0..over {
            if a >= m {
                for j in 1..columns {
                    line[j * m + b] += at(a, m + b, tile + j - 1);
                }
            }
            let last = tile + columns - 1;
            let above = if a < over && i > 0 { at(a + m, m + b, last - columns) } else { 0.0 };
            line[m * columns + b] = at(a, m + b, last) + above;
        }
        if t.first > 0 && y < over {
            row.iter_mut().zip(line.iter()).for_each(|(row, &line)| *row += line);
        } else {
            row.copy_from_slice(&line[..width]);
        }
    }
}

simd_entry! {
    /// Pixel (a, b) of the transformed tiles goes to array `a · N + b`, from its place `lead` on.
    fn spread_tiles[S](t: &Tiles, products: &[f32], layout: &Layout, channel: usize, first: usize, arrays: &mut [f32], array: usize, lead: usize) {
        assert!(products.len() >= t.points.pow(2) * layout.product() && channel < layout.channels);
        assert!(t.points == 6 && arrays.len() >= 36 * array && array >= lead + t.count().next_multiple_of(S::LANES));
        for q in (0..t.count()).step_by(S::LANES) {
            let (at, step) = (layout.at(channel, first + q), layout.product());
            // SAFETY: inside the checked lengths; the entry has the instruction set.
            unsafe {
                let mut d = [[S::zero(); 6]; 6];
                for (i, d) in d.as_flattened_mut().iter_mut().enumerate() {
                    let place = products.as_ptr().add(i * step + at);
                    prefetch(place.wrapping_add(AHEAD));
                    *d = S::load(place);
                }
                for (i, &x) in both!(S, input_adjoint::<6>, d, 6, 6).as_flattened().iter().enumerate() {
                    S::store(arrays.as_mut_ptr().add(i * array + lead + q), x);
                }
            }
        }
    }
}

simd_entry! {
    /// Adds what tiles have in common to the first `m` lines and columns of the later one. `inner` is zero for tiles that have none on their left, and else one.
    fn overlap[S](t: &Tiles, inner: &[f32], arrays: &mut [f32], array: usize, lead: usize) {
        let (n, m, columns) = (t.points, t.m, t.columns);
        assert!(lead > columns && arrays.len() >= n * n * array && array >= lead + t.count().next_multiple_of(S::LANES));
        assert!(inner.len() >= t.count().next_multiple_of(S::LANES));
        for q in (0..t.count()).step_by(S::LANES) {
            for a in 0..m {
                for b in 0..m {
                    let (above, left) = (a < n - m, b < n - m);
                    if !above && !left {
                        continue;
                    }
                    // SAFETY: inside the checked lengths: arrays begin `lead` elements before their first tile. Those that are read here are not
                    // written. The entry has the instruction set.
                    unsafe {
                        let of = |a: usize, b: usize| arrays.as_ptr().add((a * n + b) * array + lead + q);
                        let mut sum = S::load(of(a, b));
                        if above {
                            sum = S::add(sum, S::load(of(a + m, b).sub(columns)));
                        }
                        if left {
                            let mut beside = S::load(of(a, b + m).sub(1));
                            if above {
                                beside = S::add(beside, S::load(of(a + m, b + m).sub(columns + 1)));
                            }
                            sum = S::fma(S::load(inner.as_ptr().add(q)), beside, sum);
                        }
                        S::store(arrays.as_mut_ptr().add((a * n + b) * array + lead + q), sum);
                    }
                }
            }
        }
    }
}
