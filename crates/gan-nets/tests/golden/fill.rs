//! The rules by which the golden values' weights and inputs are made.

use candle_core::{DType, Device, Result, Tensor};
use gan_layers::{Builder, Missing, ParamStore};

/// The device under test.
pub(crate) fn device() -> Device {
    gan_kernels::device::test_device().unwrap()
}

/// Element `n` of the input is float32(sin(f·n + phase)).
pub(crate) fn input(shape: &[usize], f: f64, phase: f64) -> Tensor {
    let n: usize = shape.iter().product();
    let values: Vec<f64> = (0..n).map(|i| f64::from((f * i as f64 + phase).sin() as f32)).collect();
    Tensor::from_vec(values, shape, &device()).unwrap()
}

/// The input of the network tables.
pub(crate) fn plain_input(shape: &[usize]) -> Tensor {
    input(shape, 0.13, 0.0)
}

/// Sets the parameters under `prefix`: number `p` in state-dict order, element `e`, becomes
/// `scale` · float32(0.1·sin(0.7·e + 1.3·p)), plus `scale` for a batch norm's scale.
pub(crate) fn fill(store: &ParamStore, prefix: &str, scale: f64) {
    let parameters = store.grad_dict(prefix).unwrap();
    let filled = parameters.into_iter().enumerate().map(|(p, (name, t))| {
        let one = if t.rank() == 1 && name.ends_with(".weight") { 1.0 } else { 0.0 };
        let value = |e: usize| one + f64::from((0.1 * (0.7 * e as f64 + 1.3 * p as f64).sin()) as f32);
        let values: Vec<f64> = (0..t.elem_count()).map(|e| scale * value(e)).collect();
        (name, Tensor::from_vec(values, t.shape(), &device()).unwrap())
    });
    let notes = store.load(prefix, &filled.collect::<Vec<_>>(), Missing::Skip).unwrap();
    assert!(notes.iter().all(|n| n.contains("running_")), "{notes:?}");
}

/// A network in F64 with the weights of [`fill`].
pub(crate) fn filled<T>(build: impl Fn(Builder<'_>) -> Result<T>) -> T {
    let (store, net) = ParamStore::build(DType::F64, &device(), |b| build(b.clone())).unwrap();
    fill(&store, "", 1.0);
    net
}

/// A row of the table: mean, mean |.|, element [0,0,0,0], element [0, last channel, H/2, W/3], last element.
pub(crate) type Row = [f64; 5];

/// Compares a feature map with its row, which has six decimals.
pub(crate) fn check(name: &str, y: &Tensor, shape: [usize; 4], row: Row) {
    assert_eq!(y.dims(), shape, "{name}");
    let [_, c, h, w] = shape;
    let v: Vec<f64> = y.flatten_all().unwrap().to_vec1().unwrap();
    let n = v.len() as f64;
    let middle = ((c - 1) * h + h / 2) * w + w / 3;
    let have = [v.iter().sum::<f64>() / n, v.iter().map(|x| x.abs()).sum::<f64>() / n, v[0], v[middle], v[v.len() - 1]];
    for (what, (have, want)) in ["mean", "mean abs", "first", "mid", "last"].iter().zip(have.iter().zip(row)) {
        assert!((have - want).abs() <= 1e-6, "{name}: {what} {have:.7} instead of {want:.6}");
    }
}
