//! The fastest algorithm of a shape, by trying ([`tuning`]).

use super::epilogue::Epilogue;
use super::joined::Joined;
use super::{Pass, backward_data_by, backward_weight_by, forward_by, serves};
use crate::dispatch::{ConvAlgorithm, isa};
use crate::spec::geometry::Geometry;
use crate::tuning::{Tuning, Weights};
use crate::weight::{Version, Weight};
use candle_core::{DType, Device, Tensor};
use rayon::prelude::*;
use std::time::Instant;

/// Turns of two algorithms that count.
const ROUNDS: usize = 6;
/// The part of the time of the rule's choice that another one must stay below in every turn.
const CLEARLY: f64 = 0.95;
/// Elements that are read between two runs (64 MiB).
const ELSEWHERE: usize = 16 << 20;
/// Elements of the tensors at both ends of the largest convolution that is measured (256 MiB).
const LARGEST: usize = 64 << 20;

/// What `tuning` has for a shape, if it is one that is measured; `rule` is taken where nothing else is clearly faster.
pub(super) fn fastest(tuning: &Tuning, g: &Geometry, pass: Pass, rule: ConvAlgorithm) -> Option<ConvAlgorithm> {
    let Geometry { n, ci, co, h, w, ho, wo, kh, kw, stride, padding: [up, left], mode, math: _ } = *g;
    if n * (ci * h * w + co * ho * wo) > LARGEST {
        return None;
    }
    let (isa, weights) = (isa(), tuning.weights);
    let shape = format!(
        "{isa:?} {pass:?} weights {weights:?} n{n} {ci}x{h}x{w} {co}x{ho}x{wo} kernel {kh}x{kw} stride {stride} padding {up},{left} {mode:?}"
    );
    Some(tuning.algorithm(shape, || measure(g, pass, weights, rule))).filter(|named| serves(g, *named))
}

fn measure(g: &Geometry, pass: Pass, weights: Weights, rule: ConvAlgorithm) -> ConvAlgorithm {
    let Ok(values) = Tensor::zeros(0, DType::F32, &Device::Cpu) else { return rule };
    let version = Version::default();
    if weights == Weights::Change {
        version.bump();
    }
    let weight = Weight::new(values, version);
    let (x, y) = (vec![0.5f32; g.n * g.ci * g.h * g.w], vec![0.5f32; g.n * g.co * g.ho * g.wo]);
    let mut w = vec![0.5f32; g.co * g.taps()];
    let elsewhere = vec![0.5f32; ELSEWHERE];
    let mut run = |by| {
        let start = Instant::now();
        match pass {
            Pass::Forward => {
                drop(forward_by(by, g, &g.forward_span(), Joined::one(&x), &w, &weight, Epilogue::bias(None)));
            }
            Pass::BackwardData => drop(backward_data_by(by, g, &g.backward_span(), Joined::one(&y), &w, &weight, None)),
            Pass::BackwardWeight => _ = backward_weight_by(by, g, &x, &y, &mut w, true),
        }
        start.elapsed().as_secs_f64()
    };
    let others = [ConvAlgorithm::ImplicitGemm, ConvAlgorithm::Im2col, ConvAlgorithm::Winograd]
        .into_iter()
        .filter(|algorithm| *algorithm != rule && serves(g, *algorithm));
    let (mut best, mut least) = (rule, CLEARLY);
    for other in others {
        // Of the time that the rule's choice takes a moment before or after, the most of all rounds: on a shared machine a single round says little.
        let mut part = 0.0f64;
        for round in 0..ROUNDS + 2 {
            let [mut one, mut two] = [rule, other];
            if round % 2 == 1 {
                (one, two) = (two, one);
            }
            let [first, second] = [one, two].map(|algorithm| {
                evict(&elsewhere);
                run(algorithm)
            });
            // Packed weights are kept from the second time on.
            if round >= 2 {
                let ratio = second / first;
                part = part.max(if one == rule { ratio } else { 1.0 / ratio });
                if part >= least {
                    break;
                }
            }
        }
        if part < least {
            (best, least) = (other, part);
        }
    }
    best
}

/// Reads so much other memory that little of a layer is left in the caches, as between two uses of it in a network.
fn evict(elsewhere: &[f32]) {
    let sum: f32 = elsewhere.par_iter().step_by(16).sum();
    std::hint::black_box(sum);
}
