//! Normalizations against their definition, gradients against differences.
#![allow(clippy::unwrap_used)]
mod reference;
use candle_core::{DType, Tensor};
use gan_kernels::act::{Act, LEAKY_SLOPE};
use gan_kernels::dispatch::{InstructionSet, force_instructions};
use gan_kernels::norm::{
    Affine, Group, Moments, Norm, NormGrads, norm, norm_backward, norm_with, norm_with_backward, update_running,
};
use reference::{assert_close, assert_slope, device, dot, normal, slope, values};

const SHAPES: &[(usize, usize, usize, usize)] = &[(1, 3, 4, 5), (2, 5, 7, 3), (3, 2, 1, 2), (2, 2, 37, 41)];

fn specs() -> Vec<Norm> {
    let mut all = Vec::new();
    for group in [Group::Instance, Group::Batch] {
        for act in [Act::Identity, Act::Relu, Act::LeakyRelu, Act::Tanh] {
            all.push(Norm { group, eps: 1e-5, act });
        }
    }
    all
}

fn groups(group: Group, n: usize, c: usize) -> usize {
    if group == Group::Instance { n * c } else { c }
}

fn activation(a: Act, z: f64) -> f64 {
    match a {
        Act::Identity => z,
        Act::Relu => z.max(0.0),
        Act::LeakyRelu => z.max(LEAKY_SLOPE * z),
        Act::Tanh => z.tanh(),
    }
}

/// The definition; `given` fixes the statistics.
fn definition(
    x: &Tensor,
    spec: &Norm,
    affine: Option<(&Tensor, &Tensor)>,
    residual: Option<&Tensor>,
    given: Option<(&[f64], &[f64])>,
) -> (Tensor, Vec<f64>, Vec<f64>) {
    let (n, c, h, w) = x.dims4().unwrap();
    let xs = values(x);
    let group = |i: usize| {
        let plane = i / (h * w);
        if spec.group == Group::Instance { plane } else { plane % c }
    };
    let count = groups(spec.group, n, c);
    let size = (xs.len() / count) as f64;
    let (mut mean, mut var) = (vec![0.0; count], vec![0.0; count]);
    for (i, x) in xs.iter().enumerate() {
        mean[group(i)] += x / size;
    }
    for (i, x) in xs.iter().enumerate() {
        var[group(i)] += (x - mean[group(i)]).powi(2) / size;
    }
    if let Some((m, v)) = given {
        (mean, var) = (m.to_vec(), v.to_vec());
    }
    let affine = affine.map(|(w, b)| (values(w), values(b)));
    let residual = residual.map(values);
    let out: Vec<f64> = (0..xs.len())
        .map(|i| {
            let hat = (xs[i] - mean[group(i)]) / (var[group(i)] + spec.eps).sqrt();
            let channel = i / (h * w) % c;
            let z = affine.as_ref().map_or(hat, |(w, b)| w[channel] * hat + b[channel]);
            residual.as_ref().map_or(0.0, |r| r[i]) + activation(spec.act, z)
        })
        .collect();
    (Tensor::from_vec(out, x.shape(), &device()).unwrap(), mean, var)
}

#[test]
fn forward_equals_the_definition() {
    for &(n, c, h, w) in SHAPES {
        for spec in specs() {
            let x = ((normal((n, c, h, w), 1) * 3.0).unwrap() + 5.0).unwrap();
            let (weight, bias, residual) = (normal(c, 2), normal(c, 3), normal(x.shape(), 4));
            for with_affine in [false, true] {
                for residual in [None, Some(&residual)] {
                    let tensors = with_affine.then_some((&weight, &bias));
                    let (expected, mean, var) = definition(&x, &spec, tensors, residual, None);
                    for dtype in [DType::F64, DType::F32] {
                        let tolerance = if dtype == DType::F64 { 1e-12 } else { 2e-5 };
                        let cast = |t: &Tensor| t.to_dtype(dtype).unwrap();
                        let (weight, bias, residual) = (cast(&weight), cast(&bias), residual.map(cast));
                        let affine = with_affine.then_some(Affine { weight: &weight, bias: &bias });
                        let (y, moments) = norm(&cast(&x), &spec, affine, residual.as_ref()).unwrap();
                        assert_close(&y, &expected, tolerance, &format!("{dtype:?} {spec:?}"));
                        for (got, expected) in [(&moments.mean, &mean), (&moments.var, &var)] {
                            let expected = Tensor::new(expected.as_slice(), &device()).unwrap();
                            assert_close(got, &expected, tolerance, "moments");
                        }
                        let again = norm_with(&cast(&x), &moments, &spec, affine, residual.as_ref()).unwrap();
                        assert_eq!(values(&again), values(&y));
                    }
                }
            }
        }
    }
}

#[test]
fn gradients_equal_differences() {
    // ReLU's kink spoils differences: small steps, and a tolerance for the rare element that crosses it.
    for &(n, c, h, w) in &SHAPES[..3] {
        for spec in specs() {
            for own in [true, false] {
                let x = (normal((n, c, h, w), 1) * 2.0).unwrap();
                let (weight, bias, dy) = (normal(c, 2), normal(c, 3), normal(x.shape(), 4));
                let count = groups(spec.group, n, c);
                let given = (values(&normal(count, 5)), values(&normal(count, 6).sqr().unwrap()));
                let fixed = (!own).then_some((given.0.as_slice(), given.1.as_slice()));
                let run =
                    |x: &Tensor, w: &Tensor, b: &Tensor| dot(&dy, &definition(x, &spec, Some((w, b)), None, fixed).0);
                let affine = Some(Affine { weight: &weight, bias: &bias });
                let (dw, db) = (weight.zeros_like().unwrap(), bias.zeros_like().unwrap());
                let grads = NormGrads { input: true, affine: Some(Affine { weight: &dw, bias: &db }) };
                let moments = if own {
                    norm(&x, &spec, affine, None).unwrap().1
                } else {
                    Moments {
                        mean: Tensor::new(given.0.as_slice(), &device()).unwrap(),
                        var: Tensor::new(given.1.as_slice(), &device()).unwrap(),
                    }
                };
                let backward = if own { norm_backward } else { norm_with_backward };
                let dx = backward(&x, &moments, &dy, &spec, affine, grads).unwrap().unwrap();
                let what = format!("own {own} {spec:?} {:?}", x.dims());
                let v = normal(x.shape(), 7);
                let expected = slope(&x, &v, 1e-6, |x| run(x, &weight, &bias));
                assert_slope(dot(&dx, &v), expected, 1e-5, &format!("input {what}"));
                let v = normal(c, 8);
                let expected = slope(&weight, &v, 1e-6, |w| run(&x, w, &bias));
                assert_slope(dot(&dw, &v), expected, 1e-5, &format!("scale {what}"));
                let expected = slope(&bias, &v, 1e-6, |b| run(&x, &weight, b));
                assert_slope(dot(&db, &v), expected, 1e-5, &format!("shift {what}"));
            }
        }
    }
}

#[test]
fn f32_gradients_agree_with_f64() {
    for spec in specs() {
        let x = ((normal((2, 64, 33, 31), 1) * 2.0).unwrap() + 1.0).unwrap();
        let dy = normal(x.shape(), 2);
        let run = |x: &Tensor, dy: &Tensor| {
            let (_, moments) = norm(x, &spec, None, None).unwrap();
            let grads = NormGrads { input: true, affine: None };
            norm_backward(x, &moments, dy, &spec, None, grads).unwrap().unwrap()
        };
        let (exact, single) = (values(&run(&x, &dy)), values(&run(&reference::f32(&x), &reference::f32(&dy))));
        // An element at the kink may take the other slope; all others agree.
        let far = exact.iter().zip(&single).filter(|(a, b)| (*a - *b).abs() > 2e-5).count();
        assert!(far <= 8, "{spec:?}: {far} of {} differ", exact.len());
    }
}

#[test]
fn running_statistics_follow_the_definition() {
    let moments = Moments { mean: normal(4, 1), var: normal(4, 2).sqr().unwrap() };
    let running = Moments { mean: normal(4, 3), var: normal(4, 4).sqr().unwrap() };
    let (mean, var) = (values(&running.mean), values(&running.var));
    update_running(&moments, 10, 0.1, &running).unwrap();
    for i in 0..4 {
        let expected = 0.9 * mean[i] + 0.1 * values(&moments.mean)[i];
        assert!((values(&running.mean)[i] - expected).abs() < 1e-12);
        let expected = 0.9 * var[i] + 0.1 * values(&moments.var)[i] * 10.0 / 9.0;
        assert!((values(&running.var)[i] - expected).abs() < 1e-12);
    }
}

#[test]
fn wrong_shapes_are_errors() {
    let x = normal((1, 3, 4, 4), 1);
    let spec = Norm { group: Group::Instance, eps: 1e-5, act: Act::Relu };
    let two = normal(2, 2);
    assert!(norm(&x, &spec, Some(Affine { weight: &two, bias: &two }), None).is_err());
    assert!(norm(&x, &spec, None, Some(&two)).is_err());
    assert!(norm(&two, &spec, None, None).is_err());
}

/// A NaN or an infinity of the input, the residual, the affine map or the statistics reaches the result, whatever the
/// activation; the other groups do not see it.
#[test]
fn what_is_no_number_comes_out() {
    let (n, c, h, w) = (2, 3, 7, 9);
    let at = (c + 1) * h * w + 40; // image 1, channel 1
    let put = |t: &Tensor, at: usize, bad: f64, dtype| {
        let mut all = values(t);
        all[at] = bad;
        Tensor::from_vec(all, t.shape(), &device()).unwrap().to_dtype(dtype).unwrap()
    };
    for set in [InstructionSet::Portable, InstructionSet::Avx2, InstructionSet::Avx512] {
        let _set = force_instructions(set);
        for (spec, dtype) in specs().into_iter().flat_map(|spec| [(spec, DType::F64), (spec, DType::F32)]) {
            let what = format!("{spec:?} {dtype:?} {set:?}");
            let x = normal((n, c, h, w), 1);
            let good = x.to_dtype(dtype).unwrap();
            let of_group = |i: usize| match spec.group {
                Group::Instance => i / (h * w) == c + 1,
                Group::Batch => i / (h * w) % c == 1,
            };
            // Own statistics: with NaN or an infinity in a group its mean and variance are no numbers.
            for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
                let (y, moments) = norm(&put(&x, at, bad, dtype), &spec, None, None).unwrap();
                let y = values(&y);
                let wrong = y.iter().enumerate().filter(|(i, y)| y.is_nan() != of_group(*i)).count();
                assert_eq!(wrong, 0, "{what} {bad}");
                assert_eq!(values(&moments.var).iter().filter(|v| v.is_nan()).count(), 1, "{what} {bad}");
            }
            let only = |y: Tensor, what: &str| {
                let found: Vec<_> = values(&y).iter().enumerate().filter(|(_, y)| y.is_nan()).map(|(i, _)| i).collect();
                assert_eq!(found, [at], "{what}");
            };
            only(norm(&good, &spec, None, Some(&put(&x, at, f64::NAN, dtype))).unwrap().0, &what);
            let (_, moments) = norm(&good, &spec, None, None).unwrap();
            only(norm_with(&put(&x, at, f64::NAN, dtype), &moments, &spec, None, None).unwrap(), &what);
            // Given statistics, scale and shift.
            let group = if spec.group == Group::Instance { c + 1 } else { 1 };
            let mean = put(&moments.mean, group, f64::NAN, dtype);
            let y = norm_with(&good, &Moments { mean, var: moments.var.clone() }, &spec, None, None).unwrap();
            assert!(values(&y).iter().enumerate().all(|(i, y)| y.is_nan() == of_group(i)), "{what}: mean");
            let (fine, broken) = (Tensor::ones(c, dtype, &device()).unwrap(), put(&normal(c, 2), 1, f64::NAN, dtype));
            for affine in [Affine { weight: &broken, bias: &fine }, Affine { weight: &fine, bias: &broken }] {
                let y = values(&norm(&good, &spec, Some(affine), None).unwrap().0);
                assert!(y.iter().enumerate().all(|(i, y)| y.is_nan() == (i / (h * w) % c == 1)), "{what}: affine");
            }
            // Backward.
            let grads = NormGrads { input: true, affine: None };
            let dx =
                norm_backward(&put(&x, at, f64::NAN, dtype), &moments, &good, &spec, None, grads).unwrap().unwrap();
            assert!(values(&dx)[at].is_nan(), "{what}: gradient");
            let dx =
                norm_backward(&good, &moments, &put(&x, at, f64::NAN, dtype), &spec, None, grads).unwrap().unwrap();
            assert!(values(&dx)[at].is_nan(), "{what}: gradient of the result");
        }
    }
}
