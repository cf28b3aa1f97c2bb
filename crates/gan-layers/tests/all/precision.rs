//! A network in BF16 beside itself in F32, on a CUDA device (`GAN_TEST_DEVICE`); without one it must be refused.
#![allow(clippy::unwrap_used, dead_code)]

use crate::network;

use candle_core::{DType, Tensor, Var};
use gan_layers::{Act, Builder, Ctx, Init, MathMode, ParamStore, Precision, Weights};
use network::{ctx, device, gradients, images, key, layers, layers_with, numbers};

/// Root mean square of the difference, relative to that of the reference.
fn distance(a: &[f64], reference: &[f64]) -> f64 {
    assert_eq!(a.len(), reference.len());
    let norm = |v: &mut dyn Iterator<Item = f64>| v.map(|v| v * v).sum::<f64>().sqrt();
    norm(&mut a.iter().zip(reference).map(|(a, r)| a - r)) / norm(&mut reference.iter().copied())
}

/// Output, input gradient and weight gradients for the images of a seed. `smooth`: with activations that have no edge.
fn passes(precision: Precision, seed: u64, smooth: bool) -> candle_core::Result<[Vec<f64>; 3]> {
    let build = |b: Builder| if smooth { layers_with(&b, Act::Tanh, Act::Tanh) } else { layers(&b) };
    let (store, net) = ParamStore::build(DType::F32, &device(), |b| build(b.pp("net")))?;
    store.init(&Init { init_gain: 0.3, ..Init::default() }, key())?;
    store.zero_grad()?;
    let single = |seed| -> candle_core::Result<Tensor> { images(2, seed).detach().to_dtype(DType::F32) };
    let x = Var::from_tensor(&single(seed)?)?;
    let y = net.forward(x.as_tensor(), &Ctx { precision, ..ctx(Weights::Train) })?;
    // candle sees F32 whatever the layers calculate in.
    assert_eq!((y.dtype(), y.is_contiguous()), (DType::F32, true));
    let grads = (&y * single(99)?)?.sum_all()?.backward()?;
    let dx = grads.get(x.as_tensor()).unwrap();
    assert_eq!(dx.dtype(), DType::F32);
    Ok([numbers(&y), numbers(dx), gradients(&store)])
}

#[test]
fn results_are_those_of_f32_within_rounding() {
    if !device().is_cuda() {
        let error = passes(Precision::Bf16, 1, false).unwrap_err().to_string();
        assert!(error.contains("CUDA"), "{error}");
        return;
    }
    let distances = |smooth: bool| -> Vec<[f64; 3]> {
        let of = |seed| {
            let [short, single] = [Precision::Bf16, Precision::F32].map(|p| passes(p, seed, smooth).unwrap());
            [0, 1, 2].map(|i| distance(&short[i], &single[i]))
        };
        (1..9).map(of).collect()
    };
    // Without edges everything is a smooth function of what is rounded, so a gradient is as near as some dozen roundings of
    // 2^-9 on the way there and back let it be.
    let smooth = distances(true);
    assert!(smooth.iter().all(|d| d[0] < 0.01 && d[1] < 0.04 && d[2] < 0.04), "without edges: {smooth:?}");
    // Where rounding moves a value across the edge of a ReLU, the gradients of so small a network jump by a tenth.
    let edged = distances(false);
    assert!(edged.iter().all(|d| d[0] < 0.02 && d[1] < 0.5 && d[2] < 0.5), "with edges: {edged:?}");
}

/// Two networks of the same weights, one exact and one with TF32, whose passes take turns: each is what it is alone.
#[test]
fn networks_of_different_math_modes_do_not_influence_each_other() {
    let math = |tf32| MathMode { tf32, deterministic: true };
    let forward = |tf32: bool| {
        let (store, net) = ParamStore::build(DType::F32, &device(), |b| layers(&b.pp("net"))).unwrap();
        store.init(&Init::default(), key()).unwrap();
        store.zero_grad().unwrap();
        let x = images(2, 1).detach().to_dtype(DType::F32).unwrap();
        let y = net.forward(&x, &Ctx { math: math(tf32), ..ctx(Weights::Train) }).unwrap();
        (store, y)
    };
    let backward = |(store, y): (ParamStore, Tensor)| {
        y.sqr().unwrap().sum_all().unwrap().backward().unwrap();
        [numbers(&y), gradients(&store)]
    };
    let alone = [false, true].map(|tf32| backward(forward(tf32)));
    let [exact, rounded] = [false, true].map(forward);
    let rounded = backward(rounded);
    assert!(alone == [backward(exact), rounded]);
}
