//! Published values of the losses, and their gradients against central differences.
#![allow(clippy::unwrap_used)]

use candle_core::{DType, Device, Tensor, Var};
use gan_losses::{GanMode, feature_matching, l1};

const MODES: [GanMode; 5] = [GanMode::Lsgan, GanMode::Vanilla, GanMode::Wgangp, GanMode::Hinge, GanMode::Nonsaturating];

/// The device under test.
fn device() -> Device {
    gan_kernels::device::test_device().unwrap()
}

fn tensor(values: &[f64]) -> Tensor {
    Tensor::from_vec(values.to_vec(), (1, 1, 1, values.len()), &device()).unwrap()
}

fn value(t: &Tensor) -> f64 {
    t.to_dtype(DType::F64).unwrap().to_scalar().unwrap()
}

/// Compares the gradient of `loss` at `x` with central differences.
fn check_gradient(x: &[f64], loss: impl Fn(&Tensor) -> Tensor) {
    let var = Var::from_tensor(&tensor(x)).unwrap();
    let grads = loss(var.as_tensor()).backward().unwrap();
    let have: Vec<f64> = grads.get(var.as_tensor()).unwrap().flatten_all().unwrap().to_vec1().unwrap();
    let h = 1e-6;
    for i in 0..x.len() {
        let moved = |by: f64| {
            let mut x = x.to_vec();
            x[i] += by;
            value(&loss(&tensor(&x)))
        };
        let want = (moved(h) - moved(-h)) / (2.0 * h);
        assert!((have[i] - want).abs() < 1e-8, "element {i}: {} and {want}", have[i]);
    }
}

#[test]
fn adversarial_values() {
    let score = tensor(&[0.2, -1.0, 0.7, 1.5]);
    let rows = [(1.245, 0.945), (0.629, 0.979), (-0.35, 0.35), (0.775, 1.35), (0.629, 0.979)];
    for (mode, (real, fake)) in MODES.into_iter().zip(rows) {
        for (is_real, want) in [(true, real), (false, fake)] {
            for dtype in [DType::F64, DType::F32] {
                let have = value(&mode.loss(&score.to_dtype(dtype).unwrap(), is_real).unwrap());
                assert!((have - want).abs() <= 5.1e-4, "{mode:?} {is_real}: {have} instead of {want}");
            }
        }
    }
}

/// All but the hinge loss ask a generator for what a discriminator calls real.
#[test]
fn generators_ask_for_real() {
    let score = tensor(&[0.2, -1.0, 0.7, 1.5]);
    for mode in MODES {
        let have = value(&mode.generator_loss(&[vec![score.clone()]]).unwrap());
        let want = if mode == GanMode::Hinge { -0.35 } else { value(&mode.loss(&score, true).unwrap()) };
        assert!((have - want).abs() < 1e-12, "{mode:?}: {have}");
        check_gradient(&[0.2, -1.0, 0.7, 1.5], |x| mode.generator_loss(&[vec![x.clone()], vec![x.clone()]]).unwrap());
    }
    assert!(GanMode::Hinge.generator_loss(&[]).is_err());
}

#[test]
fn softplus_is_what_nonsaturating_says() {
    for x in [-3.0, 0.0, 0.4, 20.0f64] {
        for (real, want) in [(true, (-x).exp().ln_1p()), (false, x.exp().ln_1p())] {
            assert!((value(&GanMode::Nonsaturating.loss(&tensor(&[x]), real).unwrap()) - want).abs() < 1e-12);
        }
    }
}

#[test]
fn cross_entropy_stays_finite() {
    let score = tensor(&[1e4, -1e4]);
    for real in [true, false] {
        assert_eq!(value(&GanMode::Vanilla.loss(&score, real).unwrap()), 5e3);
    }
}

#[test]
fn adversarial_gradients() {
    for mode in MODES {
        for real in [true, false] {
            check_gradient(&[0.2, -0.9, 0.7, 1.5, -3.0, 0.0], |x| mode.loss(x, real).unwrap());
        }
    }
}

#[test]
fn real_and_fake_as_one_batch() {
    let (real, fake, odd) = ([0.2, -1.0, 0.7], [1.5, -3.0, 0.0], tensor(&[1.0]));
    let both: Vec<f64> = real.iter().chain(&fake).copied().collect();
    let scales =
        |x: &Tensor| vec![vec![odd.clone(), x.reshape((2, 1, 1, 3)).unwrap()], vec![x.reshape((2, 3, 1, 1)).unwrap()]];
    for mode in MODES {
        let one = value(&mode.loss(&tensor(&real), true).unwrap()) + value(&mode.loss(&tensor(&fake), false).unwrap());
        let have = value(&mode.loss_of_both(&scales(&tensor(&both))).unwrap());
        assert!((have - 2.0 * one).abs() < 1e-12, "{mode:?}");
        check_gradient(&both, |x| mode.loss_of_both(&scales(x)).unwrap());
        assert!(mode.loss_of_both(&[vec![odd.clone()]]).is_err());
        assert!(mode.loss_of_both(&[]).is_err());
    }
}

#[test]
fn scales_are_summed_and_only_score_maps_count() {
    let (features, coarse, fine) = (tensor(&[9.0, 9.0]), tensor(&[0.5]), tensor(&[0.2, -1.0, 0.7, 1.5]));
    let scales = vec![vec![features.clone(), fine.clone()], vec![features, coarse.clone()]];
    for mode in MODES {
        let want = value(&mode.loss(&fine, true).unwrap()) + value(&mode.loss(&coarse, true).unwrap());
        let have = value(&mode.loss_over_scales(&scales, true).unwrap());
        assert!((have - want).abs() < 1e-12, "{mode:?}");
    }
    assert!(GanMode::Lsgan.loss_over_scales(&[], true).is_err());
}

#[test]
fn l1_value_and_gradient() {
    let target = tensor(&[0.0, 1.0, -1.0, 2.0]);
    assert_eq!(value(&l1(&tensor(&[1.0, -1.0, -1.5, 2.0]), &target).unwrap()), 0.875);
    check_gradient(&[1.0, -1.0, -1.5, 2.5], |x| l1(x, &target).unwrap());
    // The target is a constant.
    let var = Var::from_tensor(&target).unwrap();
    let x = Var::from_tensor(&tensor(&[1.0, -1.0, -1.5, 2.5])).unwrap();
    let grads = l1(&x, &var).unwrap().backward().unwrap();
    assert!(grads.get(x.as_tensor()).is_some() && grads.get(var.as_tensor()).is_none());
}

/// Two scales, three feature stages and a score map each.
fn stages(of: impl Fn(usize, usize) -> Tensor) -> Vec<Vec<Tensor>> {
    (0..2).map(|scale| (0..4).map(|stage| of(scale, stage)).collect()).collect()
}

#[test]
fn feature_matching_weighs_by_scales_and_stages() {
    let real = stages(|scale, stage| tensor(&[scale as f64, stage as f64]));
    // Every feature is off by 0.3, the score maps by a lot, which must not matter.
    let fake = stages(|scale, stage| (&real[scale][stage] + if stage == 3 { 50.0 } else { 0.3 }).unwrap());
    let want = 2.0 * 3.0 * (1.0 / 2.0) * (4.0 / 3.0) * 0.3;
    let have = value(&feature_matching(&fake, &real).unwrap());
    assert!((have - want).abs() < 1e-12, "{have}");

    // With three layers there are four feature stages and the factor is one.
    let one = vec![(0..5).map(|_| tensor(&[1.0])).collect::<Vec<_>>()];
    let two = vec![(0..5).map(|_| tensor(&[3.0])).collect::<Vec<_>>()];
    assert!((value(&feature_matching(&one, &two).unwrap()) - 8.0).abs() < 1e-12);
}

#[test]
fn feature_matching_moves_the_fake_alone() {
    let real = stages(|scale, stage| tensor(&[0.1 * scale as f64, -0.3 * stage as f64]));
    check_gradient(&[0.7, -0.9], |x| {
        let fake = stages(|scale, stage| (x * (1.0 + scale as f64 + stage as f64)).unwrap());
        feature_matching(&fake, &real).unwrap()
    });
    let real_var = Var::from_tensor(&tensor(&[0.4])).unwrap();
    let fake_var = Var::from_tensor(&tensor(&[0.2])).unwrap();
    let of = |v: &Var| vec![vec![v.as_tensor().clone(), v.as_tensor().clone()]];
    let grads = feature_matching(&of(&fake_var), &of(&real_var)).unwrap().backward().unwrap();
    assert!(grads.get(real_var.as_tensor()).is_none() && grads.get(fake_var.as_tensor()).is_some());
}

#[test]
fn feature_matching_can_be_backpropagated_again_and_in_part() {
    let real = stages(|_, stage| tensor(&[0.3 * stage as f64, 1.0]));
    let vars: Vec<Var> = (0..6).map(|i| Var::from_tensor(&tensor(&[0.1 * f64::from(i), 2.0])).unwrap()).collect();
    // Stages 0 and 2 of the fine scale, 1 of the coarse one; the others are constants.
    let fake = stages(|scale, stage| match (scale, stage) {
        (0, 0 | 2) | (1, 1) => vars[scale * 3 + stage].as_tensor().clone(),
        _ => tensor(&[0.7, 0.2]),
    });
    let loss = (feature_matching(&fake, &real).unwrap() * 3.0).unwrap();
    for _ in 0..2 {
        let grads = loss.backward().unwrap();
        for (i, var) in vars.iter().enumerate() {
            let have = grads.get(var.as_tensor()).map(|g| g.flatten_all().unwrap().to_vec1::<f64>().unwrap());
            // 3 · weight / elements.
            let one = 3.0 * (1.0 / 2.0) * (4.0 / 3.0) / 2.0;
            let want = match i {
                0 => Some([0.0, one]),
                2 => Some([-one, one]),
                4 => Some([one, one]),
                _ => None,
            };
            assert_eq!(have.is_some(), want.is_some());
            for (a, b) in have.into_iter().flatten().zip(want.into_iter().flatten()) {
                assert!((a - b).abs() < 1e-12, "{i}: {a} and {b}");
            }
        }
    }
}

#[test]
fn feature_matching_without_features_is_an_error() {
    let flat = vec![vec![tensor(&[1.0])]];
    assert!(feature_matching(&flat, &flat).unwrap_err().to_string().contains("more than one stage"));
}
