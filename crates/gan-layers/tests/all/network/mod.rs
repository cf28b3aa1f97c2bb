//! A small network with one of every kind of layer, and its weights.

use candle_core::{DType, Device, Result, Tensor, Var};
use gan_layers::{
    Act, Builder, ConvSpec, Ctx, Init, Missing, NormKind, NormMode, PadMode, ParamStore, Sequence, SequenceBuilder,
    Weights,
};
use gan_rng::{Key, Purpose};

fn conv(in_nc: usize, out_nc: usize, kernel: usize, stride: usize, padding: usize) -> ConvSpec {
    ConvSpec { in_nc, out_nc, kernel, stride, padding, bias: true }
}

/// Pad, convolutions, norm, residual block with dropout, skip, transposed convolution, tanh: 2 channels to 2.
pub(crate) fn layers(at: &Builder<'_>) -> Result<Sequence> {
    layers_with(at, Act::Relu, Act::LeakyRelu)
}

/// The same with other activations in the places of these two.
pub(crate) fn layers_with(at: &Builder<'_>, relu: Act, leaky: Act) -> Result<Sequence> {
    let s = SequenceBuilder::new(at.pp("model")).pad(PadMode::Reflect, 1).conv(conv(2, 3, 3, 1, 0))?;
    let s = s.norm(NormKind::Batch, 3)?.act(relu).residual("conv_block", |s| {
        let s = s.conv(conv(3, 3, 3, 1, 1))?.norm(NormKind::Batch, 3)?.act(relu).dropout(0.5);
        s.conv(conv(3, 3, 3, 1, 1))?.norm(NormKind::Instance, 3)
    })?;
    let s = s.skip("model", |s| {
        let s = s.act(leaky).conv(conv(3, 4, 4, 2, 1))?;
        s.act(relu).conv_transpose(conv(4, 3, 4, 2, 1), 0)?.norm(NormKind::Batch, 3)
    })?;
    Ok(s.act(relu).conv(conv(6, 2, 1, 1, 0))?.act(Act::Tanh).finish())
}

/// The device under test.
pub(crate) fn device() -> Device {
    gan_kernels::device::test_device().unwrap()
}

pub(crate) fn key() -> Key {
    Key::new(7, Purpose::Test)
}

/// The network in F64 with drawn weights.
pub(crate) fn drawn() -> (ParamStore, Sequence) {
    let (store, net) = ParamStore::build(DType::F64, &device(), |b| layers(&b.pp("net"))).unwrap();
    store.init(&Init { init_gain: 0.3, ..Init::default() }, key()).unwrap();
    (store, net)
}

/// Numbers in [-1, 1), `[2, channels, 6, 8]`.
pub(crate) fn images(channels: usize, seed: u64) -> Var {
    let mut stream = Key::new(seed, Purpose::Test).stream();
    let values: Vec<f64> = (0..2 * channels * 48).map(|_| stream.range(-1.0, 1.0)).collect();
    Var::from_tensor(&Tensor::from_vec(values, (2, channels, 6, 8), &device()).unwrap()).unwrap()
}

/// Batch statistics that do not move, so that passes can be repeated; dropout on.
pub(crate) fn ctx(weights: Weights) -> Ctx {
    Ctx { norm: NormMode::Batch { update: false }, weights, ..Ctx::train(key()) }
}

/// A scalar that depends on every element differently.
pub(crate) fn score(y: &Tensor) -> Tensor {
    (y * images(2, 99).as_tensor()).unwrap().sum_all().unwrap()
}

pub(crate) fn numbers(t: &Tensor) -> Vec<f64> {
    t.flatten_all().unwrap().to_dtype(DType::F64).unwrap().to_vec1().unwrap()
}

/// All gradients, one after the other.
pub(crate) fn gradients(store: &ParamStore) -> Vec<f64> {
    store.grad_dict("").unwrap().iter().flat_map(|(_, t)| numbers(t)).collect()
}

/// Numbers in [-1, 1).
pub(crate) fn noise(shape: &[usize], seed: u64) -> Tensor {
    let mut stream = Key::new(seed, Purpose::Test).stream();
    let values: Vec<f64> = (0..shape.iter().product()).map(|_| stream.range(-1.0, 1.0)).collect();
    Tensor::from_vec(values, shape, &device()).unwrap()
}

/// A scalar that depends on every element of a tensor of any shape differently.
pub(crate) fn weighted(y: &Tensor, seed: u64) -> Tensor {
    (y * noise(y.dims(), seed)).unwrap().sum_all().unwrap()
}

pub(crate) fn assert_close(have: &[f64], want: &[f64], tolerance: f64, what: &str) {
    assert_eq!(have.len(), want.len(), "{what}");
    for (i, (have, want)) in have.iter().zip(want).enumerate() {
        assert!((have - want).abs() <= tolerance, "{what} {i}: {have} and {want}");
    }
}

/// Holds the gradients of a scalar in F64 against central differences, at some of the values of its input and of each parameter.
pub(crate) fn check_gradients(store: &ParamStore, x: &Var, loss: impl Fn(&Tensor, Weights) -> Tensor) {
    store.zero_grad().unwrap();
    let grads = loss(x.as_tensor(), Weights::Train).backward().unwrap();
    let value = |x: &Tensor| loss(x, Weights::Frozen).to_scalar::<f64>().unwrap();
    let h = 1e-6;

    let (values, have) = (numbers(x), numbers(grads.get(x.as_tensor()).unwrap()));
    for i in (0..values.len()).step_by(7) {
        let moved = |by: f64| {
            let mut v = values.clone();
            v[i] += by;
            value(&Tensor::from_vec(v, x.shape(), &device()).unwrap())
        };
        let want = (moved(h) - moved(-h)) / (2.0 * h);
        assert!((have[i] - want).abs() < 1e-6, "input {i}: {} and {want}", have[i]);
    }

    let weights = store.state_dict("").unwrap();
    let x = x.detach();
    for (name, gradient) in store.grad_dict("").unwrap() {
        let (at, tensor) = weights.iter().enumerate().find_map(|(i, (n, t))| (*n == name).then_some((i, t))).unwrap();
        let (values, have) = (numbers(tensor), numbers(&gradient));
        for i in (0..values.len()).step_by(11) {
            let moved = |by: f64| {
                let mut v = values.clone();
                v[i] += by;
                let mut state = weights.clone();
                state[at].1 = Tensor::from_vec(v, tensor.shape(), &device()).unwrap();
                store.load("", &state, Missing::Refuse).unwrap();
                value(&x)
            };
            let want = (moved(h) - moved(-h)) / (2.0 * h);
            assert!((have[i] - want).abs() < 1e-6, "{name} {i}: {} and {want}", have[i]);
        }
        store.load("", &weights, Missing::Refuse).unwrap();
    }
}
