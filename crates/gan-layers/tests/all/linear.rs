//! The linear layer against its definition.
#![allow(clippy::unwrap_used, dead_code)]

use crate::network;

use candle_core::{DType, Tensor, Var};
use gan_kernels::optim::AdamStep;
use gan_layers::{Act, Builder, Ctx, Init, InitType, Missing, ParamStore, Sequence, SequenceBuilder, Summary, Weights};
use network::{assert_close, check_gradients, ctx, device, gradients, key, noise, numbers, weighted};

/// The head of a patch sampler: linear, ReLU, linear.
fn head(at: &Builder<'_>, widths: [usize; 3], bias: bool) -> candle_core::Result<Sequence> {
    let [a, b, c] = widths;
    let s = SequenceBuilder::new(at.pp("mlp")).linear(a, b, bias)?.act(Act::Relu);
    Ok(s.linear(b, c, bias)?.finish())
}

fn drawn(dtype: DType, widths: [usize; 3], bias: bool) -> (ParamStore, Sequence) {
    let (store, net) = ParamStore::build(dtype, &device(), |b| head(b, widths, bias)).unwrap();
    store.init(&Init { init_type: InitType::Xavier, init_gain: 1.0, ..Init::default() }, key()).unwrap();
    let state = store.state_dict("").unwrap();
    let shifted = state.into_iter().map(|(name, t)| {
        let t = if t.rank() == 1 { noise(t.dims(), 9).to_dtype(dtype).unwrap() } else { t };
        (name, t)
    });
    store.load("", &shifted.collect::<Vec<_>>(), Missing::Refuse).unwrap();
    (store, net)
}

/// `y[r][o] = Σ x[r][i] w[o][i] + b[o]`.
fn naive(x: &[f64], w: &[f64], b: Option<&[f64]>, in_nc: usize) -> Vec<f64> {
    let row =
        |x: &[f64], o: usize, w: &[f64]| x.iter().zip(w).map(|(x, w)| x * w).sum::<f64>() + b.map_or(0.0, |b| b[o]);
    x.chunks(in_nc).flat_map(|x| w.chunks(in_nc).enumerate().map(move |(o, w)| row(x, o, w))).collect()
}

fn reference(store: &ParamStore, x: &Tensor, widths: [usize; 3]) -> Vec<f64> {
    let state = store.state_dict("").unwrap();
    let get = |name: &str| state.iter().find(|(n, _)| n == name).map(|(_, t)| numbers(t));
    let [w0, w2] = ["mlp.0.weight", "mlp.2.weight"].map(|name| get(name).unwrap());
    let [b0, b2] = ["mlp.0.bias", "mlp.2.bias"].map(get);
    let hidden = naive(&numbers(x), &w0, b0.as_deref(), widths[0]);
    let hidden: Vec<f64> = hidden.into_iter().map(|v| v.max(0.0)).collect();
    naive(&hidden, &w2, b2.as_deref(), widths[1])
}

#[test]
fn outputs_are_those_of_the_definition() {
    let widths = [5, 7, 3];
    for bias in [true, false] {
        let (store, net) = drawn(DType::F64, widths, bias);
        for rows in [1, 4, 33] {
            let x = noise(&[rows, 5], 1);
            let y = net.forward(&x, &Ctx::translate()).unwrap();
            assert_eq!(y.dims(), [rows, 3]);
            assert_close(&numbers(&y), &reference(&store, &x, widths), 1e-12, "rows");
            let pixels = net.forward(&x.reshape((rows, 5, 1, 1)).unwrap(), &Ctx::translate()).unwrap();
            assert_eq!(pixels.dims(), [rows, 3, 1, 1]);
            assert_eq!(numbers(&pixels), numbers(&y));
        }
    }
}

#[test]
fn f32_is_f64_within_rounding_at_the_widths_of_a_feature_head() {
    let widths = [256, 256, 128];
    let (store, net) = drawn(DType::F32, widths, true);
    let x = noise(&[512, 256], 1).to_dtype(DType::F32).unwrap();
    let y = numbers(&net.forward(&x, &Ctx::translate()).unwrap());
    let want = reference(&store, &x, widths);
    let largest = want.iter().fold(0f64, |a, v| a.max(v.abs()));
    assert_close(&y, &want, 3e-6 * largest, "rows");
}

#[test]
fn gradients_are_those_of_central_differences() {
    for dims in [&[6, 5][..], &[6, 5, 1, 1]] {
        for bias in [true, false] {
            let (store, net) = drawn(DType::F64, [5, 7, 3], bias);
            let x = Var::from_tensor(&noise(dims, 1)).unwrap();
            check_gradients(&store, &x, |x, weights| weighted(&net.forward(x, &ctx(weights)).unwrap(), 2));
        }
    }
}

#[test]
fn gradients_add_up_and_frozen_weights_have_none() {
    let (store, net) = drawn(DType::F64, [5, 7, 3], true);
    let x = Var::from_tensor(&noise(&[6, 5], 1)).unwrap();
    let walk = |weights| {
        let grads = weighted(&net.forward(&x, &ctx(weights)).unwrap(), 2).backward().unwrap();
        numbers(grads.get(x.as_tensor()).unwrap())
    };
    let frozen = walk(Weights::Frozen);
    assert!(gradients(&store).iter().all(|g| *g == 0.0));
    assert_eq!(walk(Weights::Train), frozen);
    let once = gradients(&store);
    walk(Weights::Train);
    assert_close(&gradients(&store), &once.iter().map(|g| 2.0 * g).collect::<Vec<_>>(), 1e-12, "twice");
}

#[test]
fn it_is_a_layer_like_the_others() {
    let (store, net) = drawn(DType::F64, [5, 7, 3], true);
    let names: Vec<(String, Vec<usize>)> =
        store.state_dict("").unwrap().into_iter().map(|(n, t)| (n, t.dims().to_vec())).collect();
    let want =
        [("mlp.0.weight", vec![7, 5]), ("mlp.0.bias", vec![7]), ("mlp.2.weight", vec![3, 7]), ("mlp.2.bias", vec![3])];
    assert_eq!(names, want.map(|(n, d)| (n.to_string(), d)));

    let mut summary = Summary::default();
    let shapes = head(&Builder::shapes_only(), [5, 7, 3], true).unwrap();
    assert_eq!(summary.add(&shapes, (5, 1, 1)).unwrap(), (3, 1, 1));
    assert_eq!((summary.params(), summary.macs()), (5 * 7 + 7 + 7 * 3 + 3, 5 * 7 + 7 * 3));
    assert!(summary.add(&shapes, (5, 2, 1)).unwrap_err().to_string().contains("mlp.0"));

    for wrong in [vec![6, 4], vec![6, 5, 2, 1], vec![6]] {
        assert!(net.forward(&noise(&wrong, 1), &Ctx::translate()).is_err(), "{wrong:?}");
    }
    let x = Var::from_tensor(&noise(&[6, 5], 1)).unwrap();
    let loss = weighted(&net.forward(&x, &ctx(Weights::Train)).unwrap(), 2);
    store.adam(0..store.len(), &AdamStep { lr: 1e-3, beta1: 0.5, beta2: 0.999, eps: 1e-8, step: 1 }).unwrap();
    assert!(loss.backward().unwrap_err().to_string().contains("updated between"));
}
