//! What a training loop needs of a device: updates that stop by themselves, batches that arrive as they were sent.
#![allow(clippy::unwrap_used)]

mod reference;

use candle_core::{DType, Device, Tensor};
use gan_kernels::elementwise::all_finite;
use gan_kernels::loss::scale;
use gan_kernels::optim::{AdamStep, NonFiniteGuard, adam};
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
                watch.adam(&watched, &flat(&grad), n / 3..n, &step(number), || all_finite(&grad)).unwrap();
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
            watch.adam(&state, &flat(&good), 0..n, &step(1), || all_finite(&good)).unwrap();
            let before = values(&state);
            assert!(!watch.saw_non_finite().unwrap());
            // Also where the bad one lies outside of the range, and ever after.
            watch.adam(&state, &flat(&bad), 0..n / 2, &step(2), || all_finite(&bad)).unwrap();
            watch.adam(&state, &flat(&good), 0..n, &step(3), || all_finite(&good)).unwrap();
            watch.adam(&state, &flat(&bad), 0..n, &step(4), || all_finite(&bad)).unwrap();
            assert!(watch.saw_non_finite().unwrap());
            assert_eq!(values(&state), before);
        }
    }
    let (state, grad) = (normal((3, 4), 1), normal(4, 2));
    let watch = NonFiniteGuard::new(&device()).unwrap();
    assert!(watch.adam(&state, &flat(&grad), 0..5, &step(1), || Ok(true)).is_err());
    assert!(watch.adam(&state, &flat(&grad), 0..4, &step(0), || Ok(true)).is_err());
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
