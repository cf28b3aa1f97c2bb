//! Where the time of convolutions goes: `cargo bench -p gan-kernels --bench roofline -- [FILTER] [IMAGES]`.
//!
//! For every shape the time of a translation's forward pass (whose packed weights are kept), and of the three passes of training (whose weights have changed), beside
//! two floors: the multiply-adds of a direct convolution at the measured peak of all threads, and the bytes of the weights at the measured bandwidth. Everything comes from
//! memory. Behind each time is its part of the peak, which is measured beside every run and counted as direct convolution: of a Winograd convolution it may be more than
//! 100 %. `GAN_KERNELS` chooses families and instruction sets.
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs, unsafe_code)]

mod shapes;

use candle_core::{Device, Tensor};
use gan_kernels::conv::{
    Conv2d, ConvGrads, ConvTranspose2d, WeightGrad, conv_transpose2d, conv_transpose2d_backward, conv2d,
    conv2d_backward,
};
use gan_kernels::dispatch::{InstructionSet, instructions, on_pool};
use gan_kernels::grad::GradState;
use gan_kernels::weight::{Version, Weight};
use rayon::prelude::*;
use shapes::SHAPES;
use std::hint::black_box;
use std::time::Instant;

/// Elements that are read between two runs, several times the largest cache of most machines.
const MEMORY: usize = 96 << 20;
const RUNS: usize = 7;

fn seconds(f: impl FnOnce()) -> f64 {
    let start = Instant::now();
    f();
    start.elapsed().as_secs_f64()
}

fn main() {
    let mut words = std::env::args().skip(1).filter(|word| !word.starts_with('-'));
    let (filter, images) = (words.next().unwrap_or_default(), words.next().map_or(1, |n| n.parse().unwrap()));
    on_pool(|| table(&filter, images));
}

fn table(filter: &str, images: usize) {
    let memory = vec![1.0f32; MEMORY];
    let read = || black_box(memory.par_chunks(1 << 20).map(sum).sum::<f32>());
    let best = |f: &dyn Fn()| (0..RUNS).map(|_| seconds(f)).fold(f64::MAX, f64::min);
    let bandwidth = (4 * MEMORY) as f64 / best(&|| _ = read());
    let threads = rayon::current_num_threads();
    let multiply_adds = || (0..threads).into_par_iter().for_each(|_| _ = black_box(multiply_adds()));
    let peak = threads as f64 * FLOPS / best(&multiply_adds);
    println!("{threads} threads, {:?}: {:.0} GFLOP/s, {:.1} GB/s", instructions(), peak / 1e9, bandwidth / 1e9);
    println!(
        "| layer | multiply-adds, ms | weights, ms | translation, ms | forward, ms | to the data, ms | to the weights, ms |"
    );
    println!("|---|---|---|---|---|---|---|");
    for &(name, ci, co, side, k, stride, padding, pad_mode, transposed) in
        SHAPES.iter().filter(|s| s.0.contains(filter))
    {
        let ones = |shape: &[usize]| Tensor::ones(shape, candle_core::DType::F32, &Device::Cpu).unwrap();
        let x = ones(&[images, ci, side, side]);
        let kept = Weight::constant(ones(&if transposed { [ci, co, k, k] } else { [co, ci, k, k] }));
        let (changed, state) = (Version::default(), GradState::unknown());
        changed.bump();
        let trained = Weight::new(kept.tensor().clone(), changed);
        let (up, down) = (
            ConvTranspose2d { stride, padding, output_padding: usize::from(k == 3), ..ConvTranspose2d::default() },
            Conv2d { stride, padding: [padding; 2], pad_mode, ..Conv2d::default() },
        );
        let forward = |w| match transposed {
            true => conv_transpose2d(&x, w, None, &up).unwrap(),
            false => conv2d(&x, w, None, &down).unwrap(),
        };
        // From the second time on, packed weights are kept.
        let [_, dy] = [forward(&kept), forward(&kept)];
        let dw = ones(kept.tensor().dims());
        let backward = |grads: ConvGrads| match transposed {
            true => conv_transpose2d_backward(&dy, &trained, &up, grads).unwrap(),
            false => conv2d_backward(&dy, &trained, &down, grads).unwrap(),
        };
        let into = || WeightGrad { x: &x, into: &dw, state: Some(&state) };
        let passes: [&dyn Fn(); 4] = [
            &|| _ = black_box(forward(&kept)),
            &|| _ = black_box(forward(&trained)),
            &|| _ = black_box(backward(ConvGrads { input: Some((side, side)), ..Default::default() })),
            &|| _ = backward(ConvGrads { weight: Some(into()), ..Default::default() }),
        ];
        let (weights, small) = (ci * co * k * k, if transposed { side } else { dy.dim(2).unwrap() });
        let flops = (2 * weights * small * small * images) as f64;
        print!("| {name} | {:.2} | {:.2} |", flops / peak * 1e3, (4 * weights) as f64 / bandwidth * 1e3);
        for pass in passes {
            let mut runs: Vec<(f64, f64)> = (0..RUNS)
                .map(|_| {
                    state.clear();
                    read();
                    let time = seconds(pass);
                    (time, flops / time * seconds(multiply_adds) / FLOPS / threads as f64)
                })
                .collect();
            let [time, part] = [|run: &(f64, f64)| run.0, |run: &(f64, f64)| run.1].map(|of| {
                runs.sort_by(|a, b| of(a).total_cmp(&of(b)));
                of(&runs[RUNS / 2])
            });
            print!(" {:.2} ({:.0} %) |", time * 1e3, 100.0 * part);
        }
        println!();
    }
}

fn sum(x: &[f32]) -> f32 {
    let mut lanes = [0.0f32; 64];
    for x in x.chunks_exact(64) {
        lanes.iter_mut().zip(x).for_each(|(lane, x)| *lane += x);
    }
    lanes.iter().sum()
}

/// Operations of [`multiply_adds`], in vectors of sixteen or of eight numbers.
const FLOPS: f64 = 2.0 * (ROUNDS * CHAINS * 16) as f64;
const ROUNDS: usize = 1 << 21;
/// Sums that do not wait for one another: more than a multiply-add takes cycles, times the units that do them.
const CHAINS: usize = 12;

/// As many multiply-adds on one thread as [`FLOPS`] says.
fn multiply_adds() -> f32 {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::*;
        #[target_feature(enable = "avx512f")]
        fn avx512(x: f32) -> f32 {
            let (x, mut sums) = (_mm512_set1_ps(x), [_mm512_setzero_ps(); CHAINS]);
            for _ in 0..ROUNDS {
                for sum in &mut sums {
                    *sum = _mm512_fmadd_ps(x, x, *sum);
                }
            }
            let mut total = 0.0;
            for sum in sums {
                total += _mm512_reduce_add_ps(sum);
            }
            total
        }
        #[target_feature(enable = "avx2,fma")]
        fn avx2(x: f32) -> f32 {
            let (x, mut sums) = (_mm256_set1_ps(x), [_mm256_setzero_ps(); CHAINS]);
            for _ in 0..2 * ROUNDS {
                for sum in &mut sums {
                    *sum = _mm256_fmadd_ps(x, x, *sum);
                }
            }
            let mut total = _mm256_setzero_ps();
            for sum in sums {
                total = _mm256_add_ps(total, sum);
            }
            _mm256_cvtss_f32(total)
        }
        match instructions() {
            // SAFETY: this instruction set was detected.
            InstructionSet::Avx512 => return unsafe { avx512(black_box(0.5)) },
            // SAFETY: as above.
            InstructionSet::Avx2 => return unsafe { avx2(black_box(0.5)) },
            InstructionSet::Portable => {}
        }
    }
    let (x, mut sums) = (black_box(0.5f32), [[0.0f32; 4]; CHAINS]);
    for _ in 0..4 * ROUNDS {
        sums.as_flattened_mut().iter_mut().for_each(|sum| *sum += x * x);
    }
    sums.as_flattened().iter().sum()
}
