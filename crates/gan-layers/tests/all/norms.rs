//! Instance norm with scale and shift against its definition.
#![allow(clippy::unwrap_used, dead_code)]

use crate::network;

use candle_core::{DType, Result, Tensor};
use gan_kernels::optim::AdamStep;
use gan_layers::{
    Act, Builder, ConvSpec, Ctx, Init, Missing, NormKind, NormMode, ParamStore, Sequence, SequenceBuilder, Weights,
};
use network::{assert_close, check_gradients, ctx, device, gradients, images, key, noise, numbers, weighted};

fn alone(at: &Builder<'_>) -> Result<Sequence> {
    Ok(SequenceBuilder::new(at.clone()).norm(NormKind::InstanceAffine, 2)?.finish())
}

/// Every way in which a norm joins its neighbors: an activation, a convolution that computes its input again, a residual sum.
fn joined(at: &Builder<'_>) -> Result<Sequence> {
    let conv = |in_nc, out_nc| ConvSpec { in_nc, out_nc, kernel: 3, stride: 1, padding: 1, bias: true };
    let norm = NormKind::InstanceAffine;
    let s = SequenceBuilder::new(at.clone()).conv(conv(2, 3))?.norm(norm, 3)?.act(Act::LeakyRelu);
    let s = s.residual("conv_block", |s| {
        s.conv(conv(3, 3))?.norm(norm, 3)?.act(Act::Relu).conv(conv(3, 3))?.norm(norm, 3)
    })?;
    Ok(s.conv(conv(3, 2))?.norm(norm, 2)?.act(Act::Tanh).finish())
}

/// With scales and shifts that differ from one and zero.
fn drawn(build: fn(&Builder<'_>) -> Result<Sequence>) -> (ParamStore, Sequence) {
    let (store, net) = ParamStore::build(DType::F64, &device(), build).unwrap();
    store.init(&Init { init_gain: 0.3, ..Init::default() }, key()).unwrap();
    let state = store.state_dict("").unwrap();
    let moved = state.into_iter().zip(10..).map(|((name, t), seed)| {
        let t = if t.rank() == 1 { (&t + noise(t.dims(), seed)).unwrap() } else { t };
        (name, t)
    });
    store.load("", &moved.collect::<Vec<_>>(), Missing::Refuse).unwrap();
    (store, net)
}

/// `weight · (x − mean) / sqrt(var + 1e-5) + bias` with the mean and biased variance of each plane of `x` `[N, 2, H, W]`.
fn naive(x: &Tensor, weight: &[f64], bias: &[f64]) -> Vec<f64> {
    let (_, c, h, w) = x.dims4().unwrap();
    let plane = |(i, x): (usize, &[f64])| {
        let n = x.len() as f64;
        let mean = x.iter().sum::<f64>() / n;
        let var = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
        x.iter().map(|x| weight[i % c] * (x - mean) / (var + 1e-5).sqrt() + bias[i % c]).collect::<Vec<_>>()
    };
    numbers(x).chunks(h * w).enumerate().flat_map(plane).collect()
}

#[test]
fn outputs_are_those_of_the_definition_in_every_mode() {
    let (store, net) = drawn(alone);
    let state = store.state_dict("").unwrap();
    let names: Vec<(&str, &[usize])> = state.iter().map(|(n, t)| (n.as_str(), t.dims())).collect();
    assert_eq!(names, [("0.weight", &[2][..]), ("0.bias", &[2])]);
    let x = images(2, 1);
    let want = naive(&x, &numbers(&state[0].1), &numbers(&state[1].1));
    // There are no running statistics to use or to move.
    for norm in [NormMode::Batch { update: true }, NormMode::Batch { update: false }, NormMode::Running] {
        let y = net.forward(&x.detach(), &Ctx { norm, ..Ctx::translate() }).unwrap();
        assert_close(&numbers(&y), &want, 1e-12, &format!("{norm:?}"));
    }
}

#[test]
fn it_begins_as_the_norm_without_parameters() {
    let (store, affine) = ParamStore::build(DType::F64, &device(), alone).unwrap();
    store.init(&Init::default(), key()).unwrap();
    let plain = SequenceBuilder::new(Builder::shapes_only()).norm(NormKind::Instance, 2).unwrap().finish();
    let x = images(2, 1).detach();
    let run = |net: &Sequence| numbers(&net.forward(&x, &Ctx::translate()).unwrap());
    assert_eq!(run(&affine), run(&plain));
}

#[test]
fn gradients_are_those_of_central_differences() {
    for build in [alone, joined] {
        let (store, net) = drawn(build);
        for checkpointing in [false, true] {
            check_gradients(&store, &images(2, 1), |x, weights| {
                weighted(&net.forward(x, &Ctx { checkpointing, ..ctx(weights) }).unwrap(), 2)
            });
        }
    }
}

#[test]
fn a_bias_in_front_of_it_has_no_gradient() {
    let (store, net) = drawn(joined);
    weighted(&net.forward(&images(2, 1), &ctx(Weights::Train)).unwrap(), 2).backward().unwrap();
    let zeros = |name: &str| {
        let all = store.grad_dict("").unwrap();
        numbers(&all.iter().find(|(n, _)| n == name).unwrap().1).iter().all(|g| *g == 0.0)
    };
    for (bias, zero) in [("0.bias", true), ("1.bias", false), ("4.bias", true), ("5.bias", false)] {
        assert_eq!(zeros(bias), zero, "{bias}");
    }
}

#[test]
fn an_update_of_a_norm_alone_between_forward_and_backward_is_an_error() {
    let (store, net) = drawn(alone);
    let loss = weighted(&net.forward(&images(2, 1), &ctx(Weights::Train)).unwrap(), 2);
    store.adam(0..store.len(), &AdamStep { lr: 1e-3, beta1: 0.5, beta2: 0.999, eps: 1e-8, step: 1 }).unwrap();
    assert!(loss.backward().unwrap_err().to_string().contains("updated between"));
    assert!(gradients(&store).iter().all(|g| *g == 0.0));
}
