//! Differentiable augmentation, and the probability that adapts.
#![allow(clippy::unwrap_used)]
mod reference;
use candle_core::{DType, Tensor};
use gan_kernels::augment::{
    ADA_STATE, Ada, AugmentPass, DRAWS, Probability, augment, augment_backward, draws, observe,
};
use gan_kernels::dropout::MaskKey;
use gan_rng::{Key, Purpose};
use reference::{assert_close, assert_slope, device, dot, normal, slope, values};

const SHAPES: [(usize, usize, usize, usize); 4] = [(3, 3, 12, 18), (2, 5, 7, 9), (1, 4, 16, 1), (2, 4, 33, 40)];

fn key(i: u64) -> Key {
    Key::new(5, Purpose::Test).at(i)
}

/// Every pass, with one channel in front that keeps its colours.
fn passes() -> impl Iterator<Item = AugmentPass> {
    let bits = |i: u32| [i & 1 == 1, i & 2 == 2, i & 4 == 4];
    (0..8).map(bits).flat_map(|[color, translation, cutout]| {
        [0, 1].map(|uncolored| AugmentPass { color, translation, cutout, uncolored })
    })
}

fn drawn(shape: (usize, usize, usize, usize), p: f64) -> Tensor {
    draws(&device(), key(shape.2 as u64), [shape.0, shape.2, shape.3], Probability::Fixed(p)).unwrap()
}

/// One change after the other, as the paper has them.
fn naive(x: &Tensor, draws: &Tensor, pass: &AugmentPass) -> Vec<f64> {
    let (n, c, h, w) = x.dims4().unwrap();
    let (mut x, draws) = (values(x), values(draws));
    let (pixels, first) = (h * w, pass.uncolored);
    for image in 0..n {
        let d = &draws[image * DRAWS..][..DRAWS];
        let x = &mut x[image * c * pixels..][..c * pixels];
        if pass.color {
            let colored = &mut x[first * pixels..];
            colored.iter_mut().for_each(|v| *v += d[0] - 0.5);
            for at in 0..pixels {
                let grey = (0..c - first).map(|k| colored[k * pixels + at]).sum::<f64>() / (c - first) as f64;
                (0..c - first).for_each(|k| {
                    let v = &mut colored[k * pixels + at];
                    *v = (*v - grey) * 2.0 * d[1] + grey;
                });
            }
            let mean = colored.iter().sum::<f64>() / colored.len() as f64;
            colored.iter_mut().for_each(|v| *v = (*v - mean) * (d[2] + 0.5) + mean);
        }
        let before = x.to_vec();
        let (half_h, half_w) = ((h as f64 * 0.5 + 0.5) as i64, (w as f64 * 0.5 + 0.5) as i64);
        for (i, v) in x.iter_mut().enumerate() {
            let (row, column) = ((i % pixels / w) as i64, (i % w) as i64);
            let (dy, dx) = if pass.translation { (d[3] as i64, d[4] as i64) } else { (0, 0) };
            let (from_row, from_column) = (row + dy, column + dx);
            let inside = (0..h as i64).contains(&from_row) && (0..w as i64).contains(&from_column);
            let (top, left) = (d[5] as i64 - half_h / 2, d[6] as i64 - half_w / 2);
            let cut = (top..top + half_h).contains(&row) && (left..left + half_w).contains(&column);
            *v = if inside && !(pass.cutout && cut) {
                before[i / pixels * pixels + from_row as usize * w + from_column as usize]
            } else {
                0.0
            };
        }
    }
    x
}

#[test]
fn a_pass_is_its_changes_one_after_the_other() {
    for shape in SHAPES {
        let x = normal(shape, 1);
        let draws = drawn(shape, 1.0);
        for pass in passes() {
            let what = format!("{pass:?} of {shape:?}");
            let want = Tensor::from_vec(naive(&x, &draws, &pass), shape, &candle_core::Device::Cpu).unwrap();
            assert_close(&augment(&x, &draws, &pass).unwrap(), &want, 1e-12, &what);
            let single = augment(&reference::f32(&x), &draws, &pass).unwrap();
            assert_eq!(single.dtype(), DType::F32);
            assert_close(&single, &want, 2e-6, &what);
        }
    }
}

#[test]
fn gradients_are_those_of_differences() {
    for shape in SHAPES {
        let (x, v, dy) = (normal(shape, 1), normal(shape, 2), normal(shape, 3));
        let draws = drawn(shape, 1.0);
        for pass in passes() {
            let what = format!("{pass:?} of {shape:?}");
            let dx = augment_backward(&dy, &draws, &pass).unwrap();
            let expected = slope(&x, &v, 1e-3, |x| dot(&augment(x, &draws, &pass).unwrap(), &dy));
            assert_slope(dot(&dx, &v), expected, 1e-8, &what);
            let single = augment_backward(&reference::f32(&dy), &draws, &pass).unwrap();
            assert_close(&single, &dx, 2e-6, &what);
        }
    }
}

#[test]
fn draws_have_their_ranges_and_are_a_function_of_their_key() {
    let (n, h, w) = (2000, 12, 25);
    let of = |key: MaskKey, p| values(&draws(&device(), key, [n, h, w], Probability::Fixed(p)).unwrap());
    let all = of(key(1).into(), 1.0);
    assert_eq!(all, of(key(1).into(), 1.0));
    assert_ne!(all, of(key(2).into(), 1.0));
    assert_ne!(of(MaskKey::named(key(1), "a"), 1.0), of(MaskKey::named(key(1), "b"), 1.0));
    // Lowest and highest value, both included; uniforms fill [0, 1).
    let whole = [(3, -2, 2), (4, -3, 3), (5, 0, 12), (6, 0, 24)];
    for (column, low, high) in whole {
        let mut seen: Vec<i64> = all.chunks(DRAWS).map(|d| d[column] as i64).collect();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen, (low..=high).collect::<Vec<_>>(), "column {column}");
    }
    for column in 0..3 {
        let mean = all.chunks(DRAWS).map(|d| d[column]).sum::<f64>() / n as f64;
        assert!((mean - 0.5).abs() < 0.03 && all.chunks(DRAWS).all(|d| (0.0..1.0).contains(&d[column])));
    }
    // A smaller probability takes some of the same changes away.
    for p in [0.0, 0.3] {
        let some = of(key(1).into(), p);
        for (column, neutral) in [(0, 0.5), (1, 0.5), (2, 0.5), (5, -12.0), (6, -25.0)] {
            let kept = some.chunks(DRAWS).zip(all.chunks(DRAWS)).filter(|(s, a)| {
                assert!(s[column] == a[column] || s[column] == neutral);
                s[column] != neutral
            });
            let share = kept.count() as f64 / n as f64;
            assert!((share - p).abs() < 0.04, "column {column}: {share} for {p}");
        }
    }
}

#[test]
fn nothing_is_changed_with_probability_zero() {
    for shape in SHAPES {
        let x = reference::f32(&normal(shape, 1));
        for pass in passes() {
            assert_eq!(values(&augment(&x, &drawn(shape, 0.0), &pass).unwrap()), values(&x));
            assert_eq!(values(&augment_backward(&x, &drawn(shape, 0.0), &pass).unwrap()), values(&x));
        }
    }
}

#[test]
fn the_probability_follows_the_signs_of_real_scores() {
    let ada = Ada { threshold: 0.5, target: 0.6, images: 100.0, interval: 4 };
    let state = Tensor::zeros(ADA_STATE, DType::F64, &device()).unwrap();
    let score = |value: f64| reference::f32(&normal((3, 1, 5, 5), 1).affine(0.0, value).unwrap());
    let observed = |of: &[f64]| {
        let scores: Vec<Tensor> = of.iter().map(|v| score(*v)).collect();
        observe(&scores.iter().collect::<Vec<_>>(), &state, &ada).unwrap();
        values(&state)
    };
    // Surely real at both scales: after four steps of three images the probability is 12 / 100.
    for step in 1..4 {
        assert_eq!(
            observed(&[0.9, 3.0]),
            [0.0, 2.0 * f64::from(step), 2.0 * f64::from(step), 3.0 * f64::from(step), f64::from(step)]
        );
    }
    assert_eq!(observed(&[0.9, 3.0]), [0.12, 0.0, 0.0, 0.0, 0.0]);
    // One scale for and one against is a mean sign of 0, below the target.
    (0..3).for_each(|_| drop(observed(&[0.9, 0.1])));
    assert_eq!(observed(&[0.9, 0.1])[0], 0.0);
    (0..3).for_each(|_| drop(observed(&[0.1])));
    assert_eq!(observed(&[0.1]), [0.0; ADA_STATE], "never below zero");
    // Undecided maps count as neither.
    assert_eq!(observed(&[0.5])[1], 0.0);
    let fixed = draws(&device(), key(1), [50, 8, 8], Probability::Fixed(0.25)).unwrap();
    let state = Tensor::new(&[0.25, 0.0, 0.0, 0.0, 0.0], &device()).unwrap();
    let adaptive = draws(&device(), key(1), [50, 8, 8], Probability::Adaptive(&state)).unwrap();
    assert_eq!(values(&fixed), values(&adaptive));
}

#[test]
fn what_does_not_fit_is_refused() {
    let (x, d) = (normal((2, 3, 4, 4), 1), drawn((2, 3, 4, 4), 1.0));
    let pass = AugmentPass { color: true, ..AugmentPass::default() };
    assert!(augment(&x, &d.narrow(0, 0, 1).unwrap(), &pass).is_err());
    assert!(augment(&x, &reference::f32(&d), &pass).is_err());
    assert!(augment(&x, &d, &AugmentPass { uncolored: 3, ..pass }).is_err());
    assert!(draws(&device(), key(1), [1, 0, 4], Probability::Fixed(1.0)).is_err());
    assert!(draws(&device(), key(1), [1, 4, 4], Probability::Adaptive(&x)).is_err());
    let ada = Ada { threshold: 0.0, target: 0.6, images: 1.0, interval: 1 };
    assert!(observe(&[], &Tensor::zeros(ADA_STATE, DType::F64, &device()).unwrap(), &ada).is_err());
    assert!(observe(&[&x], &x, &ada).is_err());
}
