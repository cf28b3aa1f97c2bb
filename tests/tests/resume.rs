//! A run that was stopped and resumed is the run that was never stopped, bit for bit, whatever the method, the instant
//! and the number of loader threads.
#![allow(clippy::unwrap_used)]

#[path = "resume/accumulated.rs"]
mod accumulated;
#[path = "resume/matrix.rs"]
mod matrix;

use gan_data::DataMode;
use gan_train::checkpoint::{self, Snapshot};
use gan_train::config::ConfigSource;
use gan_train::events::{Event, Finish, Observer, ProgressRecord, read_progress};
use gan_train::storage::Disk;
use gan_train::{DeviceConfig, Job, METHODS, MethodSpec, Outcome, find, resume_config, train};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Items of the dataset, so that an epoch has four steps and the run, two epochs and one of decay, has twelve.
const PER_EPOCH: u64 = 4;
const TOTAL: u64 = 12;
/// Images a pool holds.
const POOL: u64 = 4;

/// Nobody else may use a device while a step is captured there: one test after the other, and one method.
fn alone() -> Option<MutexGuard<'static, ()>> {
    static DEVICE: Mutex<()> = Mutex::new(());
    let cuda = gan_kernels::device::test_device().unwrap().is_cuda();
    cuda.then(|| DEVICE.lock().unwrap_or_else(PoisonError::into_inner))
}

/// The settings of a method's tiny run on procedural data. Log points and pools are out of step with the cuts.
fn settings(method: &MethodSpec, workers: usize, more: &[&str]) -> Vec<ConfigSource> {
    let defaults = (method.resolve)(&[]).unwrap();
    let procedural: &[&str] = match defaults.data().mode {
        DataMode::Unaligned => &["data.mode=unpaired"],
        DataMode::Labelled => &["data.mode=streets", "label_nc=16"],
        _ => &["data.mode=facades"],
    };
    let own = [
        "seed=11".to_string(),
        format!("max_dataset_size={PER_EPOCH}"),
        format!("pool_size={POOL}"),
        format!("workers={workers}"),
        "print_freq=3".into(),
        "save_epoch_freq=0".into(),
        "save_minutes=0".into(),
        "deterministic=true".into(),
        "ema=0.9".into(),
    ];
    let all = method.smoke_overrides.iter().chain(procedural).chain(more).map(ToString::to_string).chain(own);
    all.map(ConfigSource::Setting).collect()
}

/// Both gradient penalties, R1 out of step with cuts and log points.
const PENALTIES: [&str; 4] = ["gan_mode=wgangp", "lambda_gp=10", "r1_gamma=10", "r1_every=5"];

/// Sets the flag that stops the run when a step is done.
struct StopAfter {
    step: u64,
    stop: Arc<AtomicBool>,
}

impl Observer for StopAfter {
    fn on(&mut self, _: &Event) -> gan_train::Result<()> {
        Ok(())
    }

    fn step(&mut self, step: u64, _: Option<f64>) {
        if step == self.step {
            self.stop.store(true, Ordering::Relaxed);
        }
    }
}

/// Trains from the start or from the newest checkpoint, until the end or until `stop_after` steps are done.
fn go(method: &'static MethodSpec, run: &Path, workers: usize, resume: bool, stop_after: u64) -> Outcome {
    go_with(method, run, workers, resume, stop_after, &[])
}

/// As [`go`], with `more` settings at the start.
fn go_with(
    method: &'static MethodSpec,
    run: &Path,
    workers: usize,
    resume: bool,
    stop_after: u64,
    more: &[&str],
) -> Outcome {
    let config = if resume {
        resume_config(run, method, |saved| {
            (method.resolve)(&[ConfigSource::saved(saved)?, ConfigSource::Setting(format!("workers={workers}"))])
        })
    } else {
        (method.resolve)(&settings(method, workers, more))
    };
    let stop = Arc::new(AtomicBool::new(false));
    let observer = StopAfter { step: stop_after, stop: stop.clone() };
    train(Job {
        method,
        config: config.unwrap(),
        dataset: None,
        run: run.to_path_buf(),
        resume,
        device_config: DeviceConfig { device: gan_kernels::device::test_device().unwrap(), ..DeviceConfig::cpu() },
        argv: Vec::new(),
        version: "test".into(),
        revision: None,
        stop,
        observers: vec![Box::new(observer)],
        ranks: std::sync::Arc::new(gan_train::Single),
    })
    .unwrap_or_else(|e| panic!("{} at {stop_after}: {e}", method.name))
}

/// Runs to the end, with a stop after each step of `cuts`; `workers` are used in turn.
fn interrupted(method: &'static MethodSpec, run: &Path, cuts: &[u64], workers: &[usize]) {
    for (launch, cut) in cuts.iter().copied().chain([TOTAL]).enumerate() {
        let outcome = go(method, run, workers[launch % workers.len()], launch > 0, cut);
        let finish = if cut < TOTAL { Finish::Interrupted } else { Finish::Complete };
        assert_eq!(outcome, Outcome { finish, step: cut, best: None }, "{}", method.name);
    }
}

fn snapshot(run: &Path) -> Snapshot {
    let loaded = checkpoint::load_latest(&Disk, run, None).unwrap();
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    loaded.snapshot
}

fn log(run: &Path) -> Vec<ProgressRecord> {
    let mut records = Vec::new();
    read_progress(&Disk, &run.join("events.jsonl"), |record| records.push(record)).unwrap();
    records
}

/// Every bit of a checkpoint that the computation depends on: file, tensor, element type, shape and bytes.
fn content(snapshot: &Snapshot) -> Vec<(String, Vec<u8>)> {
    let mut content = Vec::new();
    for (file, tensors) in &snapshot.tensors {
        for (name, tensor) in tensors {
            let bytes = tensor_bytes(tensor);
            content.push((format!("{file}/{name} {:?} {:?}", tensor.dtype(), tensor.dims()), bytes));
        }
    }
    content
}

fn tensor_bytes(tensor: &candle_core::Tensor) -> Vec<u8> {
    let flat = tensor.flatten_all().unwrap();
    match flat.dtype() {
        candle_core::DType::F32 => flat.to_vec1::<f32>().unwrap().into_iter().flat_map(f32::to_ne_bytes).collect(),
        candle_core::DType::F64 => flat.to_vec1::<f64>().unwrap().into_iter().flat_map(f64::to_ne_bytes).collect(),
        candle_core::DType::I64 => flat.to_vec1::<i64>().unwrap().into_iter().flat_map(i64::to_ne_bytes).collect(),
        other => panic!("unexpected element type {other:?}"),
    }
}

/// `state.json` without the length of a file whose lines hold times.
fn state(snapshot: &Snapshot) -> serde_json::Value {
    let mut state = snapshot.state.clone();
    state.as_object_mut().unwrap().remove("events_length").expect("the length of the log");
    state
}

#[track_caller]
fn assert_same(what: &str, run: &Path, whole: &Path) {
    let (have, want) = (snapshot(run), snapshot(whole));
    assert_eq!(have.step, TOTAL, "{what}");
    let (have_content, want_content) = (content(&have), content(&want));
    let names = |content: &[(String, Vec<u8>)]| content.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&have_content), names(&want_content), "{what}");
    for ((name, have), (_, want)) in have_content.iter().zip(&want_content) {
        assert!(have == want, "{what}: {name} differs");
    }
    assert_eq!(state(&have), state(&want), "{what}");
    assert_eq!(log(run), log(whole), "{what}");
}

/// Trains once without a stop, and once for each way to stop.
fn check(method: &'static MethodSpec) {
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("whole");
    interrupted(method, &whole, &[], &[0]);
    let records = log(&whole);
    // Steps 1 and 2 are logged before the first log point.
    assert_eq!(records.iter().map(|r| r.step).collect::<Vec<_>>(), [1, 2, 3, 6, 9, 12]);
    assert!(records[5].lr < records[3].lr, "the last epoch decays: {records:?}");

    for workers in [1, 4] {
        let run = folder.path().join(format!("workers-{workers}"));
        interrupted(method, &run, &[], &[workers]);
        assert_same(&format!("{}, {workers} workers", method.name), &run, &whole);
    }
    // (name, steps done, launches' workers)
    let cuts: [(&str, u64, [usize; 2]); 6] = [
        ("one step after the start", 1, [0, 1]),
        ("pools half full", POOL / 2, [1, 4]),
        ("pools full, edge of an epoch", POOL, [4, 0]),
        ("within an epoch", PER_EPOCH + 2, [0, 4]),
        ("edge of the decay", 2 * PER_EPOCH, [1, 0]),
        ("within the decay, pools exchanged", 2 * PER_EPOCH + 3, [4, 1]),
    ];
    for (name, cut, workers) in cuts {
        let run = folder.path().join(format!("cut-{cut}"));
        go(method, &run, workers[0], false, cut);
        let held = snapshot(&run);
        assert_eq!(held.step, cut);
        if let Some(pools) = held.file("pool") {
            let of_first_pool = pools.iter().filter(|(key, _)| key.split('.').next() == pools[0].0.split('.').next());
            assert_eq!(of_first_pool.count() as u64, cut.min(POOL), "{}: {name}", method.name);
        }
        go(method, &run, workers[1], true, TOTAL);
        assert_same(&format!("{}, stopped {name}", method.name), &run, &whole);
    }
    let run = folder.path().join("ten-times");
    interrupted(method, &run, &(1..=10).collect::<Vec<_>>(), &[0, 1, 4]);
    assert_same(&format!("{}, stopped ten times", method.name), &run, &whole);
}

#[test]
fn every_method_resumes_exactly() {
    if let Some(_alone) = alone() {
        METHODS.iter().for_each(check);
        return;
    }
    std::thread::scope(|scope| {
        for method in METHODS {
            scope.spawn(move || check(method));
        }
    });
}

/// What discriminators see is changed with a probability that adapts every four steps: its state is stopped between two
/// changes and right after one.
/// Returns the last probabilities.
fn check_augmented(method: &'static MethodSpec) -> Vec<f64> {
    let settings = [
        "augment.policy=color,translation,cutout",
        "augment.adaptive=true",
        "augment.ada_kimg=0.02",
        "gan_mode=hinge",
        "augment.ada_target=0",
        "rotate=10",
        "data.scale=0.2",
        "elastic=0.02",
        "color_jitter=0.2",
    ];
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("whole");
    go_with(method, &whole, 0, false, TOTAL, &settings);
    let states = snapshot(&whole).file("augment").unwrap().clone();
    let last = log(&whole).pop().unwrap().losses;
    let probability = |(name, state): &(String, candle_core::Tensor)| {
        let state = state.to_vec1::<f64>().unwrap();
        assert_eq!(state[1..], [0.0; 4], "{}: the last step changes {name}", method.name);
        assert!(last.iter().any(|(loss, _)| loss == name), "{}: {last:?}", method.name);
        state[0]
    };
    let probabilities = states.iter().map(probability).collect();
    for (cut, workers) in [(2, [1, 4]), (8, [4, 1])] {
        let run = folder.path().join(format!("cut-{cut}"));
        go_with(method, &run, workers[0], false, cut, &settings);
        for (_, state) in snapshot(&run).file("augment").unwrap() {
            let counted = (cut % 4) as f64;
            assert_eq!(state.to_vec1::<f64>().unwrap()[3..], [counted, counted], "images and steps");
        }
        go_with(method, &run, workers[1], true, TOTAL, &settings);
        assert_same(&format!("{}, augmented, stopped at {cut}", method.name), &run, &whole);
    }
    probabilities
}

#[test]
fn augmentation_resumes_exactly() {
    let _alone = alone();
    let probabilities: Vec<f64> = METHODS.iter().flat_map(check_augmented).collect();
    assert!(probabilities.iter().any(|p| *p > 0.0), "{probabilities:?}");
}

/// The comparison looks at what moves: weights, averages, moments and pools all differ between two steps of a run.
#[test]
fn differences_are_seen() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let method = find(METHODS, "cyclegan").unwrap();
    let run = folder.path().join("run");
    go(method, &run, 0, false, 6);
    let before = content(&snapshot(&run));
    go(method, &run, 0, true, TOTAL);
    let after = content(&snapshot(&run));
    for part in [
        "g_a/",
        "g_b/",
        "ema_g_a/",
        "ema_g_b/",
        "d_a/",
        "d_b/",
        "optimizer/g.m",
        "optimizer/g.v",
        "optimizer/d.m",
        "pool/fake_a",
    ] {
        let moved = before.iter().filter(|(name, _)| name.starts_with(part));
        let moved = moved.filter(|(name, bytes)| after.iter().any(|(n, b)| n == name && b != bytes)).count();
        assert!(moved > 0, "{part} is the same at step 6 and at step {TOTAL}");
    }
}

#[test]
fn gradient_penalties_resume_exactly() {
    let _alone = alone();
    for method in METHODS {
        let folder = tempfile::tempdir().unwrap();
        let (whole, run) = (folder.path().join("whole"), folder.path().join("run"));
        go_with(method, &whole, 0, false, TOTAL, &PENALTIES);
        for (launch, cut) in [4, 5, TOTAL].into_iter().enumerate() {
            go_with(method, &run, launch, launch > 0, cut, &PENALTIES);
        }
        assert_same(method.name, &run, &whole);
        // R1 is in steps 1, 6 and 11, and a record holds means since the one before.
        for record in log(&whole) {
            let of = |name: &str| -> Vec<f64> {
                let named = record.losses.iter().filter(|(loss, _)| loss.contains(name));
                named.map(|(_, value)| value.expect("a finite loss")).collect()
            };
            let (gp, r1) = (of("GP"), of("R1"));
            let discriminators = if method.name == "cyclegan" { 2 } else { 1 };
            assert_eq!([gp.len(), r1.len()], [discriminators; 2], "{record:?}");
            assert!(gp.iter().all(|v| *v > 0.0), "{record:?}");
            assert!(r1.iter().all(|v| (*v > 0.0) == [1, 6, 12].contains(&record.step)), "{record:?}");
        }
    }
}
