//! Batch norms folded into convolutions.
#![allow(clippy::unwrap_used, dead_code)]

use crate::network;

use candle_core::{DType, Result, Tensor};
use candle_nn::VarBuilder;
use gan_layers::{
    Act, BatchNorm, Builder, Conv, ConvSpec, Ctx, Init, NormKind, NormLayer, ParamStore, Sequence, SequenceBuilder,
    Summary,
};
use network::{assert_close, device, key, noise, numbers};
use std::collections::HashMap;

const EPS: f64 = 0.3;

/// Batch norms in every place: behind convolutions with and without bias at all depths, and where there is none to fold them into.
fn layers(at: &Builder<'_>) -> Result<Sequence> {
    let conv = |bias| ConvSpec { in_nc: 2, out_nc: 2, kernel: 3, stride: 1, padding: 1, bias };
    let s = SequenceBuilder::new(at.clone()).norm(NormKind::Batch, 2)?;
    let s = s.conv(conv(false))?.batch_norm(2, EPS)?.act(Act::Relu);
    let s = s.residual("block", |s| s.conv(conv(true))?.norm(NormKind::Batch, 2))?;
    let s = s.nested("nested", |s| s.named("conv").conv(conv(false))?.named("bn").batch_norm(2, EPS))?;
    let s = s.branches([&|s| s.named("a").conv(conv(true))?.named("bn_a").batch_norm(2, EPS), &|s| {
        s.skip("skip", |s| Ok(s.conv(conv(false))?.norm(NormKind::Batch, 2)?.act(Act::Tanh)))
    }])?;
    let last = ConvSpec { in_nc: 6, ..conv(true) };
    let s = s.conv(last)?.act(Act::LeakyRelu).norm(NormKind::Batch, 2)?;
    Ok(s.conv(conv(true))?.norm(NormKind::Instance, 2)?.finish())
}

fn drawn(dtype: DType) -> (ParamStore, Sequence, HashMap<String, Tensor>) {
    let (store, net) = ParamStore::build(dtype, &device(), layers).unwrap();
    store.init(&Init { init_gain: 0.4, ..Init::default() }, key()).unwrap();
    let state = store.state_dict("").unwrap().into_iter().zip(10..).map(|((name, t), seed)| {
        let u = noise(t.dims(), seed).to_dtype(dtype).unwrap();
        let t = match name.rsplit('.').next() {
            Some("running_mean" | "bias") => u,
            Some("running_var") => u.affine(0.5, 1.0).unwrap(),
            _ => t,
        };
        (name, t)
    });
    let state = state.collect();
    (store, net, state)
}

fn norms(net: &Sequence) -> usize {
    let mut summary = Summary::default();
    summary.add(net, (2, 6, 5)).unwrap();
    summary.rows.iter().filter(|row| row.kind == "BatchNorm").count()
}

#[test]
fn a_folded_network_computes_the_same() {
    for (dtype, tolerance) in [(DType::F64, 1e-13), (DType::F32, 1e-5)] {
        let (_, _, state) = drawn(dtype);
        let net = layers(&VarBuilder::from_tensors(state, dtype, &device()).into()).unwrap();
        let folded = net.folded().unwrap();
        // That in front of the first convolution stays, and that behind an activation.
        assert_eq!((norms(&net), norms(&folded)), (7, 2));
        let x = noise(&[2, 2, 6, 5], 1).to_dtype(dtype).unwrap();
        let have = numbers(&folded.forward(&x, &Ctx::eval()).unwrap());
        assert_close(&have, &numbers(&net.forward(&x, &Ctx::eval()).unwrap()), tolerance, "output");
    }
}

/// The definition, by hand.
#[test]
fn a_folded_weight_is_scaled_and_its_bias_shifted() {
    let (_, _, state) = drawn(DType::F64);
    let net = layers(&VarBuilder::from_tensors(state, DType::F64, &device()).into()).unwrap();
    let folded = net.folded().unwrap();
    let (conv, now): (&Conv, &Conv) = (net.nodes()[1].layer.get().unwrap(), folded.nodes()[1].layer.get().unwrap());
    let Some(NormLayer::Batch(BatchNorm { weight, bias, eps, running, .. })) = net.nodes()[2].layer.get() else {
        panic!("a batch norm")
    };
    assert_eq!(*eps, EPS);
    let of = |t: &Tensor| numbers(t);
    let scale: Vec<f64> = of(weight.tensor()).iter().zip(of(&running.var)).map(|(w, v)| w / (v + EPS).sqrt()).collect();
    let want: Vec<f64> = of(conv.weight.tensor()).iter().enumerate().map(|(i, w)| w * scale[i / 18]).collect();
    assert_close(&of(now.weight.tensor()), &want, 1e-15, "weight");
    let want: Vec<f64> =
        of(bias.tensor()).iter().zip(of(&running.mean)).zip(&scale).map(|((b, m), s)| b - m * s).collect();
    assert_close(&of(now.bias.as_ref().unwrap().tensor()), &want, 1e-15, "bias");
}

#[test]
fn what_may_still_change_is_not_folded() {
    let (_, net, _) = drawn(DType::F64);
    assert!(net.folded().unwrap_err().to_string().contains("trainable"));
}
