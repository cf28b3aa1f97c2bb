//! What the look at gradients for numbers that are not finite costs: its part of a training step, at the size of the papers.
//!
//! `cargo bench -p gan-tests --bench non_finite`. Medians of `RUNS` steps on this machine's CPU.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use candle_core::{DType, Device, Tensor};
use gan_data::{DataMode, Loader};
use gan_train::config::ConfigSource;
use gan_train::{DeviceConfig, METHODS, StepContext};
use std::time::Instant;

const RUNS: u64 = 5;

fn median(mut seconds: Vec<f64>) -> f64 {
    seconds.sort_by(f64::total_cmp);
    seconds[seconds.len() / 2]
}

fn main() {
    println!("{:<10} {:>10} {:>10} {:>8}", "method", "step", "check", "part");
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
        let (mut steps, mut checks) = (Vec::new(), Vec::new());
        for step in 0..RUNS {
            let cx = StepContext { epoch: 1, step, update: step, lr: 2e-4, seed: 0 };
            let start = Instant::now();
            trained.step(&batch, &cx).unwrap();
            steps.push(start.elapsed().as_secs_f64());
            // Each optimizer looks once a step. An update has taken the gradients: others take their place.
            let mut seconds = 0.0;
            for (_, optimizer, _) in trained.state().optimizers {
                let grads = Tensor::ones(optimizer.store().len(), DType::F32, &Device::Cpu).unwrap();
                optimizer.store().set_grads(&grads).unwrap();
                let start = Instant::now();
                assert!(optimizer.store().grads_finite().unwrap());
                seconds += start.elapsed().as_secs_f64();
            }
            checks.push(seconds);
        }
        let (step, check) = (median(steps), median(checks));
        println!("{:<10} {:>8.0} ms {:>7.2} ms {:>6.2} %", method.name, 1e3 * step, 1e3 * check, 100.0 * check / step);
    }
}
