//! Times the convolutions of the networks: `cargo bench -p gan-kernels --bench convolution -- [FILTER]`.
//!
//! For every shape forward, backward to the data and backward to the weights; the throughput is that of a direct convolution
//! in floating-point operations. `kept` weights stay between calls, as in translation; `fresh` ones change before every
//! call, as in training: packing them is part of the time. `GAN_KERNELS` chooses families and instruction sets.
#![allow(clippy::unwrap_used, missing_docs)]

mod shapes;

use candle_core::{DType, Device, Tensor};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use gan_kernels::conv::{
    Conv2d, ConvGrads, ConvTranspose2d, WeightGrad, conv_transpose2d, conv_transpose2d_backward, conv2d,
    conv2d_backward,
};
use gan_kernels::grad::GradState;
use gan_kernels::weight::{Version, Weight};
use shapes::SHAPES;
use std::time::Duration;

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
