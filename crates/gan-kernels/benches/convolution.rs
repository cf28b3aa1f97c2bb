//! Times the convolutions of the networks: `cargo bench -p gan-kernels --bench convolution -- [FILTER] [RUNS]`.
//!
//! One line a shape; for forward, backward to the data and backward to the weights: median and minimum in milliseconds,
//! and the rate of a direct convolution in GFLOP/s at the minimum. With `GAN_TIME_FRESH` set, weights change before
//! every call, as in training: packing is part of the time. `GAN_TIME=cpu`: see [`timing`]. `GAN_KERNELS` chooses
//! families and instruction sets.
#![allow(clippy::unwrap_used, clippy::print_stdout)]
mod timing;
use candle_core::{DType, Device, Tensor};
use gan_kernels::*;
use timing::Timer;

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

fn main() {
    let timer = Timer::from_args();
    let fresh = std::env::var_os("GAN_TIME_FRESH").is_some();
    #[allow(clippy::disallowed_methods)] // any numbers will do
    let random = |shape: &[usize]| Tensor::randn(0f32, 1.0, shape, &Device::Cpu).unwrap();
    for &(name, ci, co, side, k, stride, padding, pad_mode, transposed) in SHAPES {
        if !timer.wants(name) {
            continue;
        }
        let x = random(&[1, ci, side, side]);
        let version = Version::default();
        let sums = Sums::unknown();
        let prepare = || {
            if fresh {
                version.bump();
                sums.clear();
            }
        };
        let hw = Some((side, side));
        let (y, w, passes): (Tensor, Weight, [(f64, f64); 3]);
        if transposed {
            let spec = ConvTranspose2d { stride, padding, output_padding: usize::from(k == 3) };
            w = Weight::new(random(&[ci, co, k, k]), version.clone());
            y = conv_transpose2d(&x, &w, None, &spec).unwrap();
            let (dy, dw) = (random(y.dims()), Tensor::zeros(w.tensor().shape(), DType::F32, &Device::Cpu).unwrap());
            let data = ConvGrads { input: hw, ..Default::default() };
            let weight =
                ConvGrads { weight: Some(WeightGrad { x: &x, into: &dw, sums: Some(&sums) }), ..Default::default() };
            passes = [
                timer.time(prepare, || {
                    conv_transpose2d(&x, &w, None, &spec).unwrap();
                }),
                timer.time(prepare, || {
                    conv_transpose2d_backward(&dy, &w, &spec, data).unwrap();
                }),
                timer.time(prepare, || {
                    conv_transpose2d_backward(&dy, &w, &spec, weight).unwrap();
                }),
            ];
        } else {
            let spec = Conv2d { stride, padding, pad_mode };
            w = Weight::new(random(&[co, ci, k, k]), version.clone());
            y = conv2d(&x, &w, None, &spec).unwrap();
            let (dy, dw) = (random(y.dims()), Tensor::zeros(w.tensor().shape(), DType::F32, &Device::Cpu).unwrap());
            let data = ConvGrads { input: hw, ..Default::default() };
            let weight =
                ConvGrads { weight: Some(WeightGrad { x: &x, into: &dw, sums: Some(&sums) }), ..Default::default() };
            passes = [
                timer.time(prepare, || {
                    conv2d(&x, &w, None, &spec).unwrap();
                }),
                timer.time(prepare, || {
                    conv2d_backward(&dy, &w, &spec, data).unwrap();
                }),
                timer.time(prepare, || {
                    conv2d_backward(&dy, &w, &spec, weight).unwrap();
                }),
            ];
        }
        let small = if transposed { side * side } else { y.dims()[2] * y.dims()[3] };
        let flops = 2.0 * (ci * co * k * k * small) as f64;
        print!("{name:26}");
        for (median, min) in passes {
            print!(" | {median:8.2} ({min:8.2}) {:4.0}", flops / min / 1e6);
        }
        println!();
    }
}
