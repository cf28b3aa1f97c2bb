//! Convolutions against seven loops, and their gradients against differences of the seven loops.
#![allow(clippy::unwrap_used)]
mod reference;
use candle_core::{DType, Tensor};
use gan_kernels::act::{Act, act};
use gan_kernels::conv::{
    Conv2d, ConvGrads, ConvTranspose2d, PadMode, WeightGrad, conv_transpose2d, conv_transpose2d_act,
    conv_transpose2d_backward, conv2d, conv2d_act, conv2d_backward,
};
use gan_kernels::dispatch::{ConvAlgorithm, InstructionSet, force, force_instructions, instructions, precise};
use gan_kernels::grad::GradState;
use gan_kernels::weight::{Version, Weight};
use reference::{assert_close, assert_slope, device, dot, normal, slope, values};

/// n, ci, co, h, w, kernel, stride, padding
type Case = (usize, usize, usize, usize, usize, [usize; 2], usize, [usize; 2]);

const CASES: &[Case] = &[
    (1, 1, 1, 1, 1, [1; 2], 1, [0; 2]),
    (2, 3, 5, 7, 9, [1; 2], 1, [0; 2]),
    (2, 3, 5, 7, 9, [1; 2], 2, [1; 2]),
    (2, 3, 5, 9, 7, [3; 2], 1, [1; 2]),
    (1, 4, 6, 5, 6, [3; 2], 1, [0; 2]),
    (1, 5, 4, 6, 5, [3; 2], 1, [2; 2]),
    (2, 3, 9, 8, 7, [3; 2], 2, [1; 2]),
    (1, 2, 3, 9, 8, [3; 2], 2, [0; 2]),
    (1, 17, 19, 11, 13, [3; 2], 1, [1; 2]),
    (2, 3, 5, 9, 8, [4; 2], 1, [1; 2]),
    (1, 4, 3, 5, 5, [4; 2], 1, [2; 2]),
    (2, 3, 5, 8, 10, [4; 2], 2, [1; 2]),
    (1, 3, 5, 9, 7, [4; 2], 2, [2; 2]),
    (1, 6, 7, 2, 2, [4; 2], 2, [1; 2]),
    (1, 3, 8, 9, 11, [7; 2], 1, [3; 2]),
    (1, 8, 3, 11, 9, [7; 2], 1, [3; 2]),
    (1, 2, 3, 12, 9, [7; 2], 2, [3; 2]),
    (1, 2, 2, 40, 37, [3; 2], 1, [1; 2]),
    (1, 2, 2, 37, 40, [4; 2], 2, [1; 2]),
    (1, 3, 2, 6, 7, [3; 2], 3, [1; 2]),
    (1, 2, 3, 23, 26, [11; 2], 4, [2; 2]),
    (2, 3, 5, 9, 8, [1, 7], 1, [0, 3]),
    (1, 4, 6, 8, 9, [7, 1], 1, [3, 0]),
    (2, 3, 4, 5, 6, [1, 3], 1, [0, 1]),
    (1, 5, 3, 6, 5, [3, 1], 1, [1, 0]),
    (1, 2, 3, 9, 10, [3, 2], 2, [1, 0]),
    (1, 3, 2, 8, 7, [3, 3], 1, [2, 0]),
    (1, 3, 2, 7, 8, [3, 3], 2, [0, 1]),
];

fn modes(h: usize, w: usize, padding: [usize; 2]) -> Vec<PadMode> {
    match padding {
        [0, 0] => vec![PadMode::Zero],
        [up, left] if up < h && left < w => vec![PadMode::Zero, PadMode::Reflect, PadMode::Replicate],
        _ => vec![PadMode::Zero, PadMode::Replicate],
    }
}

fn each_conv(f: impl Fn(Case, Conv2d)) {
    for &case in CASES {
        let (_, _, _, h, w, _, stride, padding) = case;
        for pad_mode in modes(h, w, padding) {
            f(case, Conv2d { stride, padding, pad_mode, ..Conv2d::default() });
        }
    }
}

/// Runs with every family of kernels on every instruction set (those that the processor lacks repeat a lower one). A GPU
/// has one kind.
fn each_kernel(f: impl Fn(&str)) {
    if device().is_cuda() {
        return f("cuDNN");
    }
    for set in [InstructionSet::Portable, InstructionSet::Avx2, InstructionSet::Avx512] {
        let _set = force_instructions(set);
        for family in [
            None,
            Some(ConvAlgorithm::Portable),
            Some(ConvAlgorithm::ImplicitGemm),
            Some(ConvAlgorithm::Im2col),
            Some(ConvAlgorithm::Winograd),
        ] {
            let _family = family.map(force);
            f(&format!("{family:?} {:?}", instructions()));
        }
    }
}

#[test]
fn forward_equals_seven_loops() {
    each_conv(|case, spec| {
        let (n, ci, co, h, w, [kh, kw], ..) = case;
        let (x, weight, bias) = (normal((n, ci, h, w), 1), normal((co, ci, kh, kw), 2), normal(co, 3));
        for bias in [None, Some(&bias)] {
            let expected = reference::conv2d(&x, &weight, bias, &spec);
            let y = conv2d(&x, &Weight::constant(weight.clone()), bias, &spec).unwrap();
            assert_close(&y, &expected, 1e-12, &format!("{case:?} {spec:?}"));
            let bias = bias.map(reference::f32);
            let weight = Weight::constant(reference::f32(&weight));
            each_kernel(|kernel| {
                let y = conv2d(&reference::f32(&x), &weight, bias.as_ref(), &spec).unwrap();
                assert_close(&y, &expected, 3e-5, &format!("{kernel} {case:?} {spec:?}"));
            });
        }
    });
}

#[test]
fn gradients_equal_differences() {
    each_conv(|case, spec| {
        let (n, ci, co, h, w, [kh, kw], ..) = case;
        let (x, weight, bias) = (normal((n, ci, h, w), 1), normal((co, ci, kh, kw), 2), normal(co, 3));
        let y = reference::conv2d(&x, &weight, Some(&bias), &spec);
        let dy = normal(y.shape(), 4);
        for dtype in [DType::F64, DType::F32] {
            let tolerance = if dtype == DType::F64 { 1e-8 } else { 2e-4 };
            let cast = |t: &Tensor| t.to_dtype(dtype).unwrap();
            let dw = Tensor::zeros(weight.shape(), dtype, &device()).unwrap();
            let db = Tensor::zeros(co, dtype, &device()).unwrap();
            let grads = ConvGrads {
                input: Some((h, w)),
                weight: Some(WeightGrad { x: &cast(&x), into: &dw, state: None }),
                bias: Some(&db),
            };
            let dx = conv2d_backward(&cast(&dy), &Weight::constant(cast(&weight)), &spec, grads).unwrap().unwrap();
            for seed in 10..13 {
                let what = format!("{dtype:?} {case:?} {spec:?}");
                let v = normal(x.shape(), seed);
                let expected = slope(&x, &v, 1.0, |x| dot(&dy, &reference::conv2d(x, &weight, None, &spec)));
                assert_slope(dot(&dx, &v), expected, tolerance, &format!("input {what}"));
                let v = normal(weight.shape(), seed);
                let expected = slope(&weight, &v, 1.0, |w| dot(&dy, &reference::conv2d(&x, w, None, &spec)));
                assert_slope(dot(&dw, &v), expected, tolerance, &format!("weight {what}"));
                let v = normal(co, seed);
                let expected = slope(&bias, &v, 1.0, |b| dot(&dy, &reference::conv2d(&x, &weight, Some(b), &spec)));
                assert_slope(dot(&db, &v), expected, tolerance, &format!("bias {what}"));
            }
        }
    });
}

/// A kernel's activation is the operator's, bit for bit.
#[test]
fn an_activation_behind_a_convolution_changes_nothing_else() {
    if device().is_cuda() {
        return;
    }
    each_conv(|case, spec| {
        let (n, ci, co, h, w, [kh, kw], ..) = case;
        let (x, weight, bias) = (normal((n, ci, h, w), 1), normal((co, ci, kh, kw), 2), normal(co, 3));
        let check = |x: &Tensor, weight: &Weight, bias: &Tensor, what: &str| {
            let y = conv2d(x, weight, Some(bias), &spec).unwrap();
            for a in [Act::Relu, Act::LeakyRelu, Act::Tanh] {
                let have = conv2d_act(x, weight, Some(bias), &spec, a).unwrap();
                assert_eq!(values(&have), values(&act(&y, a).unwrap()), "{a:?} {what} {case:?} {spec:?}");
            }
        };
        check(&x, &Weight::constant(weight.clone()), &bias, "F64");
        let (x, weight, bias) = (reference::f32(&x), Weight::constant(reference::f32(&weight)), reference::f32(&bias));
        each_kernel(|kernel| check(&x, &weight, &bias, kernel));
    });
}

/// All three passes of a convolution.
fn passes(x: &Tensor, w: &Tensor, dy: &Tensor, spec: &Conv2d) -> [Tensor; 3] {
    let like = |t: &Tensor| t.to_dtype(x.dtype()).unwrap();
    let (w, dy) = (like(w), like(dy));
    let (_, _, h, width) = x.dims4().unwrap();
    let dw = w.zeros_like().unwrap();
    let weight = Weight::constant(w);
    let grads =
        ConvGrads { input: Some((h, width)), weight: Some(WeightGrad { x, into: &dw, state: None }), bias: None };
    let y = conv2d(x, &weight, None, spec).unwrap();
    let dx = conv2d_backward(&dy, &weight, spec, grads).unwrap().unwrap();
    [y, dx, dw]
}

#[test]
fn every_kernel_has_the_same_gradients() {
    each_conv(|case, spec| {
        let (n, ci, co, h, w, [kh, kw], ..) = case;
        let (x, weight) = (normal((n, ci, h, w), 1), normal((co, ci, kh, kw), 2));
        let (ho, wo) = spec.output_hw((kh, kw), (h, w)).unwrap();
        let dy = normal((n, co, ho, wo), 3);
        let exact = passes(&x, &weight, &dy, &spec);
        each_kernel(|kernel| {
            let single = passes(&reference::f32(&x), &weight, &dy, &spec);
            for ((single, exact), pass) in single.iter().zip(&exact).zip(["forward", "data", "weight"]) {
                assert_close(single, exact, 3e-5, &format!("{pass} {kernel} {case:?} {spec:?}"));
            }
        });
    });
}

/// n, ci, co, h, w, kernel, stride, padding, output padding
const TRANSPOSED: &[[usize; 9]] = &[
    [1, 1, 1, 1, 1, 1, 1, 0, 0],
    [2, 3, 5, 4, 5, 3, 2, 1, 1],
    [1, 3, 5, 5, 4, 3, 2, 1, 0],
    [1, 9, 4, 3, 3, 3, 1, 1, 0],
    [2, 5, 3, 4, 6, 4, 2, 1, 0],
    [1, 6, 7, 1, 1, 4, 2, 1, 0],
    [1, 2, 3, 3, 4, 7, 2, 3, 1],
    [1, 2, 3, 19, 18, 4, 2, 1, 0],
    [1, 2, 3, 3, 5, 2, 3, 0, 2],
];

#[test]
fn transposed_equals_stamping_and_its_gradients_equal_differences() {
    for &case in TRANSPOSED {
        let [n, ci, co, h, w, k, stride, padding, output_padding] = case;
        let spec = ConvTranspose2d { stride, padding, output_padding, ..ConvTranspose2d::default() };
        let (x, weight, bias) = (normal((n, ci, h, w), 1), normal((ci, co, k, k), 2), normal(co, 3));
        let expected = reference::conv_transpose2d(&x, &weight, Some(&bias), &spec);
        let dy = normal(expected.shape(), 4);
        for dtype in [DType::F64, DType::F32] {
            let tolerance = if dtype == DType::F64 { 1e-8 } else { 2e-4 };
            let cast = |t: &Tensor| t.to_dtype(dtype).unwrap();
            let what = format!("{dtype:?} {case:?}");
            let packed = Weight::constant(cast(&weight));
            let y = conv_transpose2d(&cast(&x), &packed, Some(&cast(&bias)), &spec).unwrap();
            assert_close(&y, &expected, tolerance * 0.1, &what);
            let hw = spec.output_hw((k, k), (h, w)).unwrap();
            assert_eq!(y.dims(), [n, co, hw.0, hw.1]);
            let dw = Tensor::zeros(weight.shape(), dtype, &device()).unwrap();
            let db = Tensor::zeros(co, dtype, &device()).unwrap();
            let grads = ConvGrads {
                input: Some((h, w)),
                weight: Some(WeightGrad { x: &cast(&x), into: &dw, state: None }),
                bias: Some(&db),
            };
            let dx = conv_transpose2d_backward(&cast(&dy), &packed, &spec, grads).unwrap().unwrap();
            for seed in 10..13 {
                let run = reference::conv_transpose2d;
                let v = normal(x.shape(), seed);
                let expected = slope(&x, &v, 1.0, |x| dot(&dy, &run(x, &weight, None, &spec)));
                assert_slope(dot(&dx, &v), expected, tolerance, &format!("input {what}"));
                let v = normal(weight.shape(), seed);
                let expected = slope(&weight, &v, 1.0, |w| dot(&dy, &run(&x, w, None, &spec)));
                assert_slope(dot(&dw, &v), expected, tolerance, &format!("weight {what}"));
                let v = normal(co, seed);
                let expected = slope(&bias, &v, 1.0, |b| dot(&dy, &run(&x, &weight, Some(b), &spec)));
                assert_slope(dot(&db, &v), expected, tolerance, &format!("bias {what}"));
            }
        }
    }
}

/// F32 against F64 at the channel counts of real networks.
#[test]
fn f32_agrees_with_f64_at_real_channel_counts() {
    let reflect = |padding, stride| Conv2d { stride, padding, pad_mode: PadMode::Reflect, ..Conv2d::default() };
    let zero = |padding, stride| Conv2d { stride, padding, ..Conv2d::default() };
    for (ci, co, hw, [kh, kw], spec) in [
        (64, 64, 24, [3; 2], reflect([1; 2], 1)),
        (256, 256, 16, [3; 2], reflect([1; 2], 1)),
        (64, 128, 18, [4; 2], zero([1; 2], 2)),
        (256, 256, 17, [4; 2], zero([1; 2], 1)),
        (64, 128, 20, [3; 2], zero([1; 2], 2)),
        (64, 3, 20, [7; 2], reflect([3; 2], 1)),
        (3, 64, 20, [7; 2], reflect([3; 2], 1)),
        (256, 256, 4, [4; 2], zero([1; 2], 2)),
        (128, 192, 17, [1, 7], zero([0, 3], 1)),
        (160, 160, 17, [7, 1], zero([3, 0], 1)),
        (384, 384, 8, [1, 3], zero([0, 1], 1)),
    ] {
        let what = format!("{ci}-{co}@{hw} k{kh}x{kw} {spec:?}");
        let (x, w) = (normal((1, ci, hw, hw), 1), (normal((co, ci, kh, kw), 2) * 0.02).unwrap());
        let (ho, wo) = spec.output_hw((kh, kw), (hw, hw)).unwrap();
        let dy = normal((1, co, ho, wo), 3);
        let exact = passes(&x, &w, &dy, &spec);
        each_kernel(|kernel| {
            let single = passes(&reference::f32(&x), &w, &dy, &spec);
            for ((single, exact), pass) in single.iter().zip(&exact).zip(["forward", "data", "weight"]) {
                assert_close(single, exact, 3e-5, &format!("{pass} {kernel} {what}"));
            }
        });
    }
}

/// Bit for bit, at a size where the work is split. (On a GPU cuDNN's fastest algorithms may give other bits in every run.)
#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    if device().is_cuda() {
        return;
    }
    for (ci, co, hw, k, stride, pad_mode) in
        [(16, 24, 40, 3, 1, PadMode::Reflect), (24, 16, 40, 4, 2, PadMode::Zero), (32, 32, 8, 4, 2, PadMode::Zero)]
    {
        let spec = Conv2d { stride, padding: [1; 2], pad_mode, ..Conv2d::default() };
        let (x, w) = (reference::f32(&normal((2, ci, hw, hw), 1)), normal((co, ci, k, k), 2));
        let (ho, wo) = spec.output_hw((k, k), (hw, hw)).unwrap();
        let dy = normal((2, co, ho, wo), 3);
        for family in
            [ConvAlgorithm::Portable, ConvAlgorithm::ImplicitGemm, ConvAlgorithm::Im2col, ConvAlgorithm::Winograd]
        {
            let run = |threads| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| {
                    let _family = force(family);
                    passes(&x, &w, &dy, &spec).map(|t| reference::values(&t))
                })
            };
            assert!(run(1) == run(3), "{family:?} {spec:?}");
        }
    }
}

#[test]
fn gradients_are_added_and_only_what_is_wanted_is_computed() {
    let (x, weight) = (normal((1, 2, 5, 5), 1), normal((3, 2, 3, 3), 2));
    let spec = Conv2d { padding: [1; 2], ..Conv2d::default() };
    let w = Weight::constant(weight.clone());
    let dy = normal((1, 3, 5, 5), 3);
    // A view into the middle of a flat buffer.
    let flat = Tensor::ones(100, DType::F64, &device()).unwrap();
    let into = flat.narrow(0, 20, 54).unwrap().reshape((3, 2, 3, 3)).unwrap();
    let grads = ConvGrads { weight: Some(WeightGrad { x: &x, into: &into, state: None }), ..Default::default() };
    assert!(conv2d_backward(&dy, &w, &spec, grads).unwrap().is_none());
    let once = reference::values(&flat);
    assert!(once[..20].iter().chain(&once[74..]).all(|&v| v == 1.0));
    conv2d_backward(&dy, &w, &spec, grads).unwrap();
    let twice = reference::values(&flat);
    for i in 20..74 {
        assert!((twice[i] - 1.0 - 2.0 * (once[i] - 1.0)).abs() < 1e-9);
        assert_ne!(once[i], 1.0);
    }
}

#[test]
fn many_channels_at_few_pixels_agree_with_direct_sums() {
    if device().is_cuda() {
        return;
    }
    let sets = [InstructionSet::Avx512, InstructionSet::Avx2, InstructionSet::Portable];
    many_channels((3, 1), (1, 516, 200, 9, 8), &sets);
    // More tiles, and transformed weights that are too large to be made as a whole.
    many_channels((3, 1), (1, 516, 460, 31, 30), &sets[..1]);
    // Few tiles of two images, and tiles that do not all make one block.
    many_channels((3, 1), (2, 70, 100, 16, 15), &sets);
    many_channels((3, 1), (1, 130, 129, 91, 90), &sets[..1]);
    // Phases, whose channels do not fill whole panels and pieces.
    many_channels((4, 2), (1, 101, 77, 22, 21), &sets);
    many_channels((4, 2), (1, 77, 101, 15, 31), &sets);
    many_channels((4, 2), (3, 70, 41, 16, 15), &sets);
    many_channels((3, 2), (1, 35, 50, 20, 11), &sets);
}

fn many_channels(
    (kernel, stride): (usize, usize),
    (n, ci, co, h, w): (usize, usize, usize, usize, usize),
    sets: &[InstructionSet],
) {
    for pad_mode in [PadMode::Zero, PadMode::Reflect] {
        let spec = Conv2d { stride, padding: [1; 2], pad_mode, ..Conv2d::default() };
        let (ho, wo) = spec.output_hw((kernel, kernel), (h, w)).unwrap();
        let x = reference::f32(&normal((n, ci, h, w), 1));
        let weight = reference::f32(&normal((co, ci, kernel, kernel), 2));
        let dy = reference::f32(&normal((n, co, ho, wo), 3));
        let passes = |family: ConvAlgorithm| {
            let _family = force(family);
            // Weights in training: their transformed forms are short-lived.
            let version = Version::default();
            version.bump();
            let weight = Weight::new(weight.clone(), version);
            let dw = weight.tensor().zeros_like().unwrap();
            let wanted = WeightGrad { x: &x, into: &dw, state: None };
            let grads = ConvGrads { input: Some((h, w)), weight: Some(wanted), bias: None };
            let y = conv2d(&x, &weight, None, &spec).unwrap();
            let dx = conv2d_backward(&dy, &weight, &spec, grads).unwrap().unwrap();
            [y, dx, dw]
        };
        for &set in sets {
            let _set = force_instructions(set);
            for (fast, direct) in passes(ConvAlgorithm::Winograd).iter().zip(passes(ConvAlgorithm::ImplicitGemm)) {
                assert_close(fast, &direct, 3e-5, &format!("{pad_mode:?} {set:?}"));
            }
        }
    }
}

#[test]
fn cleared_sums_are_overwritten_and_tell_whether_they_are_finite() {
    let bad = f32::NAN;
    each_kernel(|kernel| {
        for (ci, co, side, stride) in [(9, 33, 12, 1), (40, 20, 14, 2)] {
            let spec = Conv2d { stride, padding: [1; 2], ..Conv2d::default() };
            let (ho, wo) = spec.output_hw((4, 4), (side, side)).unwrap();
            let x = reference::f32(&normal((1, ci, side, side), 1));
            let dy = reference::f32(&normal((1, co, ho, wo), 2));
            let w = Weight::constant(reference::f32(&normal((co, ci, 4, 4), 3)));
            let into = Tensor::full(bad, (co, ci, 4, 4), &device()).unwrap();
            let state = GradState::default();
            let add = |dy: &Tensor| {
                let weight = Some(WeightGrad { x: &x, into: &into, state: Some(&state) });
                conv2d_backward(dy, &w, &spec, ConvGrads { weight, ..Default::default() }).unwrap();
                (state.finite(&into).unwrap(), into.copy().unwrap())
            };
            let [_, _, expected] = passes(&x, w.tensor(), &dy, &spec);
            let (finite, once) = add(&dy);
            assert!(finite, "{kernel}");
            assert_close(&once, &expected, 1e-6, &format!("overwritten, {kernel}"));
            let (finite, twice) = add(&dy);
            assert!(finite, "{kernel}");
            assert_close(&twice, &(expected * 2.0).unwrap(), 1e-6, &format!("added, {kernel}"));
            let infinite = (&dy * f64::INFINITY).unwrap();
            assert!(!add(&infinite).0 && !add(&dy).0, "{kernel}");
            state.clear();
            assert!(state.finite(&into).unwrap());
            state.materialize(&into).unwrap();
            assert!(reference::values(&into).iter().all(|&v| v == 0.0), "{kernel}");
        }
    });
}

#[test]
fn an_empty_batch_is_an_empty_result() {
    let spec = Conv2d { padding: [1; 2], ..Conv2d::default() };
    for dtype in [DType::F32, DType::F64] {
        let x = Tensor::zeros((0, 3, 4, 4), dtype, &device()).unwrap();
        let w = Tensor::ones((5, 3, 3, 3), dtype, &device()).unwrap();
        let dy = Tensor::zeros((0, 5, 4, 4), dtype, &device()).unwrap();
        let [y, dx, dw] = passes(&x, &w, &dy, &spec);
        assert_eq!((y.dims(), dx.dims()), (dy.dims(), x.dims()));
        assert_eq!(reference::values(&dw), vec![0.0; 135]);
    }
}

#[test]
fn non_contiguous_inputs_are_taken() {
    let x = normal((1, 6, 7, 2), 1).transpose(1, 3).unwrap();
    let weight = normal((3, 3, 4, 2), 2).transpose(1, 3).unwrap();
    let spec = Conv2d { padding: [1; 2], pad_mode: PadMode::Reflect, ..Conv2d::default() };
    let y = conv2d(&x, &Weight::constant(weight.clone()), None, &spec).unwrap();
    assert_close(&y, &reference::conv2d(&x, &weight, None, &spec), 1e-12, "transposed views");
}

#[test]
fn impossible_shapes_are_errors_with_reasons() {
    let x = normal((1, 2, 3, 3), 1);
    let reason = |co_ci: (usize, usize), k, spec: Conv2d| {
        let w = Weight::constant(normal((co_ci.0, co_ci.1, k, k), 2));
        conv2d(&x, &w, None, &spec).unwrap_err().to_string()
    };
    let spec = Conv2d { padding: [3; 2], pad_mode: PadMode::Reflect, ..Conv2d::default() };
    assert!(reason((1, 2), 3, spec).contains("reflection"));
    let spec = Conv2d::default();
    assert!(reason((1, 2), 4, spec).contains("does not fit"));
    assert!(reason((1, 3), 3, spec).contains("takes 3 channels"));
    assert!(reason((1, 2), 3, Conv2d { stride: 0, ..spec }).contains("stride"));
    assert!(reason((0, 2), 3, spec).contains("no output channels"));
    assert!(reason((2, 2), 0, spec).contains("no elements"));
}

/// So many channels that Winograd convolution holds the sums of a part of them at a time.
#[test]
fn weight_gradients_in_parts() {
    let spec = Conv2d { padding: [1; 2], ..Conv2d::default() };
    let (x, w) = (normal((2, 900, 3, 4), 1), Tensor::zeros((300, 900, 3, 3), DType::F64, &device()).unwrap());
    let dy = normal((2, 300, 3, 4), 3);
    let exact = passes(&x, &w, &dy, &spec);
    let _family = force(ConvAlgorithm::Winograd);
    let single = passes(&reference::f32(&x), &w, &dy, &spec);
    assert_close(&single[2], &exact[2], 3e-5, "weight gradient");
}

/// The figures of the crate's documentation, which are those of the CPU's kernels.
#[test]
fn minimal_filtering_stays_within_its_error() {
    if !device().is_cpu() {
        return;
    }
    let rms = |a: &Tensor, exact: &Tensor| {
        let (a, e) = (reference::values(a), reference::values(exact));
        let norm = |v: &mut dyn Iterator<Item = f64>| v.map(|v| v * v).sum::<f64>().sqrt();
        norm(&mut a.iter().zip(&e).map(|(a, e)| a - e)) / norm(&mut e.iter().copied())
    };
    for (k, stride) in [(3, 1), (4, 1), (3, 2), (4, 2)] {
        let pad_mode = if stride == 1 { PadMode::Reflect } else { PadMode::Zero };
        let spec = Conv2d { stride, padding: [1; 2], pad_mode, ..Conv2d::default() };
        let (h, w) = (17 * stride, 16 * stride - 1);
        let (ho, wo) = spec.output_hw((k, k), (h, w)).unwrap();
        let (x, dy) = (normal((2, 255, h, w), 1), normal((2, 129, ho, wo), 3));
        let w = normal((129, 255, k, k), 2);
        let exact = passes(&x, &w, &dy, &spec);
        let filtered = {
            let _family = force(ConvAlgorithm::Winograd);
            passes(&reference::f32(&x), &w, &dy, &spec)
        };
        let direct = {
            let _precise = precise();
            passes(&reference::f32(&x), &w, &dy, &spec)
        };
        for ((f, d), e) in filtered.iter().zip(&direct).zip(&exact) {
            assert!(rms(f, e) < 4e-6, "Winograd, {k}x{k} stride {stride}: {:e}", rms(f, e));
            assert!(rms(d, e) < 6e-7, "direct, {k}x{k} stride {stride}: {:e}", rms(d, e));
        }
    }
}

/// A NaN of the input, the weight or the bias comes out of every kernel and through the activation behind it.
#[test]
fn what_is_no_number_comes_out() {
    let put = |t: &Tensor, at: usize| {
        let mut all = reference::values(t);
        all[at] = f64::NAN;
        reference::f32(&Tensor::from_vec(all, t.shape(), &device()).unwrap())
    };
    // Small, and large enough for Winograd kernels: n, ci, co, h, w, kernel, stride, padding.
    for (n, ci, co, h, w, k, stride, padding) in
        [(1, 3, 5, 9, 8, 4, 2, 1), (1, 40, 36, 18, 17, 3, 1, 1), (2, 3, 6, 12, 11, 7, 1, 3)]
    {
        let spec = Conv2d { stride, padding: [padding; 2], ..Conv2d::default() };
        let (x, weight, bias) = (normal((n, ci, h, w), 1), normal((co, ci, k, k), 2), normal(co, 3));
        let (xs, ws, bs) = (reference::f32(&x), reference::f32(&weight), reference::f32(&bias));
        let at = (h / 2) * w + w / 2;
        for a in [Act::Identity, Act::Relu, Act::LeakyRelu, Act::Tanh] {
            each_kernel(|kernel| {
                let what = format!("{kernel} {a:?} kernel {k}");
                let run = |x: &Tensor, weight: &Tensor, bias: &Tensor| {
                    let weight = Weight::constant(weight.clone());
                    let y = conv2d_act(x, &weight, Some(bias), &spec, a).unwrap();
                    let (_, _, ho, wo) = y.dims4().unwrap();
                    (reference::values(&y), ho, wo)
                };
                // All outputs whose kernel sees the pixel, in every channel.
                let (y, ho, wo) = run(&put(&x, at), &ws, &bs);
                let sees = |o: usize, i: usize| (o * stride..o * stride + k).contains(&(i + padding));
                for c in 0..co {
                    for (oy, ox) in (0..ho).flat_map(|oy| (0..wo).map(move |ox| (oy, ox))) {
                        if sees(oy, h / 2) && sees(ox, w / 2) {
                            assert!(y[(c * ho + oy) * wo + ox].is_nan(), "{what}: input, {c} {oy} {ox}");
                        }
                    }
                }
                // All pixels of the channel that a weight or a bias belongs to.
                let middle = (ci + 1) * k * k + k * k / 2; // channel 1, in the kernel's middle
                let channel =
                    |y: &[f64], c: usize| y[c * ho * wo..(c + 1) * ho * wo].iter().filter(|y| y.is_nan()).count();
                let (y, ..) = run(&xs, &put(&weight, middle), &bs);
                let inner = (ho - 1).min((h - 1) / stride) * (wo - 1).min((w - 1) / stride) / 2;
                assert!(channel(&y, 1) >= inner && channel(&y, 0) == 0, "{what}: weight, {}", channel(&y, 1));
                let (y, ..) = run(&xs, &ws, &put(&bias, 1));
                assert!(channel(&y, 1) == ho * wo && channel(&y, 0) == 0, "{what}: bias");
                // The other way.
                let spec = ConvTranspose2d { stride, padding, ..ConvTranspose2d::default() };
                let z = reference::f32(&normal((n, co, ho, wo), 4));
                let weight = Weight::constant(ws.clone());
                let y = conv_transpose2d_act(&put(&z, (ho / 2) * wo + wo / 2), &weight, None, &spec, a).unwrap();
                assert!(reference::values(&y).iter().filter(|y| y.is_nan()).count() >= ci * k, "{what}: transposed");
            });
        }
    }
}

/// Runs the tests of this file once more in a process whose working memory holds NaN until it is written: a result, or the
/// verdict that it is finite, that depends on what was there before is wrong now and then.
#[test]
fn nothing_depends_on_what_memory_held() {
    let name = "nothing_depends_on_what_memory_held";
    if !device().is_cpu() {
        return;
    }
    let mut again = std::process::Command::new(std::env::current_exe().unwrap());
    let ran = again.args(["--skip", name]).env("GAN_KERNELS", "poison").output().unwrap();
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success() && !said.contains(" 0 passed"), "{said}");
}
