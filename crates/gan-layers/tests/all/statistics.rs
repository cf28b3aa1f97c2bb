//! Statistics of norms, gathered over images and kept for others.
#![allow(clippy::unwrap_used)]

use crate::network;

use candle_core::{DType, Result, Tensor};
use candle_nn::VarBuilder;
use gan_layers::{
    Act, Builder, ConvSpec, Ctx, Init, NormKind, NormObserver, NormStatistics, ParamStore, Sequence, SequenceBuilder,
};
use network::{assert_close, device, key, noise, numbers};
use std::collections::HashMap;

/// Norms behind convolutions with a bias, behind a transposed one, in residual blocks, in a skip and within a sequence.
fn layers(at: &Builder<'_>, norm: NormKind) -> Result<Sequence> {
    let conv = |in_nc, out_nc, stride| ConvSpec { in_nc, out_nc, kernel: 3, stride, padding: 1, bias: true };
    let s = SequenceBuilder::new(at.clone()).conv(conv(2, 3, 2))?.norm(norm, 3)?.act(Act::Relu);
    let s = s.residual("conv_block", |s| {
        s.conv(conv(3, 3, 1))?.norm(norm, 3)?.act(Act::Relu).conv(conv(3, 3, 1))?.norm(norm, 3)
    })?;
    let s = s.skip("skip", |s| s.nested("inner", |s| s.conv(conv(3, 2, 1))?.norm(norm, 2)))?;
    let s = s.conv_transpose(conv(5, 3, 2), 1)?.norm(norm, 3)?.act(Act::LeakyRelu);
    Ok(s.conv(conv(3, 2, 1))?.act(Act::Tanh).finish())
}

fn drawn(norm: NormKind) -> (ParamStore, Sequence) {
    let (store, net) = ParamStore::build(DType::F32, &device(), |at| layers(at, norm)).unwrap();
    store.init(&Init { init_gain: 0.5, ..Init::default() }, key()).unwrap();
    let state: HashMap<String, Tensor> = store
        .state_dict("")
        .unwrap()
        .into_iter()
        .zip(10..)
        .map(|((name, t), seed)| {
            let t = if name.ends_with("bias") { noise(t.dims(), seed).to_dtype(DType::F32).unwrap() } else { t };
            (name, t)
        })
        .collect();
    let built = layers(&VarBuilder::from_tensors(state, DType::F32, &device()).into(), norm).unwrap();
    drop(net);
    (store, built)
}

fn image(n: usize, seed: u64) -> Tensor {
    noise(&[n, 2, 12, 16], seed).to_dtype(DType::F32).unwrap()
}

const NORMS: [NormKind; 3] = [NormKind::Instance, NormKind::InstanceAffine, NormKind::Batch];

fn constant(net: &Sequence, statistics: &NormStatistics, x: &Tensor) -> Vec<f64> {
    numbers(&net.with_statistics(statistics).unwrap().forward(x, &Ctx::eval()).unwrap())
}

/// The statistics of an image alone make of that image what its own statistics make of it.
#[test]
fn statistics_of_one_image_are_its_own() {
    for norm in NORMS {
        let (_, net) = drawn(norm);
        let (x, observer) = (image(1, 1), NormObserver::default());
        let seen = net.observed(&observer).unwrap().forward(&x, &Ctx::translate()).unwrap();
        let statistics = observer.finish();
        assert_eq!(statistics.0.len(), 5, "{:?}", statistics.0.keys());
        let own = numbers(&net.forward(&x, &Ctx::translate()).unwrap());
        assert_close(&numbers(&seen), &own, 1e-5, "observed");
        assert_close(&constant(&net, &statistics, &x), &own, 2e-4, "constant");
        // Of another image they make something else than its own.
        let other = image(1, 2).affine(0.3, 0.5).unwrap();
        let own = numbers(&net.forward(&other, &Ctx::translate()).unwrap());
        let kept = constant(&net, &statistics, &other);
        assert!(own.iter().zip(&kept).any(|(a, b)| (a - b).abs() > 0.02), "{norm:?}");
    }
}

/// A batch is one image: its statistics do not depend on how the images lie in it, and each image gets the same from then on.
#[test]
fn a_batch_is_treated_as_one_image() {
    let (_, net) = drawn(NormKind::Instance);
    let images = Tensor::cat(&[image(1, 1), image(1, 2).affine(0.5, 0.4).unwrap()], 0).unwrap();
    let observer = NormObserver::default();
    let together = numbers(&net.observed(&observer).unwrap().forward(&images, &Ctx::translate()).unwrap());
    let statistics = observer.finish();
    let each: Vec<f64> = (0..2)
        .flat_map(|i| constant(&net, &statistics, &images.narrow(0, i, 1).unwrap().contiguous().unwrap()))
        .collect();
    assert_close(&each, &together, 2e-4, "each image");
    // The first norm sees the same whether images come together or one after the other.
    let separate = NormObserver::default();
    let observed = net.observed(&separate).unwrap();
    for i in 0..2 {
        observed.forward(&images.narrow(0, i, 1).unwrap().contiguous().unwrap(), &Ctx::translate()).unwrap();
    }
    let (first, pooled) = (&statistics.0["1"], &separate.finish().0["1"]);
    let wide = |values: &[f32]| values.iter().map(|&v| f64::from(v)).collect::<Vec<_>>();
    assert_close(&wide(&pooled.mean), &wide(&first.mean), 1e-6, "mean");
    assert_close(&wide(&pooled.var), &wide(&first.var), 1e-6, "variance");
}

#[test]
fn statistics_of_another_network_are_refused() {
    let (store, net) = drawn(NormKind::InstanceAffine);
    let observer = NormObserver::default();
    net.observed(&observer).unwrap().forward(&image(1, 1), &Ctx::translate()).unwrap();
    let mut statistics = observer.finish();
    statistics.0.get_mut("1").unwrap().mean.push(0.0);
    assert!(net.with_statistics(&statistics).unwrap_err().to_string().contains("channels"));
    statistics.0.remove("1");
    assert!(net.with_statistics(&statistics).unwrap_err().to_string().contains("no statistics for the norm 1"));
    let (_, trainable) = ParamStore::build(DType::F32, &device(), |at| layers(at, NormKind::Instance)).unwrap();
    assert!(trainable.observed(&observer).unwrap_err().to_string().contains("trainable"));
    drop(store);
}
