//! Runs that start from other runs, frozen layers, and rates of single optimizers.

#![allow(clippy::unwrap_used)]
use super::*;
use crate::checkpoint::{self, Snapshot};
use crate::config::ConfigSource;
use crate::method::StepContext;
use crate::storage::Disk;
use crate::{DeviceConfig, Job, METHODS, MethodConfig, MethodSpec, find, train};
use candle_core::{DType, Tensor};
use gan_data::{Batch, DataMode};
use gan_rng::{Key, Purpose};
use std::path::Path;

/// A tiny configuration on procedural images.
fn config(method: &MethodSpec, more: &[&str]) -> Result<Box<dyn MethodConfig>> {
    let procedural: &[&str] = match (method.resolve)(&[])?.data().mode {
        DataMode::Unaligned => &["data.mode=unpaired"],
        DataMode::Labelled => &["data.mode=streets", "label_nc=16"],
        _ => &["data.mode=facades"],
    };
    let own = ["max_dataset_size=4", "workers=0", "max_steps=2"];
    let settings = method.smoke_overrides.iter().chain(procedural).chain(&own).chain(more);
    (method.resolve)(&settings.map(|s| ConfigSource::Setting((*s).to_owned())).collect::<Vec<_>>())
}

fn go(method: &'static MethodSpec, run: &Path, resume: bool, more: &[&str]) -> Result<()> {
    let job = Job {
        method,
        config: config(method, more)?,
        dataset: None,
        run: run.to_owned(),
        resume,
        device_config: DeviceConfig::cpu(),
        argv: Vec::new(),
        version: "test".into(),
        revision: None,
        stop: Default::default(),
        observers: Vec::new(),
        ranks: std::sync::Arc::new(crate::Single),
    };
    train(job).map(drop)
}

fn snapshot(run: &Path) -> Snapshot {
    checkpoint::load_latest(&Disk, run, None).unwrap().snapshot
}

fn numbers(tensor: &Tensor) -> Vec<f64> {
    tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

/// The networks of a method as a table of one source for each.
fn init_all(method: &mut dyn Method, from: &Path) -> String {
    let networks = method.state().optimizers.into_iter().flat_map(|(.., networks)| networks);
    let pairs: Vec<String> = networks.map(|name| format!("{name} = '{}'", from.display())).collect();
    format!("train.init={{ {} }}", pairs.join(", "))
}

/// Weights of every network of a built method.
fn weights(method: &mut dyn Method) -> Vec<(String, Vec<f64>)> {
    let mut all = Vec::new();
    for (_, optimizer, networks) in method.state().optimizers {
        for network in networks {
            let tensors = optimizer.store().state_dict(&format!("{network}.")).unwrap();
            all.extend(tensors.iter().map(|(name, t)| (format!("{network}/{name}"), numbers(t))));
        }
    }
    all
}

#[test]
fn every_method_starts_from_a_run_and_resumes_without_it() {
    let folder = tempfile::tempdir().unwrap();
    for method in METHODS {
        let at = |name: &str| folder.path().join(format!("{}-{name}", method.name));
        go(method, &at("first"), false, &[]).unwrap();
        let other_seed = config(method, &["seed=9"]).unwrap();
        let mut built = other_seed.build(&DeviceConfig::cpu()).unwrap();
        let init = init_all(&mut *built, &at("first"));
        let notes = load(&mut *built, &*config(method, &["seed=9", &init]).unwrap()).unwrap();
        let first = snapshot(&at("first"));
        for (name, values) in weights(&mut *built) {
            let (network, key) = name.split_once('/').unwrap();
            let (_, saved) = first.file(network).unwrap().iter().find(|(k, _)| k == key).unwrap();
            assert_eq!(values, numbers(saved), "{}: {name}", method.name);
        }
        assert!(notes.iter().all(|note| !note.contains("fresh") && !note.contains("left out")), "{notes:?}");

        // Resumed half way, it ends where it ends without a stop, though what it started from is gone.
        let settings = ["seed=9", init.as_str(), "lr_g=1e-4", "lr_d=4e-4"];
        let long = [&settings[..], &["max_steps=4"]].concat();
        go(method, &at("whole"), false, &long).unwrap();
        go(method, &at("halves"), false, &settings).unwrap();
        std::fs::remove_dir_all(at("first")).unwrap();
        go(method, &at("halves"), true, &long).unwrap();
        let (whole, halves) = (snapshot(&at("whole")), snapshot(&at("halves")));
        for ((file, have), (_, want)) in halves.tensors.iter().zip(&whole.tensors) {
            for ((name, have), (_, want)) in have.iter().zip(want) {
                assert_eq!(numbers(have), numbers(want), "{}: {file} {name}", method.name);
            }
        }
    }
}

const FREEZE: &str = "train.freeze={ g = 'model.model.0..model.model.1', d = 'model.0,model.2' }";

#[test]
fn frozen_layers_keep_every_bit_and_the_others_move() {
    let folder = tempfile::tempdir().unwrap();
    let method = find(METHODS, "pix2pix").unwrap();
    let run = |name: &str| folder.path().join(name);
    let mut built = config(method, &[]).unwrap().build(&DeviceConfig::cpu()).unwrap();
    let drawn = weights(&mut *built);
    go(method, &run("whole"), false, &[FREEZE, "max_steps=4"]).unwrap();
    go(method, &run("halves"), false, &[FREEZE]).unwrap();
    go(method, &run("halves"), true, &[FREEZE, "max_steps=4"]).unwrap();
    let (whole, halves) = (snapshot(&run("whole")), snapshot(&run("halves")));
    let frozen = |name: &str| {
        let below = ["g/model.model.1.", "d/model.0.", "d/model.2."];
        name.starts_with("g/model.model.0.") || below.iter().any(|path| name.starts_with(path))
    };
    let (mut kept, mut moved) = (0, 0);
    for (name, before) in &drawn {
        // Statistics follow the images.
        if name.contains("running_") || name.contains("num_batches") {
            continue;
        }
        let (network, key) = name.split_once('/').unwrap();
        let of =
            |snapshot: &Snapshot| numbers(&snapshot.file(network).unwrap().iter().find(|(k, _)| k == key).unwrap().1);
        assert_eq!(of(&whole), of(&halves), "{name}");
        assert_eq!(of(&whole) == *before, frozen(name), "{name}");
        *(if frozen(name) { &mut kept } else { &mut moved }) += 1;
    }
    assert!(kept > 4 && moved > 4, "{kept} {moved}");
    let optimizer = whole.file("optimizer").unwrap();
    for (key, note) in [("g.m", "model.model"), ("g.v", "model.model"), ("d.m", "model"), ("d.v", "model")] {
        let moments = numbers(&optimizer.iter().find(|(k, _)| k == key).unwrap().1);
        let zeros = moments.iter().filter(|x| **x == 0.0).count();
        assert!(zeros > moments.len() / 20 && zeros < moments.len(), "{key} of {note}: {zeros} of {}", moments.len());
    }
    assert_eq!(optimizer.len(), halves.file("optimizer").unwrap().len());
    for (have, want) in halves.file("optimizer").unwrap().iter().zip(optimizer) {
        assert_eq!(numbers(&have.1), numbers(&want.1), "{}", have.0);
    }
}

#[test]
fn layers_and_networks_that_do_not_exist_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let method = find(METHODS, "pix2pix").unwrap();
    for (setting, words) in [
        ("train.freeze={ g_a = 'model.1' }", ["no network g_a", "g, d"]),
        ("train.freeze={ g = 'model.7' }", ["no layer of g at `model.7`", "model.model.0"]),
        ("train.freeze={ d = 'model.4..model.1' }", ["`model.4..model.1`", "no range"]),
        ("train.freeze={ d = 'model' }", ["leaves nothing of d", "freeze fewer"]),
        ("train.init={ e = 'x.pth' }", ["no network e", "g, d"]),
        ("train.init={ g = 'missing.pth' }", ["missing.pth", ""]),
    ] {
        let run = folder.path().join("run");
        let error = go(method, &run, false, &[setting]).unwrap_err().to_string();
        assert!(words.iter().all(|word| error.contains(word)), "{setting}: {error}");
        assert!(!run.exists(), "{setting}");
    }
}

/// Adam as PyTorch documents it, on one optimizer's parameters with the rate `lr`.
fn naive_adam(weights: &mut [f64], m: &mut [f64], v: &mut [f64], gradients: &[f64], lr: f64, step: i32) {
    for (((w, m), v), g) in weights.iter_mut().zip(m).zip(v).zip(gradients) {
        *m = 0.5 * *m + 0.5 * g;
        *v = 0.999 * *v + 0.001 * g * g;
        let (m, v) = (*m / (1.0 - 0.5f64.powi(step)), *v / (1.0 - 0.999f64.powi(step)));
        *w -= lr * m / (v.sqrt() + 1e-8);
    }
}

fn batch(seed: u64) -> Batch {
    let image = |part: u64| {
        let mut values = vec![0f32; 3 * 32 * 32];
        Key::new(seed, Purpose::Test).at(part).fill_normal(0, &mut values);
        let device = gan_kernels::device::test_device().unwrap();
        Tensor::from_vec(values, (1, 3, 32, 32), &device).unwrap().to_dtype(DType::F64).unwrap().tanh().unwrap()
    };
    Batch { a: image(0), b: Some(image(1)), inst: None, names: vec![String::new()] }
}

#[test]
fn each_optimizer_learns_at_its_rate() {
    let rates = ["lr=2e-4", "lr_g=5e-5", "lr_d=8e-4", FREEZE];
    let config = config(find(METHODS, "pix2pix").unwrap(), &rates).unwrap();
    let device_config = DeviceConfig { device: gan_kernels::device::test_device().unwrap(), dtype: DType::F64 };
    let mut method = config.build(&device_config).unwrap();
    prepare(&mut *method, config.train()).unwrap();
    let flat = |tensors: Vec<(String, Tensor)>| -> Vec<f64> { tensors.iter().flat_map(|(_, t)| numbers(t)).collect() };
    let is_weight = |name: &str| !name.contains("running_") && !name.contains("num_batches");
    let state = |method: &mut dyn Method| -> Vec<(Vec<String>, Vec<f64>)> {
        let of = |(name, optimizer, _): (&str, &mut gan_layers::Optimizer, _)| {
            let mut tensors = optimizer.store().state_dict(&format!("{name}.")).unwrap();
            tensors.retain(|(name, _)| is_weight(name));
            let keys = tensors.iter().flat_map(|(key, t)| vec![key.clone(); t.elem_count()]).collect();
            (keys, flat(tensors))
        };
        method.state().optimizers.into_iter().map(of).collect()
    };
    let mut expected = state(&mut *method);
    let mut moments: Vec<_> = expected.iter().map(|(_, w)| (vec![0.0; w.len()], vec![0.0; w.len()])).collect();
    for step in 1..=3u64 {
        // The schedule has halved all rates at the last step.
        let factor = if step == 3 { 0.5 } else { 1.0 };
        method
            .step(&batch(step), &StepContext { epoch: 1, step: step - 1, update: step - 1, lr: 2e-4 * factor, seed: 0 })
            .unwrap();
        let gradients: Vec<Vec<f64>> = method
            .state()
            .optimizers
            .into_iter()
            .map(|(name, optimizer, _)| flat(optimizer.store().grad_dict(&format!("{name}.")).unwrap()))
            .collect();
        for (((_, w), (m, v)), (g, lr)) in expected.iter_mut().zip(&mut moments).zip(gradients.iter().zip([5e-5, 8e-4]))
        {
            naive_adam(w, m, v, g, lr * factor, step as i32);
        }
        for ((keys, want), (_, have)) in expected.iter_mut().zip(state(&mut *method)) {
            for ((key, want), have) in keys.iter().zip(want.iter_mut()).zip(have) {
                let frozen = key.starts_with("model.model.0.") || key.starts_with("model.model.1.");
                let frozen = frozen || key.starts_with("model.0.") || key.starts_with("model.2.");
                if frozen {
                    *want = have; // another test looks at these
                }
                assert!((*want - have).abs() < 1e-10, "step {step}, {key}: {have} instead of {want}");
            }
        }
    }
}
