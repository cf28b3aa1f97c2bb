//! What the look at gradients for numbers that are not finite costs: its part of a training step, at the size of the papers.
//!
//! `cargo bench -p gan-tests --bench non_finite`. Medians of `RUNS` steps on this machine's CPU. *Check* is the look at gradients as the backward pass leaves them, most of
//! which are known to be finite. *Summed* is what the check adds for gradients that were summed over two ranks: this rank's slice, half of them, is scaled and checked in one
//! pass, which takes longer than to scale it alone; then comes the look. *Read* is a look at gradients of which nothing is known: what such a sum took before.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use candle_core::{DType, Device, Tensor};
use gan_data::{DataMode, Loader};
use gan_kernels::elementwise::scale;
use gan_layers::Optimizer;
use gan_train::config::ConfigSource;
use gan_train::{DeviceConfig, METHODS, StepContext};
use rayon::prelude::*;
use std::time::Instant;

const RUNS: u64 = 5;

fn median(mut seconds: Vec<f64>) -> f64 {
    seconds.sort_by(f64::total_cmp);
    seconds[seconds.len() / 2]
}

fn main() {
    println!("{:<10} {:>11} {:>21} {:>21} {:>21}", "method", "step", "check", "summed", "read");
    for method in METHODS {
        let mode = match (method.resolve)(&[]).unwrap().data().mode {
            DataMode::Unaligned => "data.mode=unpaired",
            DataMode::Labelled => "data.mode=streets",
            _ => "data.mode=facades",
        };
        let own: &[&str] = match method.name {
            "pix2pixhd" => &["label_nc=16", "perceptual=none", "load_size=256"],
            _ => &["max_dataset_size=2"],
        };
        let settings = [mode, "workers=0"].into_iter().chain(own.iter().copied());
        let settings: Vec<_> = settings.map(|setting| ConfigSource::Setting(setting.to_owned())).collect();
        let config = (method.resolve)(&settings).unwrap_or_else(|error| panic!("{error}"));
        let data = config.data();
        let loader = Loader::new(gan_data::open(&data).unwrap(), data.loader(0)).unwrap();
        let batch = loader.epoch(1, 0).next().unwrap().unwrap();
        let mut trained = config.build(&DeviceConfig::cpu()).unwrap();
        let (mut steps, mut checks, mut sums, mut reads) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for step in 0..RUNS {
            let lr = 2e-4;
            let cx = StepContext { epoch: 1, step, update: step, lr, seed: 0 };
            trained.state().optimizers.into_iter().for_each(|(_, optimizer, _)| optimizer.hold());
            let start = Instant::now();
            trained.step(&batch, &cx).unwrap();
            let mut seconds = start.elapsed().as_secs_f64();
            let (mut check, mut summed, mut read) = (0.0, 0.0, 0.0);
            for (_, optimizer, _) in trained.state().optimizers {
                check += look(optimizer);
                // The update does not look again.
                let start = Instant::now();
                optimizer.release().unwrap();
                optimizer.update(lr).unwrap();
                seconds += start.elapsed().as_secs_f64();
                let grads = Tensor::ones(optimizer.store().len(), DType::F32, &Device::Cpu).unwrap();
                let gradients = optimizer.store().gradients();
                gradients.set_finite(0..gradients.params().len(), &grads).unwrap();
                summed += scaling(grads.elem_count() / 2) + look(optimizer);
                gradients.set(0..gradients.params().len(), &grads).unwrap();
                read += look(optimizer);
            }
            steps.push(seconds + check);
            checks.push(check);
            sums.push(summed);
            reads.push(read);
        }
        let [step, check, summed, read] = [steps, checks, sums, reads].map(median);
        let part = |seconds: f64| format!("{:>8.3} ms {:>7.3} %", 1e3 * seconds, 100.0 * seconds / step);
        println!("{:<10} {:>8.0} ms {} {} {}", method.name, 1e3 * step, part(check), part(summed), part(read));
    }
}

/// Seconds of a look at all gradients of an optimizer.
fn look(optimizer: &Optimizer) -> f64 {
    let start = Instant::now();
    assert!(optimizer.store().grads_finite().unwrap());
    start.elapsed().as_secs_f64()
}

/// Seconds by which scaling so many numbers and checking them in one pass takes longer than scaling them; below zero where no difference shows.
fn scaling(len: usize) -> f64 {
    let checked = Tensor::ones(len, DType::F32, &Device::Cpu).unwrap();
    let mut alone = vec![1f32; len];
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        let start = Instant::now();
        assert!(scale(&checked, 0.75).unwrap());
        with.push(start.elapsed().as_secs_f64());
        let start = Instant::now();
        alone.par_chunks_mut(1 << 14).for_each(|chunk| chunk.iter_mut().for_each(|x| *x = *x * 0.75 + 0.0));
        without.push(start.elapsed().as_secs_f64());
    }
    std::hint::black_box(alone);
    median(with) - median(without)
}
