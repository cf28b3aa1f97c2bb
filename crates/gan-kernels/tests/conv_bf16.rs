//! Convolutions in BF16, on a CUDA device (`GAN_TEST_DEVICE`); without one there is nothing to test.
#![allow(clippy::unwrap_used)]
mod reference;
use candle_core::{DType, Tensor};
use gan_kernels::conv::{
    Conv2d, ConvGrads, ConvTranspose2d, PadMode, WeightGrad, conv_transpose2d, conv_transpose2d_backward, conv2d,
    conv2d_backward,
};
use gan_kernels::elementwise::{convert, zero};
use gan_kernels::math_mode::MathMode;
use gan_kernels::weight::{Version, Weight};
use reference::{assert_close, device, normal, values};

/// Results are rounded to 8 bits of mantissa; so are the products' factors, exactly here: all inputs are BF16 values.
const TOLERANCE: f64 = 1.0 / 128.0;

fn on_gpu() -> bool {
    device().is_cuda()
}

/// Values that BF16 holds exactly, in F64.
fn rounded(shape: impl Into<candle_core::Shape>, seed: u64) -> Tensor {
    normal(shape, seed).to_dtype(DType::BF16).unwrap().to_dtype(DType::F64).unwrap()
}

fn bf16(t: &Tensor) -> Tensor {
    convert(&reference::f32(t), DType::BF16).unwrap()
}

fn is_channels_last(t: &Tensor) -> bool {
    t.permute((0, 2, 3, 1)).unwrap().is_contiguous()
}

/// All passes with a bias; accumulators in F32 that start at one.
fn conv_passes(x: &Tensor, w: &Tensor, b: &Tensor, dy: &Tensor, spec: &Conv2d) -> [Tensor; 4] {
    let (_, _, h, width) = x.dims4().unwrap();
    let dtype = w.dtype();
    let (dw, db) = (w.ones_like().unwrap(), Tensor::ones(b.shape(), dtype, &device()).unwrap());
    let weight = Weight::constant(w.clone());
    let grads =
        ConvGrads { input: Some((h, width)), weight: Some(WeightGrad { x, into: &dw, state: None }), bias: Some(&db) };
    let y = conv2d(x, &weight, Some(b), spec).unwrap();
    let dx = conv2d_backward(dy, &weight, spec, grads).unwrap().unwrap();
    [y, dx, dw, db]
}

#[test]
fn convolutions_are_right_within_rounding() {
    if !on_gpu() {
        return;
    }
    for (n, ci, co, h, w, k, stride, padding) in [
        (1, 1, 1, 4, 4, 1, 1, 0),
        (2, 3, 5, 7, 9, 3, 1, 1),
        (2, 8, 16, 8, 8, 3, 2, 1),
        (1, 16, 8, 9, 7, 4, 2, 1),
        (1, 3, 64, 12, 10, 7, 1, 3),
        (1, 64, 3, 10, 12, 7, 1, 3),
        (1, 65, 130, 5, 6, 3, 1, 1),
        (1, 64, 1, 6, 6, 4, 1, 1),
        // Few channels at one end: odd leftovers, no padding, a kernel as wide as the image.
        (2, 6, 16, 11, 13, 4, 2, 1),
        (2, 3, 17, 9, 10, 3, 3, 2),
        (1, 5, 20, 8, 7, 7, 1, 0),
        (2, 19, 2, 7, 8, 3, 1, 2),
        // Larger than the kernels for weights have room for: calculated in F32.
        (1, 2, 3, 9, 10, 8, 1, 3),
    ] {
        for pad_mode in [PadMode::Zero, PadMode::Reflect, PadMode::Replicate] {
            let spec = Conv2d { stride, padding: [padding; 2], pad_mode, ..Conv2d::default() };
            let what = format!("{n} {ci}-{co}@{h}x{w} k{k} {spec:?}");
            let (x, weight, b) = (rounded((n, ci, h, w), 1), rounded((co, ci, k, k), 2), rounded(co, 3));
            let (ho, wo) = spec.output_hw((k, k), (h, w)).unwrap();
            let dy = rounded((n, co, ho, wo), 4);
            let exact = conv_passes(&x, &weight, &b, &dy, &spec);
            assert_close(&exact[0], &reference::conv2d(&x, &weight, Some(&b), &spec), 1e-10, &what);
            let short = conv_passes(&bf16(&x), &reference::f32(&weight), &reference::f32(&b), &bf16(&dy), &spec);
            for ((short, exact), pass) in short.iter().zip(&exact).zip(["forward", "data", "weight", "bias"]) {
                assert_close(short, exact, TOLERANCE, &format!("{pass} {what}"));
            }
            for (t, dtype) in short.iter().zip([DType::BF16, DType::BF16, DType::F32, DType::F32]) {
                assert_eq!(t.dtype(), dtype);
            }
            assert!(is_channels_last(&short[0]) && is_channels_last(&short[1]));
        }
    }
}

#[test]
fn transposed_convolutions_are_right_within_rounding() {
    if !on_gpu() {
        return;
    }
    for (n, ci, co, h, w, k, stride, padding, output_padding) in [
        (2, 16, 8, 5, 4, 3, 2, 1, 1),
        (1, 16, 3, 4, 6, 4, 2, 1, 0),
        (1, 5, 7, 3, 3, 3, 1, 1, 0),
        (2, 3, 24, 5, 4, 3, 1, 1, 0),
    ] {
        let spec = ConvTranspose2d { stride, padding, output_padding, ..ConvTranspose2d::default() };
        let what = format!("{n} {ci}-{co}@{h}x{w} k{k} {spec:?}");
        let (x, weight, b) = (rounded((n, ci, h, w), 1), rounded((ci, co, k, k), 2), rounded(co, 3));
        let (ho, wo) = spec.output_hw((k, k), (h, w)).unwrap();
        let dy = rounded((n, co, ho, wo), 4);
        let run = |x: &Tensor, w: &Tensor, b: &Tensor, dy: &Tensor| {
            let (dw, db) = (w.zeros_like().unwrap(), b.zeros_like().unwrap());
            let (_, _, h, width) = x.dims4().unwrap();
            let weight = Weight::constant(w.clone());
            let grads = ConvGrads {
                input: Some((h, width)),
                weight: Some(WeightGrad { x, into: &dw, state: None }),
                bias: Some(&db),
            };
            let y = conv_transpose2d(x, &weight, Some(b), &spec).unwrap();
            let dx = conv_transpose2d_backward(dy, &weight, &spec, grads).unwrap().unwrap();
            [y, dx, dw, db]
        };
        let exact = run(&x, &weight, &b, &dy);
        assert_close(&exact[0], &reference::conv_transpose2d(&x, &weight, Some(&b), &spec), 1e-10, &what);
        let short = run(&bf16(&x), &reference::f32(&weight), &reference::f32(&b), &bf16(&dy));
        for ((short, exact), pass) in short.iter().zip(&exact).zip(["forward", "data", "weight", "bias"]) {
            assert_close(short, exact, TOLERANCE, &format!("{pass} {what}"));
        }
    }
}

/// The copy of a weight belongs to its version.
#[test]
fn an_update_is_seen() {
    if !on_gpu() {
        return;
    }
    let spec = Conv2d { padding: [1; 2], ..Conv2d::default() };
    let (x, w) = (rounded((1, 4, 5, 5), 1), rounded((6, 4, 3, 3), 2));
    let version = Version::default();
    let own = reference::f32(&w);
    let weight = Weight::new(own.clone(), version.clone());
    let before = conv2d(&bf16(&x), &weight, None, &spec).unwrap();
    zero(&own).unwrap();
    // Who changes a weight says so.
    assert_eq!(values(&conv2d(&bf16(&x), &weight, None, &spec).unwrap()), values(&before));
    version.bump();
    assert!(values(&conv2d(&bf16(&x), &weight, None, &spec).unwrap()).iter().all(|&v| v == 0.0));
    weight.forget_packed();
    assert!(values(&conv2d(&bf16(&x), &weight, None, &spec).unwrap()).iter().all(|&v| v == 0.0));
}

/// Algorithms chosen by rule are right, too, and results come back bit for bit. A mode holds for its call alone: calls of other
/// modes in between change nothing.
#[test]
fn the_math_mode_chooses_arithmetic_and_algorithms() {
    if !on_gpu() {
        return;
    }
    let spec = Conv2d { stride: 2, padding: [1; 2], ..Conv2d::default() };
    let (x, weight, b) = (rounded((2, 16, 9, 10), 1), rounded((24, 16, 3, 3), 2), rounded(24, 3));
    let (ho, wo) = spec.output_hw((3, 3), (9, 10)).unwrap();
    let dy = rounded((2, 24, ho, wo), 4);
    let exact = conv_passes(&x, &weight, &b, &dy, &spec);
    let cases = [
        (DType::F32, false, 3e-5),
        (DType::F32, true, 1.0 / 256.0),
        (DType::BF16, false, TOLERANCE),
        (DType::BF16, true, TOLERANCE),
    ];
    let mut pinned: Vec<Vec<Vec<f64>>> = Vec::new();
    for deterministic in [true, false, true] {
        let mut all = Vec::new();
        for (dtype, tf32, tolerance) in cases {
            let spec = Conv2d { math: MathMode { tf32, deterministic }, ..spec };
            let cast = |t: &Tensor| convert(&reference::f32(t), dtype).unwrap();
            let short = conv_passes(&cast(&x), &reference::f32(&weight), &reference::f32(&b), &cast(&dy), &spec);
            for (short, exact) in short.iter().zip(&exact) {
                assert_close(short, exact, tolerance, &format!("{dtype:?} {:?}", spec.math));
            }
            all.push(short.iter().flat_map(values).collect());
        }
        if deterministic {
            pinned.push(all);
        }
    }
    assert!(pinned[0] == pinned[1]);
}
