//! What only CUDA has: BF16 in both orders of memory, device flags, inputs in device memory. On the CPU these tests do nothing.
#![cfg(feature = "cuda")]
#![allow(clippy::unwrap_used)]
mod reference;
use candle_core::{DType, Device, Tensor};
use gan_kernels::act::{Act, act, act_backward};
use gan_kernels::blur::{blur_pool, blur_pool_backward, blur_upsample, blur_upsample_backward};
use gan_kernels::concat::{cat_channels, narrow_channels};
use gan_kernels::dropout::dropout;
use gan_kernels::elementwise::{add, all_finite, convert, zero};
use gan_kernels::loss::l1;
use gan_kernels::norm::{Affine, Group, Norm, NormGrads, norm, norm_backward, norm_with, norm_with_backward};
use gan_kernels::optim::{AdamInputs, AdamStep, adam, adam_with, mark_non_finite};
use gan_kernels::patches::{gather, gather_backward};
use gan_kernels::pool::{Pool2d, avg_pool, avg_pool_backward, max_pool, max_pool_backward};
use gan_kernels::upsample::{upsample_nearest, upsample_nearest_backward};
use gan_rng::{Key, Purpose};
use reference::{assert_close, device, flat, normal, values};

/// Half a unit in the last place of BF16, and some room for a second rounding.
const BF16: f64 = 6e-3;

const SHAPES: &[(usize, usize, usize, usize)] =
    &[(1, 3, 4, 5), (2, 8, 7, 3), (1, 16, 2, 2), (3, 24, 1, 1), (2, 5, 37, 41), (1, 264, 9, 6), (1, 8, 70, 60)];

/// Windows that overlap, do not, reach over the border, and are padded.
const POOLS: &[Pool2d] = &[
    Pool2d::new(2, 2),
    Pool2d::new(3, 2),
    Pool2d { ceil_mode: true, ..Pool2d::new(3, 2) },
    Pool2d { padding: 1, ..Pool2d::new(3, 1) },
    Pool2d { padding: 1, ..Pool2d::new(3, 2) },
];

/// BF16 values on the device in both orders, and the same values in F32 on the CPU.
fn both_orders(shape: (usize, usize, usize, usize), seed: u64) -> Vec<(Tensor, Tensor)> {
    let single = normal(shape, seed).to_dtype(DType::F32).unwrap();
    let pixels = convert(&single, DType::BF16).unwrap();
    let planes = pixels.contiguous().unwrap();
    let host = planes.to_device(&Device::Cpu).unwrap().to_dtype(DType::F32).unwrap();
    vec![(pixels, host.clone()), (planes, host)]
}

fn channels_last(t: &Tensor) -> bool {
    t.permute((0, 2, 3, 1)).unwrap().is_contiguous()
}

/// As a result: the values, and that they lie as those of `like` do.
#[track_caller]
fn check(got: &Tensor, like: &Tensor, expected: &Tensor, what: &str) {
    assert_eq!(got.dtype(), DType::BF16);
    assert_close(&got.contiguous().unwrap(), expected, BF16, &format!("{what} {:?}", like.dims()));
    assert!(
        channels_last(got) == channels_last(like) || got.is_contiguous() == like.is_contiguous(),
        "order of {what}"
    );
}

#[test]
fn operators_on_bf16() {
    if device().is_cpu() {
        return;
    }
    for &shape in SHAPES {
        let (n, c, h, w) = shape;
        for ((x, xs), (other, others)) in both_orders(shape, 1).into_iter().zip(both_orders(shape, 2)) {
            for a in [Act::Identity, Act::Relu, Act::LeakyRelu, Act::Tanh] {
                check(&act(&x, a).unwrap(), &x, &act(&xs, a).unwrap(), "act");
                check(&act_backward(&x, &other, a).unwrap(), &x, &act_backward(&xs, &others, a).unwrap(), "slope");
            }
            check(&add(&x, &other).unwrap(), &x, &add(&xs, &others).unwrap(), "sum");
            for (p, (ho, wo)) in POOLS.iter().filter_map(|p| Some((p, p.output_hw((h, w)).ok()?))) {
                check(&avg_pool(&x, p).unwrap(), &x, &avg_pool(&xs, p).unwrap(), "average");
                let (y, ys) = (max_pool(&x, p).unwrap(), max_pool(&xs, p).unwrap());
                check(&y, &x, &ys, "maximum");
                let back = max_pool_backward(&xs, &ys, p).unwrap();
                check(&max_pool_backward(&x, &y, p).unwrap(), &x, &back, "maximum's gradient");
                let dy = others.narrow(2, 0, ho).unwrap().narrow(3, 0, wo).unwrap().contiguous().unwrap();
                let back = avg_pool_backward(&dy, (h, w), p).unwrap();
                let dy = dy.to_device(&device()).unwrap();
                let dy = if channels_last(&x) { convert(&dy, DType::BF16) } else { dy.to_dtype(DType::BF16) };
                check(&avg_pool_backward(&dy.unwrap(), (h, w), p).unwrap(), &x, &back, "average's gradient");
            }
            for factor in [1, 2, 3] {
                let up = upsample_nearest(&xs, factor).unwrap();
                check(&upsample_nearest(&x, factor).unwrap(), &x, &up, "upsampling");
            }
            check(&blur_upsample(&x).unwrap(), &x, &blur_upsample(&xs).unwrap(), "doubling");
            if h > 1 && w > 1 {
                check(&blur_pool(&x).unwrap(), &x, &blur_pool(&xs).unwrap(), "halving");
                let back = blur_pool_backward(&xs, (2 * h - 1, 2 * w)).unwrap();
                check(&blur_pool_backward(&x, (2 * h - 1, 2 * w)).unwrap(), &x, &back, "halving's gradient");
            }
            if h % 2 + w % 2 == 0 {
                let back = blur_upsample_backward(&xs).unwrap();
                check(&blur_upsample_backward(&x).unwrap(), &x, &back, "doubling's gradient");
            }
            let place = Tensor::new(&[(h * w - 1) as u32], &device()).unwrap();
            let rows = gather(&x, &place).unwrap();
            assert_eq!(values(&rows), values(&gather(&xs, &place.to_device(&Device::Cpu).unwrap()).unwrap()));
            let sum = convert(&convert(&x, DType::F32).unwrap(), DType::BF16).unwrap();
            gather_backward(&rows, &place, &sum).unwrap();
            let sums = xs.copy().unwrap();
            let host = rows.to_device(&Device::Cpu).unwrap();
            gather_backward(&host, &place.to_device(&Device::Cpu).unwrap(), &sums).unwrap();
            check(&sum, &sum, &sums, "gradient at a position");
            if h % 3 == 0 && w % 3 == 0 {
                let back = upsample_nearest_backward(&xs, 3).unwrap();
                check(&upsample_nearest_backward(&x, 3).unwrap(), &x, &back, "upsampling's gradient");
            }
            let key = Key::new(7, Purpose::Dropout).at(3);
            check(&dropout(&x, 0.5, key).unwrap(), &x, &dropout(&xs, 0.5, key).unwrap(), "dropout");
            check(&cat_channels(&[&x, &other]).unwrap(), &x, &cat_channels(&[&xs, &others]).unwrap(), "channels");
            for (from, count) in [(0, c), (1, c - 1), (c / 2, c - c / 2)] {
                let part = narrow_channels(&xs, from, count).unwrap();
                check(&narrow_channels(&x, from, count).unwrap(), &x, &part, "some channels");
            }
            assert_eq!(values(&convert(&x, DType::F32).unwrap()), values(&xs));
            let (value, gradient) = l1(&x, &other).unwrap();
            let (expected, slope) = l1(&xs, &others).unwrap();
            assert_eq!(value.dtype(), DType::F32);
            assert_close(&value, &expected, 1e-5, "loss");
            check(&gradient, &x, &slope, "loss");
            assert!(all_finite(&x).unwrap());
            // The other operand may lie in the other order.
            let turned =
                if x.is_contiguous() { convert(&other, DType::BF16).unwrap() } else { other.contiguous().unwrap() };
            check(&add(&x, &turned).unwrap(), &x, &add(&xs, &others).unwrap(), "sum of two orders");
            assert_eq!(x.dims(), [n, c, h, w]);
        }
    }
}

#[test]
fn norms_of_bf16() {
    if device().is_cpu() {
        return;
    }
    for &shape in SHAPES {
        let (n, c, h, w) = shape;
        // Statistics of one element make a gradient of rounding errors.
        if n * h * w == 1 {
            continue;
        }
        for ((x, xs), (dy, dys)) in both_orders(shape, 1).into_iter().zip(both_orders(shape, 2)) {
            for group in [Group::Instance, Group::Batch] {
                if group == Group::Instance && h * w == 1 {
                    continue;
                }
                for act in [Act::Identity, Act::LeakyRelu, Act::Tanh] {
                    let spec = Norm { group, eps: 1e-5, act };
                    let what = format!("{spec:?} {:?} contiguous {}", x.dims(), x.is_contiguous());
                    let host = |t: Tensor| t.to_device(&Device::Cpu).unwrap();
                    let single = |seed| normal(c, seed).to_dtype(DType::F32).unwrap();
                    let (weight, bias) = (single(3), single(4));
                    let (weights, biases) = (host(weight.clone()), host(bias.clone()));
                    let affine = Some(Affine { weight: &weight, bias: &bias });
                    let affines = Some(Affine { weight: &weights, bias: &biases });
                    let (y, moments) = norm(&x, &spec, affine, Some(&dy)).unwrap();
                    let (ys, expected) = norm(&xs, &spec, affines, Some(&dys)).unwrap();
                    check(&y, &x, &ys, &what);
                    assert_close(&moments.mean, &expected.mean, 1e-5, &what);
                    assert_close(&moments.var, &expected.var, 1e-5, &what);
                    let (dw, db) = (single(5), single(6));
                    let (dws, dbs) = (host(dw.copy().unwrap()), host(db.copy().unwrap()));
                    let grads = NormGrads { input: true, affine: Some(Affine { weight: &dw, bias: &db }) };
                    let dx = norm_backward(&x, &moments, &dy, &spec, affine, grads).unwrap().unwrap();
                    let grads = NormGrads { input: true, affine: Some(Affine { weight: &dws, bias: &dbs }) };
                    let dxs = norm_backward(&xs, &expected, &dys, &spec, affines, grads).unwrap().unwrap();
                    check(&dx, &x, &dxs, &what);
                    assert_close(&dw, &dws, 1e-4, &what);
                    assert_close(&db, &dbs, 1e-4, &what);
                    let y = norm_with(&x, &moments, &spec, affine, None).unwrap();
                    check(&y, &x, &norm_with(&xs, &expected, &spec, affines, None).unwrap(), &what);
                    let grads = NormGrads { input: true, affine: None };
                    let dx = norm_with_backward(&x, &moments, &dy, &spec, None, grads).unwrap().unwrap();
                    let dxs = norm_with_backward(&xs, &expected, &dys, &spec, None, grads).unwrap().unwrap();
                    check(&dx, &x, &dxs, &what);
                }
            }
        }
    }
}

/// A large mean must not swallow the variance.
#[test]
fn statistics_far_from_zero() {
    if device().is_cpu() {
        return;
    }
    let x = (normal((2, 3, 90, 91), 1).affine(0.1, 1000.0).unwrap()).to_dtype(DType::F32).unwrap();
    let spec = Norm { group: Group::Instance, eps: 1e-5, act: Act::Identity };
    let (_, moments) = norm(&x, &spec, None, None).unwrap();
    let (_, exact) = norm(&x.to_dtype(DType::F64).unwrap(), &spec, None, None).unwrap();
    assert_close(&moments.mean, &exact.mean, 1e-6, "mean");
    assert_close(&moments.var, &exact.var, 1e-3, "variance");
}

#[test]
fn a_flag_stops_adam_and_stays() {
    if device().is_cpu() {
        return;
    }
    let single = |n: usize, seed| normal(n, seed).to_dtype(DType::F32).unwrap();
    let flag = Tensor::zeros(1, DType::U32, &device()).unwrap();
    let good = single(1000, 1);
    mark_non_finite(&good, &flag).unwrap();
    assert_eq!(flag.to_vec1::<u32>().unwrap(), [0]);
    let hp = AdamStep { lr: 1e-3, beta1: 0.5, beta2: 0.999, eps: 1e-8, step: 2 };
    let state = Tensor::zeros((3, 1000), DType::F32, &device()).unwrap();
    let other = state.copy().unwrap();
    let factors = Tensor::new(&hp.factors(), &device()).unwrap();
    let inputs = AdamInputs { factors: Some(&factors), bad: Some(&flag), ..AdamInputs::default() };
    // Numbers from device memory, not those of the argument.
    adam_with(&state, &flat(&good), 0..1000, &AdamStep { lr: 5.0, step: 9, ..hp }, &inputs).unwrap();
    adam(&other, &flat(&good), 0..1000, &hp).unwrap();
    assert_eq!(values(&state), values(&other));
    let bad = Tensor::new(&[0.0, f32::NAN, 1.0], &device()).unwrap();
    mark_non_finite(&bad, &flag).unwrap();
    mark_non_finite(&good, &flag).unwrap();
    assert_eq!(flag.to_vec1::<u32>().unwrap(), [1]);
    adam_with(&state, &flat(&good), 0..1000, &hp, &inputs).unwrap();
    assert_eq!(values(&state), values(&other));
    zero(&flag).unwrap();
    adam_with(&state, &flat(&good), 0..1000, &hp, &inputs).unwrap();
    assert_ne!(values(&state), values(&other));
}

/// An image of a batch starts where 16-byte accesses may not.
#[test]
fn images_of_a_batch() {
    if device().is_cpu() {
        return;
    }
    for shape in [(3, 5, 7, 9), (3, 8, 7, 3), (3, 3, 5, 5)] {
        for (all, host) in both_orders(shape, 1) {
            let (x, xs) = (all.narrow(0, 1, 1).unwrap(), host.narrow(0, 1, 1).unwrap());
            check(&act(&x, Act::LeakyRelu).unwrap(), &x, &act(&xs, Act::LeakyRelu).unwrap(), "act");
            check(&add(&x, &x).unwrap(), &x, &add(&xs, &xs).unwrap(), "sum");
            check(&upsample_nearest(&x, 2).unwrap(), &x, &upsample_nearest(&xs, 2).unwrap(), "upsampling");
            check(&cat_channels(&[&x, &x]).unwrap(), &x, &cat_channels(&[&xs, &xs]).unwrap(), "channels");
            let spec = Norm { group: Group::Instance, eps: 1e-5, act: Act::Relu };
            let (y, moments) = norm(&x, &spec, None, Some(&x)).unwrap();
            let (ys, expected) = norm(&xs, &spec, None, Some(&xs)).unwrap();
            check(&y, &x, &ys, "norm");
            let grads = NormGrads { input: true, affine: None };
            let dx = norm_backward(&x, &moments, &x, &spec, None, grads).unwrap().unwrap();
            let dxs = norm_backward(&xs, &expected, &xs, &spec, None, grads).unwrap().unwrap();
            check(&dx, &x, &dxs, "norm's gradient");
            assert_eq!(values(&convert(&x, DType::F32).unwrap()), values(&xs));
        }
    }
}
