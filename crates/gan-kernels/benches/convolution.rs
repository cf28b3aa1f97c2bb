//! Times the convolutions of the networks: `cargo bench -p gan-kernels --bench convolution -- [FILTER]`.
//!
//! For every shape forward, backward to the data and backward to the weights; the throughput is that of a direct convolution
//! in floating-point operations. `kept` weights stay between calls, as in translation; `fresh` ones change before every
//! call, as in training: packing them is part of the time. `GAN_KERNELS` chooses families and instruction sets.
#![allow(clippy::unwrap_used, missing_docs)]
use candle_core::{DType, Device, Tensor};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use gan_kernels::conv::{
    Conv2d, ConvGrads, ConvTranspose2d, PadMode, WeightGrad, conv_transpose2d, conv_transpose2d_backward, conv2d,
    conv2d_backward,
};
use gan_kernels::grad::GradState;
use gan_kernels::weight::{Version, Weight};
use std::time::Duration;

/// name, channels in, channels out, input side, kernel, stride, padding, mode, transposed
type Shape = (&'static str, usize, usize, usize, usize, usize, usize, PadMode, bool);

const SHAPES: &[Shape] = &[
    ("3x3 256-256@64 reflect", 256, 256, 64, 3, 1, 1, PadMode::Reflect, false),
    ("7x7 3-64@256 reflect", 3, 64, 256, 7, 1, 3, PadMode::Reflect, false),
    ("7x7 64-3@256 reflect", 64, 3, 256, 7, 1, 3, PadMode::Reflect, false),
    ("3x3 s2 64-128@256", 64, 128, 256, 3, 2, 1, PadMode::Zero, false),
    ("3x3 s2 128-256@128", 128, 256, 128, 3, 2, 1, PadMode::Zero, false),
    ("T 3x3 s2 256-128@64", 256, 128, 64, 3, 2, 1, PadMode::Zero, true),
    ("T 3x3 s2 128-64@128", 128, 64, 128, 3, 2, 1, PadMode::Zero, true),
    ("4x4 s2 3-64@256", 3, 64, 256, 4, 2, 1, PadMode::Zero, false),
    ("4x4 s2 64-128@128", 64, 128, 128, 4, 2, 1, PadMode::Zero, false),
    ("4x4 s2 128-256@64", 128, 256, 64, 4, 2, 1, PadMode::Zero, false),
    ("4x4 s2 256-512@32", 256, 512, 32, 4, 2, 1, PadMode::Zero, false),
    ("4x4 s2 512-512@16", 512, 512, 16, 4, 2, 1, PadMode::Zero, false),
    ("4x4 s2 512-512@8", 512, 512, 8, 4, 2, 1, PadMode::Zero, false),
    ("4x4 s2 512-512@4", 512, 512, 4, 4, 2, 1, PadMode::Zero, false),
    ("4x4 s2 512-512@2", 512, 512, 2, 4, 2, 1, PadMode::Zero, false),
    ("T 4x4 s2 512-512@1", 512, 512, 1, 4, 2, 1, PadMode::Zero, true),
    ("T 4x4 s2 1024-512@2", 1024, 512, 2, 4, 2, 1, PadMode::Zero, true),
    ("T 4x4 s2 1024-512@4", 1024, 512, 4, 4, 2, 1, PadMode::Zero, true),
    ("T 4x4 s2 1024-512@8", 1024, 512, 8, 4, 2, 1, PadMode::Zero, true),
    ("T 4x4 s2 1024-256@16", 1024, 256, 16, 4, 2, 1, PadMode::Zero, true),
    ("T 4x4 s2 512-128@32", 512, 128, 32, 4, 2, 1, PadMode::Zero, true),
    ("T 4x4 s2 256-64@64", 256, 64, 64, 4, 2, 1, PadMode::Zero, true),
    ("T 4x4 s2 128-3@128", 128, 3, 128, 4, 2, 1, PadMode::Zero, true),
    ("4x4 s1 256-512@32", 256, 512, 32, 4, 1, 1, PadMode::Zero, false),
    ("4x4 s1 512-1@31", 512, 1, 31, 4, 1, 1, PadMode::Zero, false),
    ("3x3 1024-1024@16 reflect", 1024, 1024, 16, 3, 1, 1, PadMode::Reflect, false),
    ("3x3 1024-1024@32 reflect", 1024, 1024, 32, 3, 1, 1, PadMode::Reflect, false),
    ("3x3 64-64@128 zero", 64, 64, 128, 3, 1, 1, PadMode::Zero, false),
    ("3x3 512-512@16 zero", 512, 512, 16, 3, 1, 1, PadMode::Zero, false),
];

fn passes(c: &mut Criterion) {
    #[allow(clippy::disallowed_methods)] // any numbers will do
    let random = |shape: &[usize]| Tensor::randn(0f32, 1.0, shape, &Device::Cpu).unwrap();
    for &(name, ci, co, side, k, stride, padding, pad_mode, transposed) in SHAPES {
        let x = random(&[1, ci, side, side]);
        let (version, state) = (Version::default(), GradState::unknown());
        let w = random(&if transposed { [ci, co, k, k] } else { [co, ci, k, k] });
        let w = Weight::new(w, version.clone());
        let (up, down) = (
            ConvTranspose2d { stride, padding, output_padding: usize::from(k == 3), ..ConvTranspose2d::default() },
            Conv2d { stride, padding: [padding; 2], pad_mode, ..Conv2d::default() },
        );
        let forward = || match transposed {
            true => conv_transpose2d(&x, &w, None, &up).unwrap(),
            false => conv2d(&x, &w, None, &down).unwrap(),
        };
        let y = forward();
        let (dy, dw) = (random(y.dims()), Tensor::zeros(w.tensor().shape(), DType::F32, &Device::Cpu).unwrap());
        let backward = |grads: ConvGrads| match transposed {
            true => conv_transpose2d_backward(&dy, &w, &up, grads).unwrap(),
            false => conv2d_backward(&dy, &w, &down, grads).unwrap(),
        };
        let data = || backward(ConvGrads { input: Some((side, side)), ..Default::default() });
        let into = WeightGrad { x: &x, into: &dw, state: Some(&state) };
        let weight = || backward(ConvGrads { weight: Some(into), ..Default::default() });

        let small = if transposed { side * side } else { y.dims()[2] * y.dims()[3] };
        let mut group = c.benchmark_group(name);
        group.throughput(Throughput::Elements((2 * ci * co * k * k * small) as u64));
        for (kind, fresh) in [("kept", false), ("fresh", true)] {
            let prepare = || {
                if fresh {
                    version.bump();
                    state.clear();
                }
            };
            let one = BatchSize::PerIteration;
            group.bench_function(format!("forward {kind}"), |b| b.iter_batched(prepare, |()| forward(), one));
            group.bench_function(format!("data {kind}"), |b| b.iter_batched(prepare, |()| data(), one));
            group.bench_function(format!("weights {kind}"), |b| b.iter_batched(prepare, |()| weight(), one));
        }
        group.finish();
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(100))
        .measurement_time(Duration::from_millis(300));
    targets = passes
}
criterion_main!(benches);
