//! Activations, losses, dropout and the optimizer's operators.
#![allow(clippy::unwrap_used)]
mod reference;
use candle_core::{DType, Tensor};
use gan_kernels::act::{Act, LEAKY_SLOPE, act, act_backward};
use gan_kernels::dispatch::{InstructionSet, force_instructions};
use gan_kernels::dropout::dropout;
use gan_kernels::elementwise::{add_assign, all_finite, scale, zero};
use gan_kernels::loss::{L1Term, bce_with_logits, hinge, l1, l1_sum, l1_sum_backward, mean, squared_error};
use gan_kernels::norm::{Group, Norm, NormGrads, norm, norm_backward};
use gan_kernels::optim::{AdamStep, adam};
use gan_rng::{Key, Purpose};
use reference::{assert_close, assert_slope, device, dot, flat, normal, slope, values};

const LONG: usize = 40_003; // more than two chunks, and not a multiple of anything

#[test]
fn activations_and_their_slopes() {
    for a in [Act::Identity, Act::Relu, Act::LeakyRelu, Act::Tanh] {
        let f = |x: f64| match a {
            Act::Identity => x,
            Act::Relu => x.max(0.0),
            Act::LeakyRelu => x.max(0.2 * x),
            Act::Tanh => x.tanh(),
        };
        let (x, dy) = ((normal(LONG, 1) * 4.0).unwrap(), normal(LONG, 2));
        let expected: Vec<f64> = values(&x).into_iter().map(f).collect();
        let slopes: Vec<f64> = values(&x).into_iter().map(|x| (f(x + 1e-7) - f(x - 1e-7)) / 2e-7).collect();
        for dtype in [DType::F64, DType::F32] {
            let (x, dy) = (x.to_dtype(dtype).unwrap(), dy.to_dtype(dtype).unwrap());
            let y = act(&x, a).unwrap();
            assert_close(&y, &Tensor::new(expected.as_slice(), &device()).unwrap(), 1e-6, "activation");
            let dx = values(&act_backward(&y, &dy, a).unwrap());
            for ((dx, dy), slope) in dx.iter().zip(values(&dy)).zip(&slopes) {
                assert!((dx - dy * slope).abs() < 1e-5, "{a:?}: {dx} {dy} {slope}");
            }
        }
    }
}

/// NaN comes out where it went in, infinities become what PyTorch makes of them, and zeros keep the sign they had. The
/// tensor is long enough for whole vectors and for what is left behind them.
#[test]
fn activations_keep_what_is_no_number() {
    let special = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0];
    let places = [0, 5, 17, LONG / 2, LONG - 4];
    let mut input = values(&normal(LONG, 1));
    for at in places {
        input[at..at + 4].copy_from_slice(&special);
    }
    for set in [InstructionSet::Portable, InstructionSet::Avx2, InstructionSet::Avx512] {
        let _set = force_instructions(set);
        for dtype in [DType::F64, DType::F32] {
            let x = Tensor::new(input.as_slice(), &device()).unwrap().to_dtype(dtype).unwrap();
            for (a, [inf, minus_inf, zero]) in [
                (Act::Identity, [f64::INFINITY, f64::NEG_INFINITY, -0.0]),
                (Act::Relu, [f64::INFINITY, 0.0, 0.0]),
                (Act::LeakyRelu, [f64::INFINITY, f64::NEG_INFINITY, -0.0]),
                (Act::Tanh, [1.0, -1.0, -0.0]),
            ] {
                let y = values(&act(&x, a).unwrap());
                for at in places {
                    let what = format!("{a:?} {dtype:?} {set:?} at {at}: {:?}", &y[at..at + 4]);
                    assert!(y[at].is_nan(), "{what}");
                    assert_eq!(y[at + 1..at + 4], [inf, minus_inf, zero], "{what}");
                    let zeros = a != Act::Tanh || dtype == DType::F64;
                    assert!(!zeros || y[at + 3].is_sign_negative() == zero.is_sign_negative(), "{what}");
                }
                let bad = y.iter().filter(|y| !y.is_finite()).count();
                let expected = [inf, minus_inf].iter().filter(|y| !y.is_finite()).count() + 1;
                assert_eq!(bad, expected * places.len(), "{a:?} {dtype:?} {set:?}");
                // Backward: NaN is not taken for a value at which nothing passes.
                let dy = Tensor::ones(LONG, dtype, &device()).unwrap();
                let dx = values(
                    &act_backward(&Tensor::new(y.as_slice(), &device()).unwrap().to_dtype(dtype).unwrap(), &dy, a)
                        .unwrap(),
                );
                for at in places {
                    let passes = match a {
                        Act::Tanh => dx[at].is_nan(),
                        Act::LeakyRelu => (dx[at] - LEAKY_SLOPE).abs() < 1e-6,
                        Act::Identity | Act::Relu => dx[at] == 1.0,
                    };
                    assert!(passes, "{a:?} {dtype:?} {set:?}: gradient {}", dx[at]);
                }
            }
        }
    }
}

#[test]
fn losses_and_their_gradients() {
    let (x, y) = ((normal(LONG, 1) * 3.0).unwrap(), normal(LONG, 2));
    type Loss<'a> = Box<dyn Fn(&Tensor) -> (Tensor, Tensor) + 'a>;
    let cast = |t: &Tensor, like: &Tensor| t.to_dtype(like.dtype()).unwrap();
    type Definition = Box<dyn Fn(f64, f64) -> f64>;
    let all: Vec<(&str, Loss, Definition)> = vec![
        ("squared", Box::new(|x| squared_error(x, 0.9).unwrap()), Box::new(|x, _| (x - 0.9) * (x - 0.9))),
        ("bce 1", Box::new(|x| bce_with_logits(x, 1.0).unwrap()), Box::new(|x, _| (-x).exp().ln_1p())),
        ("bce 0", Box::new(|x| bce_with_logits(x, 0.0).unwrap()), Box::new(|x, _| x.exp().ln_1p())),
        ("hinge 1", Box::new(|x| hinge(x, 1.0).unwrap()), Box::new(|x, _| (1.0 - x).max(0.0))),
        ("hinge -1", Box::new(|x| hinge(x, -1.0).unwrap()), Box::new(|x, _| (1.0 + x).max(0.0))),
        ("mean", Box::new(|x| mean(x, -2.5).unwrap()), Box::new(|x, _| -2.5 * x)),
        ("l1", Box::new(|x| l1(x, &cast(&y, x)).unwrap()), Box::new(|x, y| (x - y).abs())),
    ];
    for (name, loss, definition) in all {
        let expected: f64 =
            values(&x).iter().zip(values(&y)).map(|(&x, y)| definition(x, y)).sum::<f64>() / LONG as f64;
        for dtype in [DType::F64, DType::F32] {
            let (value, gradient) = loss(&x.to_dtype(dtype).unwrap());
            assert_eq!(value.dims(), &[] as &[usize]);
            let tolerance = if dtype == DType::F64 { 1e-12 } else { 1e-6 };
            assert!((values(&value)[0] - expected).abs() < tolerance * expected.abs(), "{name} {dtype:?}");
            let v = normal(LONG, 3);
            let differences = slope(&x, &v, 1e-5, |x| values(&loss(x).0)[0]);
            assert!((dot(&gradient, &v) - differences).abs() < 1e-6, "{name} {dtype:?}");
        }
    }
    // Where the logits are far out, the stable form stays finite.
    let far = Tensor::new(&[-500f32, 500.0], &device()).unwrap();
    let (value, gradient) = bce_with_logits(&far, 1.0).unwrap();
    assert_eq!(value.to_scalar::<f32>().unwrap(), 250.0);
    assert_eq!(gradient.to_vec1::<f32>().unwrap(), [-0.5, 0.0]);
    assert_eq!(values(&l1(&x, &x).unwrap().1), vec![0.0; LONG]);
}

/// Many terms at once, more than a launch takes on CUDA among them.
#[test]
fn sums_of_distances_are_their_sum() {
    for dtype in [DType::F64, DType::F32] {
        for count in [1, 3, 70] {
            let long = |k: usize| if k == 1 { LONG * 7 } else { 1 + k * 101 % 997 };
            let term = |k: usize| {
                let of = |seed| normal(long(k), seed).to_dtype(dtype).unwrap();
                L1Term { x: of(k as u64), y: of(1000 + k as u64), weight: 0.5 + k as f64 }
            };
            let terms: Vec<L1Term> = (0..count).map(term).collect();
            let upstream = Tensor::new(-2.0, &device()).unwrap().to_dtype(dtype).unwrap();
            let gradients = l1_sum_backward(&terms, &upstream).unwrap();
            let mut expected = 0.0;
            for (L1Term { x, y, weight }, gradient) in terms.iter().zip(&gradients) {
                let (value, one) = l1(x, y).unwrap();
                expected += weight * values(&value)[0];
                assert_close(gradient, &(one * (-2.0 * weight)).unwrap(), 1e-6, "gradient");
            }
            let sum = l1_sum(&terms).unwrap();
            assert_eq!((sum.dims(), sum.dtype()), (&[] as &[usize], dtype));
            assert!((values(&sum)[0] - expected).abs() < 1e-6 * expected, "{} and {expected}", values(&sum)[0]);
            assert_eq!(values(&l1_sum(&terms).unwrap()), values(&sum));
        }
    }
    let (x, upstream) = (normal(3, 1), Tensor::new(1.0, &device()).unwrap());
    let same = [L1Term { x: x.clone(), y: x.clone(), weight: 1.0 }];
    assert_eq!(values(&l1_sum_backward(&same, &upstream).unwrap()[0]), [0.0; 3]);
    assert!(l1_sum(&[]).is_err() && l1_sum_backward(&same, &x).is_err());
    let short = L1Term { x: x.clone(), y: normal(2, 1), weight: 1.0 };
    let single = L1Term { x: reference::f32(&x), y: reference::f32(&x), weight: 1.0 };
    assert!(l1_sum(&[short]).is_err() && l1_sum(&[same[0].clone(), single]).is_err());
}

#[test]
fn dropout_keeps_exactly_what_its_key_says() {
    let key = Key::new(7, Purpose::Dropout).at(3);
    for dtype in [DType::F64, DType::F32] {
        let x = normal(LONG, 1).to_dtype(dtype).unwrap();
        let y = values(&dropout(&x, 0.3, key).unwrap());
        let mut kept = 0;
        for (i, (x, y)) in values(&x).iter().zip(&y).enumerate() {
            let keep = f64::from(key.block(i as u64 / 4)[i % 4]) >= 0.3 * 4_294_967_296.0;
            let expected = if keep { x / 0.7 } else { 0.0 };
            assert!((y - expected).abs() <= 1e-6 * expected.abs(), "element {i}: {y} {expected}");
            kept += usize::from(keep);
        }
        assert!((kept as f64 / LONG as f64 - 0.7).abs() < 0.01);
    }
    let x = normal(10, 1);
    assert_eq!(values(&dropout(&x, 0.0, key).unwrap()), values(&x));
    assert!(dropout(&x, 1.0, key).is_err());
}

#[test]
fn adam_follows_its_definition_inside_the_range() {
    for dtype in [DType::F64, DType::F32] {
        let n = LONG;
        let state = normal((3, n), 1);
        // Second moments are squares.
        let state = Tensor::cat(&[state.narrow(0, 0, 2).unwrap(), state.narrow(0, 2, 1).unwrap().sqr().unwrap()], 0);
        let state = state.unwrap().to_dtype(dtype).unwrap();
        let grad = normal(n, 2).to_dtype(dtype).unwrap();
        let before = values(&state);
        let hp = AdamStep { lr: 2e-4, beta1: 0.5, beta2: 0.999, eps: 1e-8, step: 3 };
        adam(&state, &flat(&grad), 5..n - 7, &hp).unwrap();
        let (after, g) = (values(&state), values(&grad));
        for i in 0..n {
            let (w, m, v) = (before[i], before[n + i], before[2 * n + i]);
            if !(5..n - 7).contains(&i) {
                assert_eq!([w, m, v], [after[i], after[n + i], after[2 * n + i]]);
                continue;
            }
            let m = 0.5 * m + 0.5 * g[i];
            let v = 0.999 * v + 0.001 * g[i] * g[i];
            let w = w - 2e-4 * (m / (1.0 - 0.125)) / ((v / (1.0 - 0.999f64.powi(3))).sqrt() + 1e-8);
            let tolerance = if dtype == DType::F64 { 1e-12 } else { 1e-6 };
            for (got, expected) in [(after[i], w), (after[n + i], m), (after[2 * n + i], v)] {
                assert_slope(got, expected, tolerance, "adam");
            }
        }
        // The same from gradients in parts, one of which lies outside of the range.
        let parts = Tensor::from_vec(before, (3, n), &grad.device().clone()).unwrap().to_dtype(dtype).unwrap();
        let grads =
            [(0, 4), (4, n / 3), (4 + n / 3, n - 4 - n / 3)].map(|(at, len)| (at, grad.narrow(0, at, len).unwrap()));
        adam(&parts, &grads, 5..n - 7, &hp).unwrap();
        assert_eq!(values(&parts), after);
        assert!(adam(&parts, &grads[..2], 5..n - 7, &hp).is_err());
    }
    let (state, grad) = (normal((3, 4), 1), normal(4, 2));
    let hp = AdamStep { lr: 1.0, beta1: 0.5, beta2: 0.9, eps: 1e-8, step: 0 };
    assert!(adam(&state, &flat(&grad), 0..4, &hp).is_err());
    assert!(adam(&state, &flat(&grad), 0..5, &AdamStep { step: 1, ..hp }).is_err());
    assert!(adam(&grad, &flat(&grad), 0..4, &AdamStep { step: 1, ..hp }).is_err());
}

#[test]
fn whole_buffer_operators_respect_views() {
    let flat = normal(100, 1);
    let before = values(&flat);
    let (view, other) = (flat.narrow(0, 10, 20).unwrap(), flat.narrow(0, 40, 20).unwrap());
    add_assign(&view, &other).unwrap(); // two views of one storage
    let after = values(&flat);
    for i in 0..100 {
        let expected = if (10..30).contains(&i) { before[i] + before[i + 30] } else { before[i] };
        assert_eq!(after[i], expected);
    }
    zero(&view).unwrap();
    let after = values(&flat);
    assert!(after[10..30].iter().all(|&v| v == 0.0) && after[30..] == before[30..] && after[..10] == before[..10]);
}

#[test]
fn scaling_tells_what_is_not_finite() {
    if !device().is_cpu() {
        return;
    }
    let x = normal(40_000, 1);
    let single = reference::f32(&x);
    let expected = reference::values(&(&single * 0.3).unwrap());
    assert!(scale(&single, 0.3).unwrap());
    assert_eq!(reference::values(&single), expected);
    for at in [0, 1023, 39_999] {
        let mut values = reference::values(&x);
        values[at] = 3e38;
        let x = reference::f32(&Tensor::new(values, &device()).unwrap());
        assert!(!scale(&x, 2.0).unwrap(), "{at}");
    }
}

#[test]
fn non_finite_elements_are_found_wherever_they_are() {
    let x = normal(LONG, 1);
    assert!(all_finite(&x).unwrap() && all_finite(&reference::f32(&x)).unwrap());
    for at in [0, 15, 1023, 1024, 20_000, LONG - 1] {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut v = reference::f32(&x).to_vec1::<f32>().unwrap();
            v[at] = bad;
            assert!(!all_finite(&Tensor::new(v.as_slice(), &device()).unwrap()).unwrap(), "{bad} at {at}");
        }
    }
    let huge = Tensor::full(f32::MAX, 1000, &device()).unwrap();
    assert!(all_finite(&huge).unwrap());
}

/// Bit for bit.
#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let x = reference::f32(&normal((2, 5, 90, 91), 1));
    let y = reference::f32(&normal((2, 5, 90, 91), 2));
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let mut all = Vec::new();
            for group in [Group::Instance, Group::Batch] {
                let spec = Norm { group, eps: 1e-5, act: Act::LeakyRelu };
                let (out, moments) = norm(&x, &spec, None, Some(&y)).unwrap();
                let grads = NormGrads { input: true, affine: None };
                let dx = norm_backward(&x, &moments, &y, &spec, None, grads).unwrap().unwrap();
                all.extend([out, moments.mean, moments.var, dx]);
            }
            for (value, gradient) in [
                squared_error(&x, 1.0).unwrap(),
                bce_with_logits(&x, 0.0).unwrap(),
                l1(&x, &y).unwrap(),
                mean(&x, 2.0).unwrap(),
            ] {
                all.extend([value, gradient]);
            }
            all.push(dropout(&x, 0.5, Key::new(1, Purpose::Test)).unwrap());
            all.iter().map(values).collect::<Vec<_>>()
        })
    };
    assert!(run(1) == run(3));
}

#[test]
fn instruction_sets_agree() {
    let x = reference::f32(&normal((2, 5, 33, 31), 1));
    let run = |set| {
        let _set = force_instructions(set);
        let spec = Norm { group: Group::Instance, eps: 1e-5, act: Act::Tanh };
        let (y, moments) = norm(&x, &spec, None, None).unwrap();
        let grads = NormGrads { input: true, affine: None };
        let dx = norm_backward(&x, &moments, &x, &spec, None, grads).unwrap().unwrap();
        [y, dx, act(&x, Act::Tanh).unwrap(), l1(&x, &x.affine(0.5, 0.1).unwrap()).unwrap().1]
    };
    let plain = run(InstructionSet::Portable);
    for set in [InstructionSet::Avx2, InstructionSet::Avx512] {
        for (a, b) in run(set).iter().zip(&plain) {
            assert_close(a, b, 1e-6, "instruction sets");
        }
    }
}
