//! What a training loop needs of a device: updates that stop by themselves, batches that arrive as they were sent.
#![allow(clippy::unwrap_used)]

mod reference;

use candle_core::{DType, Device, Tensor};
use gan_kernels::elementwise::all_finite;
use gan_kernels::loss::scale;
use gan_kernels::optim::{AdamInputs, AdamStep, Average, NonFiniteGuard, Skipped, adam, adam_with};
use gan_kernels::upload::Uploader;
use reference::{device, flat, normal, values};

fn step(number: u64) -> AdamStep {
    AdamStep { lr: 1e-2, beta1: 0.5, beta2: 0.999, eps: 1e-8, step: number }
}

/// Lengths on both sides of a vector and of a block of threads.
const LENGTHS: [usize; 4] = [1, 4, 257, 20_003];

#[test]
fn a_watched_update_is_the_update() {
    for dtype in [DType::F64, DType::F32] {
        for n in LENGTHS {
            let start = || normal((3, n), 1).sqr().unwrap().to_dtype(dtype).unwrap();
            let (plain, watched) = (start(), start());
            let grad = normal(n, 2).to_dtype(dtype).unwrap();
            let watch = NonFiniteGuard::new(&device()).unwrap();
            for number in 1..4 {
                adam(&plain, &flat(&grad), n / 3..n, &step(number)).unwrap();
                watch.adam(&watched, &flat(&grad), n / 3..n, &step(number), None, || all_finite(&grad)).unwrap();
            }
            assert_eq!(values(&watched), values(&plain));
            assert!(!watch.saw_non_finite().unwrap());
        }
    }
}

#[test]
fn nothing_is_updated_from_the_first_bad_gradient_on() {
    for n in LENGTHS {
        for (at, bad) in [(0, f32::NAN), (n - 1, f32::INFINITY), (n / 2, f32::NEG_INFINITY)] {
            let state = normal((3, n), 1).sqr().unwrap().to_dtype(DType::F32).unwrap();
            let good = normal(n, 2).to_dtype(DType::F32).unwrap();
            let mut numbers = good.to_vec1::<f32>().unwrap();
            numbers[at] = bad;
            let bad = Tensor::from_vec(numbers, n, &device()).unwrap();
            let watch = NonFiniteGuard::new(&device()).unwrap();
            watch.adam(&state, &flat(&good), 0..n, &step(1), None, || all_finite(&good)).unwrap();
            let before = values(&state);
            assert!(!watch.saw_non_finite().unwrap());
            // Also where the bad one lies outside of the range, and ever after.
            watch.adam(&state, &flat(&bad), 0..n / 2, &step(2), None, || all_finite(&bad)).unwrap();
            watch.adam(&state, &flat(&good), 0..n, &step(3), None, || all_finite(&good)).unwrap();
            watch.adam(&state, &flat(&bad), 0..n, &step(4), None, || all_finite(&bad)).unwrap();
            assert!(watch.saw_non_finite().unwrap());
            assert_eq!(values(&state), before);
            watch.restore(Skipped::default()).unwrap();
            watch.adam(&state, &flat(&good), 0..n, &step(5), None, || all_finite(&good)).unwrap();
            assert!(!watch.saw_non_finite().unwrap() && values(&state) != before);
        }
    }
    let (state, grad) = (normal((3, 4), 1), normal(4, 2));
    let watch = NonFiniteGuard::new(&device()).unwrap();
    assert!(watch.adam(&state, &flat(&grad), 0..5, &step(1), None, || Ok(true)).is_err());
    assert!(watch.adam(&state, &flat(&grad), 0..4, &step(0), None, || Ok(true)).is_err());
}

/// An average is what its definition makes of the parameters after each update, those that are not updated included, and
/// takes no part in the update.
#[test]
fn an_average_follows_all_parameters() {
    for (dtype, tolerance) in [(DType::F64, 1e-15), (DType::F32, 1e-6)] {
        for n in LENGTHS {
            let start = || normal((3, n), 1).sqr().unwrap().to_dtype(dtype).unwrap();
            let (plain, averaged) = (start(), start());
            let average = normal(n, 3).to_dtype(dtype).unwrap();
            let mut naive = values(&average);
            for number in 1..6 {
                let grad = normal(n, 10 + number).to_dtype(dtype).unwrap();
                let rest = 1.0 / (number + 1) as f64;
                let inputs = AdamInputs { average: Some(Average { values: &average, rest }), ..AdamInputs::default() };
                adam(&plain, &flat(&grad), n / 3..n, &step(number)).unwrap();
                adam_with(&averaged, &flat(&grad), n / 3..n, &step(number), &inputs).unwrap();
                let now = values(&plain);
                naive.iter_mut().zip(&now).for_each(|(a, w)| *a = (1.0 - rest) * *a + rest * w);
            }
            assert_eq!(values(&averaged), values(&plain));
            for (got, expected) in values(&average).into_iter().zip(naive) {
                assert!((got - expected).abs() <= tolerance * expected.abs().max(1.0), "{got} {expected}");
            }
            // What equals its average does not move it.
            average.slice_set(&plain.get(0).unwrap(), 0, 0).unwrap();
            let before = values(&average);
            let inputs = AdamInputs { average: Some(Average { values: &average, rest: 0.3 }), ..AdamInputs::default() };
            adam_with(&averaged, &[], 0..0, &step(9), &inputs).unwrap();
            assert_eq!(values(&average), before);
        }
    }
    let (state, grad, short) = (normal((3, 4), 1), normal(4, 2), normal(3, 3));
    let inputs = AdamInputs { average: Some(Average { values: &short, rest: 0.5 }), ..AdamInputs::default() };
    assert!(adam_with(&state, &flat(&grad), 0..4, &step(1), &inputs).is_err());
}

#[test]
fn a_skipping_guard_leaves_bad_updates_out_alone() {
    for n in LENGTHS {
        let start = || normal((3, n), 1).sqr().unwrap().to_dtype(DType::F32).unwrap();
        let (plain, guarded) = (start(), start());
        let good = normal(n, 2).to_dtype(DType::F32).unwrap();
        let mut numbers = good.to_vec1::<f32>().unwrap();
        numbers[n / 2] = f32::NAN;
        let bad = Tensor::from_vec(numbers, n, &device()).unwrap();
        let guard = NonFiniteGuard::skipping(&device()).unwrap();
        let (average, other) = (normal(n, 3).to_dtype(DType::F32).unwrap(), normal(n, 3).to_dtype(DType::F32).unwrap());
        for (number, finite) in [true, false, false, true, false].into_iter().enumerate() {
            let grad = if finite { &good } else { &bad };
            let step = step(number as u64 + 1);
            let followed = Some(Average { values: &average, rest: 0.25 });
            guard.adam(&guarded, &flat(grad), 0..n / 2, &step, followed, || Ok(finite)).unwrap();
            if finite {
                let average = Some(Average { values: &other, rest: 0.25 });
                let inputs = AdamInputs { average, ..AdamInputs::default() };
                adam_with(&plain, &flat(&good), 0..n / 2, &step, &inputs).unwrap();
            }
            assert_eq!(values(&guarded), values(&plain));
            assert_eq!(values(&average), values(&other));
        }
        assert_eq!(guard.skipped().unwrap(), Skipped { run: 1, longest: 2, total: 3 });
        assert!(!guard.saw_non_finite().unwrap());
        guard.restore(Skipped { run: 2, longest: 2, total: 7 }).unwrap();
        guard.adam(&guarded, &flat(&bad), 0..n, &step(6), None, || Ok(false)).unwrap();
        assert_eq!(guard.skipped().unwrap(), Skipped { run: 3, longest: 3, total: 8 });
    }
}

#[test]
fn batches_arrive_as_they_were_sent() {
    let mut uploader = Uploader::new(&device()).unwrap();
    // Sizes grow and shrink, so that buffers are used again and replaced; all stay alive until the end.
    let mut sent = Vec::new();
    for (round, n) in [3usize, 1000, 7, 1000, 5000, 1, 64, 4999].into_iter().enumerate() {
        let floats = normal((2, n), round as u64).to_device(&Device::Cpu).unwrap();
        let narrow = floats.to_dtype(DType::F32).unwrap().t().unwrap();
        let bytes = Tensor::from_iter((0..n).map(|i| (i * 7 + round) as u8), &Device::Cpu).unwrap();
        let ids = Tensor::from_iter((0..n as u32).map(|i| i * 100_000 + round as u32), &Device::Cpu).unwrap();
        // As loaders make values of the levels of 8-bit images; one other value among them, and they are no levels.
        let level = |i: usize| ((i * 5 % 256) as f32 / 255.0 - 0.5) / 0.5;
        let image = Tensor::from_iter((0..n).map(level), &Device::Cpu).unwrap();
        let deep = Tensor::from_iter((0..n).map(|i| level(i) + if i + 1 == n { 1e-3 } else { 0.0 }), &Device::Cpu);
        let batch = [floats, narrow, bytes, image, ids, deep.unwrap()];
        let arrived = uploader.upload(&batch.each_ref()).unwrap();
        sent.push((batch, arrived));
    }
    for (batch, arrived) in &sent {
        for (want, have) in batch.iter().zip(arrived) {
            assert_eq!((have.dims(), have.dtype()), (want.dims(), want.dtype()));
            assert_eq!(values(have), values(want));
            assert!(have.device().same_device(&device()) && !have.track_op());
        }
    }
    assert!(uploader.upload(&[]).unwrap().is_empty());
}

#[test]
fn gradients_are_scaled_where_the_factor_is() {
    for dtype in [DType::F64, DType::F32] {
        for n in LENGTHS {
            let x = normal((1, n), 1).to_dtype(dtype).unwrap();
            let factor = Tensor::new(-0.25f64, &device()).unwrap().to_dtype(dtype).unwrap();
            let want: Vec<f64> = values(&x).iter().map(|v| v * -0.25).collect();
            assert_eq!(values(&scale(&x, &factor).unwrap()), want);
        }
    }
    assert!(scale(&normal(3, 1), &normal(2, 1)).is_err());
}
