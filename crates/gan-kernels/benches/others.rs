//! Times the operators that are no convolutions: `cargo bench -p gan-kernels --bench others -- [FILTER]`.
#![allow(clippy::unwrap_used, missing_docs)]
use candle_core::{DType, Device, Tensor};
use criterion::{Criterion, criterion_group, criterion_main};
use gan_kernels::act::{Act, act, act_backward};
use gan_kernels::conv::{Conv2d, ConvGrads, PadMode, WeightGrad, conv2d, conv2d_backward};
use gan_kernels::dropout::dropout;
use gan_kernels::elementwise::{add_assign, all_finite};
use gan_kernels::labels::instance_edges;
use gan_kernels::loss::{bce_with_logits, l1, squared_error};
use gan_kernels::norm::{Affine, Group, Norm, NormGrads, norm, norm_backward};
use gan_kernels::onehot::{OneHot, OneHotGrads, onehot_conv2d, onehot_conv2d_backward};
use gan_kernels::optim::{AdamStep, adam};
use gan_kernels::pool::{Pool2d, avg_pool, avg_pool_backward, max_pool, max_pool_backward};
use gan_kernels::upsample::{upsample_nearest, upsample_nearest_backward};
use gan_kernels::weight::Weight;
use gan_rng::{Key, Purpose};
use std::time::Duration;

fn time<R>(c: &mut Criterion, name: &str, f: impl Fn() -> R) {
    c.bench_function(name, |b| b.iter(&f));
}

fn operators(c: &mut Criterion) {
    #[allow(clippy::disallowed_methods)] // any numbers will do
    let random = |shape: &[usize]| Tensor::randn(0f32, 1.0, shape, &Device::Cpu).unwrap();
    for (channels, side) in [(256, 64), (64, 256)] {
        let (x, dy) = (random(&[1, channels, side, side]), random(&[1, channels, side, side]));
        let (scale, shift) = (random(&[channels]), random(&[channels]));
        for (name, group, a, affine) in [
            ("instance norm + ReLU", Group::Instance, Act::Relu, None),
            ("batch norm + leaky ReLU", Group::Batch, Act::LeakyRelu, Some(Affine { weight: &scale, bias: &shift })),
        ] {
            let spec = Norm { group, eps: 1e-5, act: a };
            let (_, moments) = norm(&x, &spec, affine, None).unwrap();
            time(c, &format!("{name} {channels}@{side} forward"), || norm(&x, &spec, affine, None).unwrap());
            time(c, &format!("{name} {channels}@{side} forward + residual"), || {
                norm(&x, &spec, affine, Some(&dy)).unwrap()
            });
            let grads = NormGrads { input: true, affine };
            time(c, &format!("{name} {channels}@{side} backward"), || {
                norm_backward(&x, &moments, &dy, &spec, affine, grads).unwrap()
            });
        }
    }
    let (x, y) = (random(&[1, 64, 256, 256]), random(&[1, 64, 256, 256]));
    for a in [Act::Relu, Act::LeakyRelu, Act::Tanh] {
        time(c, &format!("{a:?} 64@256"), || act(&x, a).unwrap());
        time(c, &format!("{a:?} backward 64@256"), || act_backward(&x, &y, a).unwrap());
    }
    let (pairs, pyramid) = (Pool2d::new(2, 2), Pool2d { padding: 1, ..Pool2d::new(3, 2) });
    time(c, "max pool 64@256", || max_pool(&x, &pairs).unwrap());
    let pooled = random(&[1, 64, 128, 128]);
    time(c, "max pool backward 64@256", || max_pool_backward(&x, &pooled, &pairs).unwrap());
    time(c, "average pool 64@256", || avg_pool(&x, &pyramid).unwrap());
    time(c, "average pool backward 64@256", || avg_pool_backward(&pooled, (256, 256), &pyramid).unwrap());
    time(c, "upsample 64@256", || upsample_nearest(&x, 2).unwrap());
    time(c, "upsample backward 64@256", || upsample_nearest_backward(&x, 2).unwrap());
    let small = random(&[1, 512, 32, 32]);
    time(c, "dropout 512@32", || dropout(&small, 0.5, Key::new(1, Purpose::Dropout)).unwrap());
    time(c, "l1 64@256", || l1(&x, &y).unwrap());
    time(c, "squared error 64@256", || squared_error(&x, 1.0).unwrap());
    time(c, "bce 64@256", || bce_with_logits(&x, 1.0).unwrap());
    time(c, "add_assign 64@256", || add_assign(&x, &y).unwrap());
    time(c, "all_finite 64@256", || all_finite(&x).unwrap());
    label_maps(c, &random);
    let n = 56_600_000;
    let (state, grads) = (Tensor::zeros((3, n), DType::F32, &Device::Cpu).unwrap(), [(0, random(&[n]))]);
    let hp = AdamStep { lr: 2e-4, beta1: 0.5, beta2: 0.999, eps: 1e-8, step: 1 };
    time(c, "Adam 56.6M", || adam(&state, &grads, 0..n, &hp).unwrap());
}

/// The first convolution of pix2pixHD's generators, from labels and from their planes.
fn label_maps(c: &mut Criterion, random: &impl Fn(&[usize]) -> Tensor) {
    let (h, w, classes) = (256, 512, 35);
    // Patches of labels as in photographs of streets, some 20 pixels wide.
    let ids: Vec<u8> = (0..h * w).map(|i| ((i / w / 13 * 31 + (i % w + i / w / 3) / 19 * 7) % classes) as u8).collect();
    let labels = Tensor::from_vec(ids, (1, 1, h, w), &Device::Cpu).unwrap();
    let edges = instance_edges(&labels, DType::F32).unwrap();
    let x = OneHot::new(&labels, classes, Some(&edges), DType::F32).unwrap();
    let spec = Conv2d { padding: [3; 2], pad_mode: PadMode::Reflect, ..Conv2d::default() };
    for channels in [32, 64] {
        let weight = Weight::constant(random(&[channels, classes + 1, 7, 7]));
        let (dy, into) = (random(&[1, channels, h, w]), random(weight.tensor().dims()));
        let name = |way: &str| format!("{way}, {} -> {channels} 7x7 {h}x{w}", classes + 1);
        time(c, &name("planes made"), || x.planes().unwrap());
        let planes = x.planes().unwrap();
        time(c, &name("planes"), || conv2d(&planes, &weight, None, &spec).unwrap());
        time(c, &name("labels"), || onehot_conv2d(&x, &weight, None, &spec, DType::F32).unwrap());
        let grads =
            ConvGrads { weight: Some(WeightGrad { x: &planes, into: &into, state: None }), ..ConvGrads::default() };
        time(c, &name("planes, weight gradient"), || conv2d_backward(&dy, &weight, &spec, grads).unwrap());
        let grads = OneHotGrads { weight: Some(&into), ..OneHotGrads::default() };
        time(c, &name("labels, weight gradient"), || onehot_conv2d_backward(&dy, &x, &weight, &spec, grads).unwrap());
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_secs(1));
    targets = operators
}
criterion_main!(benches);
