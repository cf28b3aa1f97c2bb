//! Convolution over slices.
//!
//! A convolution has a big end `[n, ci, h, w]` and a small end `[n, co, ho, wo]`. Three kernels serve it and its
//! transposed twin: `forward` goes from big to small, `backward_data` from small to big (it is also the transposed
//! convolution), `backward_weight` correlates the two.
mod epilogue;
mod fold;
mod im2col;
mod implicit_gemm;
mod joined;
mod measured;
pub(crate) mod onehot;
mod outer_product;
mod phase_planes;
mod phases;
mod portable;
mod small_spatial;
mod tile;
mod transpose;
mod weight_grad;
mod weight_grad_tile;
mod winograd;

pub(crate) use epilogue::Epilogue;
pub(crate) use joined::Joined;

use super::elementwise::{CHUNK, finite, sum};
use crate::cpu::real::Real;
use crate::dispatch::{ConvAlgorithm, forced, is_precise, isa};
use crate::spec::geometry::Geometry;
use crate::spec::rows::{Bands, Rows, Span};
use crate::tuning;
use crate::weight::Weight;
use rayon::prelude::*;

/// `into[c] += Σ dy[:, c]` for `dy` `[n, c, pixels]`.
pub(crate) fn bias_gradient<T: Real>(dy: &[T], pixels: usize, into: &mut [T]) {
    let (channels, isa) = (into.len(), isa());
    into.par_iter_mut().enumerate().for_each(|(c, into)| {
        let planes = dy.chunks(pixels).skip(c).step_by(channels);
        *into += T::of(planes.map(|plane| sum(isa, plane)).sum());
    });
}

/// Which of the three passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pass {
    Forward,
    BackwardData,
    BackwardWeight,
}

/// The algorithm for a shape: the one that is forced, if it can serve the shape, the one that was fastest on this machine, if such are
/// [measured](tuning), or the one that the rules name.
fn algorithm(g: &Geometry, pass: Pass) -> ConvAlgorithm {
    let pixels = g.n * g.ho * g.wo;
    if let Some(forced) = forced().filter(|forced| serves(g, *forced)) {
        return forced;
    }
    let rule = fastest(g, pass, pixels);
    let tuning = tuning::current().filter(|_| !is_precise() && g.n > 0);
    tuning.and_then(|tuning| measured::fastest(tuning, g, pass, rule)).unwrap_or(rule)
}

/// Whether an algorithm can do this convolution at all.
fn serves(g: &Geometry, algorithm: ConvAlgorithm) -> bool {
    match algorithm {
        // Its im2col matrix must be small.
        ConvAlgorithm::Im2col => g.n * g.ho * g.wo * g.taps() <= 1 << 24,
        ConvAlgorithm::Winograd => winograd::serves(g),
        ConvAlgorithm::Portable | ConvAlgorithm::ImplicitGemm => true,
    }
}

/// The table of the crate's documentation. Its limits come from timing all algorithms at the shapes of the networks, on
/// AVX2 and on AVX-512.
fn fastest(g: &Geometry, pass: Pass, pixels: usize) -> ConvAlgorithm {
    let weights = pass == Pass::BackwardWeight;
    let (channels, transformed) = (g.ci.min(g.co), winograd::weights_len(g));
    // Transforms pay for themselves when each transformed value is used often. With stride 2, whose products save less, it also counts that transformed
    // weights are read once for every image, unless tiles are so few that they are transformed piece by piece.
    let pays = match (g.stride, weights) {
        (1, true) => channels >= 64 && pixels >= 128,
        (1, false) => channels >= 32 && pixels >= 128,
        (_, true) => channels >= 64 && pixels >= 900,
        (_, false) => channels >= 64 && pixels >= 900 && transformed <= 7000 * pixels,
    };
    // Three points save nothing of a 3x3 kernel, whose phases are mostly of one tap.
    let small = g.kh == 4 && channels >= 64 && pixels >= 144 && winograd::is_small(g);
    if (pays || small) && winograd::serves(g) && !is_precise() {
        return ConvAlgorithm::Winograd;
    }
    // Reading the weights is a large part of the work, and packing them would double it.
    if g.taps() >= 256 && pixels <= 256 || weights && g.co >= 256 && pixels <= 512 {
        return ConvAlgorithm::Im2col;
    }
    ConvAlgorithm::ImplicitGemm
}

/// How a pass is computed in bands of rows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Banding {
    /// Where the output may be cut.
    pub(crate) bands: Bands,
    /// Elements of the packed weights.
    pub(crate) packed: usize,
    /// Elements of the working memory of a call, for any number of rows.
    pub(crate) working: usize,
}

/// How the pass from the big end to the small one (`forward`) or back, of F32, is computed in bands of rows.
pub(crate) fn banding(g: &Geometry, forward: bool) -> Banding {
    match algorithm(g, if forward { Pass::Forward } else { Pass::BackwardData }) {
        ConvAlgorithm::Winograd => winograd::banding(isa(), g, forward),
        ConvAlgorithm::ImplicitGemm => implicit_gemm::banding(isa(), g, forward),
        // The one is for small images, the other for comparisons.
        ConvAlgorithm::Im2col | ConvAlgorithm::Portable => Banding {
            bands: Bands::whole(if forward { g.ho } else { g.h }),
            packed: g.co * g.taps(),
            working: 2 * g.taps() * g.ho * g.wo,
        },
    }
}

/// The rows of the input that the rows `made` of the output, which are whole [`Banding::bands`], are computed from.
pub(crate) fn reads(g: &Geometry, forward: bool, made: Rows) -> Rows {
    match algorithm(g, if forward { Pass::Forward } else { Pass::BackwardData }) {
        ConvAlgorithm::Winograd => winograd::reads(isa(), g, forward, made),
        ConvAlgorithm::ImplicitGemm => implicit_gemm::reads(g, forward, made),
        ConvAlgorithm::Im2col | ConvAlgorithm::Portable => Rows::all(if forward { g.h } else { g.ho }),
    }
}

/// From the big end to the small end, with bias and activation. Of [`Span`], only what [`banding`] and [`reads`] say.
pub(crate) fn forward<T: Real>(
    g: &Geometry,
    span: &Span,
    x: Joined<'_, T>,
    w: &[T],
    weight: &Weight,
    epilogue: Epilogue<T>,
) -> Vec<T> {
    if g.n == 0 {
        return Vec::new();
    }
    match (x.f32(), T::as_f32(w)) {
        (Some(x), Some(w)) => {
            T::from_f32(forward_by(algorithm(g, Pass::Forward), g, span, x, w, weight, epilogue.f32()))
        }
        _ => portable::forward(g, &x.made(), w, epilogue),
    }
}

fn forward_by(
    algorithm: ConvAlgorithm,
    g: &Geometry,
    span: &Span,
    x: Joined<'_, f32>,
    w: &[f32],
    weight: &Weight,
    epilogue: Epilogue<f32>,
) -> Vec<f32> {
    match algorithm {
        ConvAlgorithm::Portable => portable::forward(g, &x.made(), w, epilogue),
        ConvAlgorithm::Im2col => im2col::forward(isa(), g, x, w, weight, epilogue),
        ConvAlgorithm::Winograd => winograd::forward(isa(), g, span, x, w, weight, epilogue),
        ConvAlgorithm::ImplicitGemm => implicit_gemm::forward(isa(), g, span, x, w, weight, epilogue),
    }
}

/// From the small end to the big end, with a bias per channel of the big end. Of [`Span`], only what [`banding`] and [`reads`] say.
pub(crate) fn backward_data<T: Real>(
    g: &Geometry,
    span: &Span,
    dy: Joined<'_, T>,
    w: &[T],
    weight: &Weight,
    bias: Option<&[T]>,
) -> Vec<T> {
    if g.n == 0 {
        return Vec::new();
    }
    match (dy.f32(), T::as_f32(w)) {
        (Some(dy), Some(w)) => {
            let algorithm = algorithm(g, Pass::BackwardData);
            T::from_f32(backward_data_by(algorithm, g, span, dy, w, weight, bias.and_then(T::as_f32)))
        }
        _ => portable::backward_data(g, &dy.made(), w, bias),
    }
}

fn backward_data_by(
    algorithm: ConvAlgorithm,
    g: &Geometry,
    span: &Span,
    dy: Joined<'_, f32>,
    w: &[f32],
    weight: &Weight,
    bias: Option<&[f32]>,
) -> Vec<f32> {
    match algorithm {
        ConvAlgorithm::Portable => portable::backward_data(g, &dy.made(), w, bias),
        ConvAlgorithm::Im2col => im2col::backward_data(isa(), g, dy, w, weight, bias),
        ConvAlgorithm::Winograd => winograd::backward_data(isa(), g, span, dy, w, weight, bias),
        ConvAlgorithm::ImplicitGemm => implicit_gemm::backward_data(isa(), g, span, dy, w, weight, bias),
    }
}

/// `into += ` gradient of the weight, or `into = ` it if `into` is `fresh`; tells whether the result is finite.
pub(crate) fn backward_weight<T: Real>(g: &Geometry, x: &[T], dy: &[T], into: &mut [T], fresh: bool) -> bool {
    if let (Some(x), Some(dy)) = (T::as_f32(x), T::as_f32(dy))
        && g.n > 0
        && let Some(into) = T::as_f32_mut(into)
    {
        return backward_weight_by(algorithm(g, Pass::BackwardWeight), g, x, dy, into, fresh);
    }
    portable_weight_gradient(g, x, dy, into, fresh)
}

fn backward_weight_by(
    algorithm: ConvAlgorithm,
    g: &Geometry,
    x: &[f32],
    dy: &[f32],
    into: &mut [f32],
    fresh: bool,
) -> bool {
    match algorithm {
        ConvAlgorithm::Portable => portable_weight_gradient(g, x, dy, into, fresh),
        ConvAlgorithm::Im2col => im2col::backward_weight(isa(), g, x, dy, into, fresh),
        ConvAlgorithm::Winograd => winograd::backward_weight(isa(), g, x, dy, into, fresh),
        ConvAlgorithm::ImplicitGemm => weight_grad::backward_weight(isa(), g, x, dy, into, fresh),
    }
}

fn portable_weight_gradient<T: Real>(g: &Geometry, x: &[T], dy: &[T], into: &mut [T], fresh: bool) -> bool {
    if fresh {
        into.fill(T::zero());
    }
    if g.n > 0 {
        portable::backward_weight(g, x, dy, into);
    }
    let isa = isa();
    into.par_chunks(CHUNK).all(|part| finite(isa, part))
}
