//! Steps that are captured as CUDA graphs are the steps that are done one by one, bit for bit. These tests need a CUDA device
//! (`GAN_TEST_DEVICE`), which they use one at a time.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

use candle_core::{DType, Device, Tensor};
use gan_data::Batch;
use gan_rng::{Key, Purpose};
use gan_train::checkpoint::{self, Snapshot};
use gan_train::config::ConfigSource;
use gan_train::events::Finish;
use gan_train::storage::Disk;
use gan_train::{
    DeviceConfig, Job, Losses, METHODS, Method, MethodConfig, MethodSpec, MethodState, Panels, StepContext,
    TrainConfig, accumulated_step, capture_steps, find, resume_config, to_device, train,
};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

static DEVICE: Mutex<()> = Mutex::new(());

/// The device and the right to use it; `None`, with a word, on the CPU.
fn device() -> Option<(DeviceConfig, MutexGuard<'static, ()>)> {
    let device = gan_kernels::device::test_device().unwrap();
    if device.is_cpu() {
        eprintln!("skipped: graphs are captured on CUDA devices only");
        return None;
    }
    Some((DeviceConfig { device, dtype: DType::F32 }, DEVICE.lock().unwrap_or_else(PoisonError::into_inner)))
}

const SIDE: usize = 32;

/// The settings of a method's tiny networks.
fn settings(spec: &MethodSpec, more: &[&str]) -> Box<dyn MethodConfig> {
    let own = ["pool_size=3", "seed=5", "deterministic=true"];
    let labels: &[&str] = if spec.name == "pix2pixhd" { &["label_nc=5", "data.instances=true"] } else { &[] };
    let all = spec.smoke_overrides.iter().chain(&own).chain(labels).chain(more);
    (spec.resolve)(&all.map(|s| ConfigSource::Setting(s.to_string())).collect::<Vec<_>>()).unwrap()
}

/// The same method without and with graphs; `wrap` gets it with its position.
fn twins(
    spec: &MethodSpec,
    device_config: &DeviceConfig,
    more: &[&str],
    wrap: impl Fn(Box<dyn Method>, usize) -> Box<dyn Method>,
) -> [Box<dyn Method>; 2] {
    let config = settings(spec, more);
    let train = config.train();
    [0, 1].map(|i| {
        let (method, cuda_graphs) = (wrap(config.build(device_config).unwrap(), i), i == 1);
        capture_steps(method, &TrainConfig { cuda_graphs, ..train.clone() }, device_config)
    })
}

/// `n` drawn images, or label maps and instances for pix2pixHD.
fn batch(spec: &MethodSpec, step: u64, n: usize, device_config: &DeviceConfig) -> Batch {
    let key = Key::new(9, Purpose::Test).at(step);
    let image = |part: u64| {
        let mut values = vec![0f32; n * 3 * SIDE * SIDE];
        key.at(part).fill_normal(0, &mut values);
        Tensor::from_vec(values, (n, 3, SIDE, SIDE), &Device::Cpu).unwrap().tanh().unwrap()
    };
    let names = vec![String::new(); n];
    let map = |cell: usize, count: u64| -> Vec<u32> {
        let cells = SIDE / cell;
        let at = |i: usize| (i / SIDE % SIDE / cell * cells + i % SIDE / cell) as u64;
        (0..n * SIDE * SIDE).map(|i| (u64::from(key.block(at(i))[0]) % count) as u32).collect()
    };
    let shape = (n, 1, SIDE, SIDE);
    let batch = if spec.name == "pix2pixhd" {
        let labels: Vec<u8> = map(8, 5).into_iter().map(|l| l as u8).collect();
        let a = Tensor::from_vec(labels, shape, &Device::Cpu).unwrap();
        let inst = Tensor::from_vec(map(4, 7), shape, &Device::Cpu).unwrap();
        Batch { a, b: Some(image(1)), inst: Some(inst), names }
    } else {
        Batch { a: image(0), b: Some(image(1)), inst: None, names }
    };
    to_device(batch, device_config).unwrap()
}

fn bits(t: &Tensor) -> Vec<u32> {
    let t = t.to_device(&Device::Cpu).unwrap().to_dtype(DType::F32).unwrap().flatten_all().unwrap();
    t.to_vec1::<f32>().unwrap().into_iter().map(f32::to_bits).collect()
}

/// Everything that a checkpoint would hold.
fn state(method: &mut dyn Method) -> Vec<(String, Vec<u32>)> {
    let parts = method.state();
    let mut out = Vec::new();
    for (name, optimizer, networks) in parts.optimizers {
        for network in networks {
            let tensors = optimizer.store().state_dict(&format!("{network}.")).unwrap();
            out.extend(tensors.iter().map(|(key, t)| (format!("{network}.{key}"), bits(t))));
        }
        let (m, v) = optimizer.store().moments().unwrap();
        out.extend([(format!("{name}.m"), bits(&m)), (format!("{name}.v"), bits(&v))]);
        out.push((format!("{name}.updates"), vec![optimizer.updates() as u32]));
    }
    for (name, pool) in parts.pools {
        out.extend(pool.save(name).unwrap().into_iter().map(|(key, t)| (key, bits(&t))));
    }
    out
}

/// Does the same steps with and without graphs; `around` is called before each step.
fn compare(
    spec: &MethodSpec,
    device_config: &DeviceConfig,
    more: &[&str],
    sizes: &[usize],
    around: impl Fn(u64, &mut dyn Method, &mut Batch),
) {
    compare_twins(spec, device_config, twins(spec, device_config, more, |method, _| method), sizes, around);
}

fn compare_twins(
    spec: &MethodSpec,
    device_config: &DeviceConfig,
    [mut plain, mut captured]: [Box<dyn Method>; 2],
    sizes: &[usize],
    around: impl Fn(u64, &mut dyn Method, &mut Batch),
) {
    for (step, &n) in sizes.iter().enumerate() {
        let step = step as u64;
        // The rate falls, and for pix2pixHD the second epoch trains the whole generator.
        let cx = StepContext { epoch: 1 + step / 5, step, update: step, lr: 1e-3 / (step + 1) as f64, seed: 5 };
        let losses = [&mut plain, &mut captured].map(|method| {
            let mut batch = batch(spec, step, n, device_config);
            around(step, &mut **method, &mut batch);
            let losses = method.step(&batch, &cx).unwrap();
            losses.into_iter().map(|(name, value)| (name, bits(&value))).collect::<Vec<_>>()
        });
        assert_eq!(losses[0], losses[1], "{} step {step}", spec.name);
        assert_same(&format!("{} step {step}", spec.name), &mut *plain, &mut *captured);
    }
    let checks = [plain, captured].map(|mut method| {
        let check =
            |(_, optimizer, _): (_, &mut gan_layers::Optimizer, _)| optimizer.check().map_err(|e| e.to_string());
        method.state().optimizers.into_iter().map(check).collect::<Vec<_>>()
    });
    assert_eq!(checks[0], checks[1], "{}", spec.name);
}

#[track_caller]
fn assert_same(what: &str, plain: &mut dyn Method, captured: &mut dyn Method) {
    assert_eq!(captured.take_warning(), None, "{what}");
    for ((name, want), (_, have)) in state(plain).iter().zip(&state(captured)) {
        assert!(want == have, "{what}: {name} differs");
    }
}

/// Of several batches, with a smaller one at the end; shorter; and of one.
#[test]
fn captured_micro_batches_are_the_same() {
    let Some((device_config, _turn)) = device() else { return };
    let steps: [&[usize]; 7] = [&[1; 4], &[1; 4], &[1; 2], &[1, 1, 1, 2], &[1], &[1; 4], &[1; 4]];
    for spec in METHODS {
        let [mut plain, mut captured] = twins(spec, &device_config, &[], |method, _| method);
        let mut done = 0;
        for (sizes, number) in steps.iter().zip(1..) {
            let what = format!("{} step {number}", spec.name);
            let batches: Vec<Batch> =
                sizes.iter().zip(done..).map(|(&n, at)| batch(spec, at, n, &device_config)).collect();
            let cx = StepContext {
                epoch: 1 + number / 3,
                step: done,
                update: number - 1,
                lr: 1e-3 / number as f64,
                seed: 5,
            };
            let losses = [&mut plain, &mut captured].map(|method| {
                let losses = accumulated_step(&mut **method, &batches, Ok, &cx).unwrap();
                losses.into_iter().map(|(name, value)| (name, bits(&value))).collect::<Vec<_>>()
            });
            assert_eq!(losses[0], losses[1], "{what}");
            assert_same(&what, &mut *plain, &mut *captured);
            done += sizes.len() as u64;
        }
    }
}

/// With the last batch of an epoch smaller.
const SIZES: [usize; 10] = [1, 1, 1, 1, 2, 1, 1, 1, 2, 1];

#[test]
fn captured_steps_are_the_same_steps() {
    let Some((device_config, _turn)) = device() else { return };
    let augmented = ["augment.policy=color,translation,cutout", "augment.adaptive=true", "ada_kimg=0.02"];
    for spec in METHODS {
        compare(spec, &device_config, &[], &SIZES, |_, _, _| {});
        compare(spec, &device_config, &augmented, &SIZES, |_, _, _| {});
    }
}

/// pix2pixHD's key changes with the second epoch: the first graph is not launched any more, and another one is captured.
#[test]
fn a_key_that_changes_for_good_is_captured_anew() {
    let Some((device_config, _turn)) = device() else { return };
    let spec = find(METHODS, "pix2pixhd").unwrap();
    let (methods, calls) = flipping(spec, &device_config, |_| false, Some(|m, cx| m.graph_key(cx)));
    let sizes = [[1; 15].as_slice(), &[2, 1]].concat();
    compare_twins(spec, &device_config, methods, &sizes, |_, _, _| {});
    // A graph is captured by the third step of the first epoch; after eight steps of another kind in a row by the ninth.
    assert_eq!(calls(), [17, 3 + 9 + 1]);
}

/// The sides of a coin, step by step: they come in rows that are long enough to be captured, alone, and in turns.
const COIN: &[u8] = b"aaababbabbbbbbbbbabab";

fn heads(step: u64) -> bool {
    COIN[step as usize] == b'b'
}

#[test]
fn a_method_without_a_graph_key_is_never_captured() {
    let device_config = DeviceConfig { device: gan_kernels::device::test_device().unwrap(), dtype: DType::F32 };
    let _turn = DEVICE.lock().unwrap_or_else(PoisonError::into_inner);
    let spec = find(METHODS, "pix2pix").unwrap();
    let (methods, calls) = flipping(spec, &device_config, heads, None);
    compare_twins(spec, &device_config, methods, &[1; COIN.len()], |_, _, _| {});
    assert_eq!(calls(), [COIN.len() as u64; 2]);
}

#[test]
fn the_graph_of_one_branch_is_not_launched_for_another() {
    let Some((device_config, _turn)) = device() else { return };
    let spec = find(METHODS, "pix2pix").unwrap();
    let (methods, calls) = flipping(spec, &device_config, heads, Some(|_, cx| Some(u64::from(heads(cx.step)))));
    compare_twins(spec, &device_config, methods, &[1; COIN.len()], |_, _, _| {});
    // The third `a` and the ninth `b` in a row are captured; two more of each are launched.
    assert_eq!(calls(), [COIN.len() as u64, COIN.len() as u64 - 4]);
}

type GraphKey = fn(&dyn Method, &StepContext) -> Option<u64>;

/// A method that takes a branch each step: where `heads` says so, it translates from B to A. Shapes are the same on both
/// branches.
struct Flipping {
    method: Box<dyn Method>,
    heads: fn(u64) -> bool,
    /// How often the host asked for a step.
    calls: Arc<AtomicU64>,
}

impl Method for Flipping {
    fn step(&mut self, batch: &Batch, cx: &StepContext) -> gan_train::Result<Losses> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        if !(self.heads)(cx.step) {
            return self.method.step(batch, cx);
        }
        let Some(b) = batch.b.clone() else { panic!("a batch without targets") };
        self.method.step(&Batch { a: b, b: Some(batch.a.clone()), ..batch.clone() }, cx)
    }

    fn preview(&self, batch: &Batch) -> gan_train::Result<Panels> {
        self.method.preview(batch)
    }

    fn state(&mut self) -> MethodState<'_> {
        self.method.state()
    }
}

/// The same with a graph key.
struct Keyed(Flipping, GraphKey);

impl Method for Keyed {
    fn step(&mut self, batch: &Batch, cx: &StepContext) -> gan_train::Result<Losses> {
        self.0.step(batch, cx)
    }

    fn preview(&self, batch: &Batch) -> gan_train::Result<Panels> {
        self.0.preview(batch)
    }

    fn state(&mut self) -> MethodState<'_> {
        self.0.state()
    }

    fn graph_key(&self, cx: &StepContext) -> Option<u64> {
        (self.1)(&*self.0.method, cx)
    }
}

/// A flipping method without and with graphs, and how often the host asked each for a step.
fn flipping(
    spec: &MethodSpec,
    device_config: &DeviceConfig,
    heads: fn(u64) -> bool,
    key: Option<GraphKey>,
) -> ([Box<dyn Method>; 2], impl Fn() -> [u64; 2] + use<>) {
    let calls = <[Arc<AtomicU64>; 2]>::default();
    let methods = twins(spec, device_config, &[], |method, i| {
        let flipping = Flipping { method, heads, calls: calls[i].clone() };
        match key {
            Some(key) => Box::new(Keyed(flipping, key)),
            None => Box::new(flipping),
        }
    });
    (methods, move || [0, 1].map(|i: usize| calls[i].load(Ordering::Relaxed)))
}

#[test]
fn previews_and_bf16_copies_of_weights_do_not_disturb() {
    let Some((device_config, _turn)) = device() else { return };
    for spec in METHODS {
        compare(spec, &device_config, &["precision=bf16"], &[1; 6], |step, method, batch| {
            if step != 1 {
                method.preview(batch).unwrap();
            }
        });
    }
}

#[test]
fn frozen_layers_and_rates_of_optimizers_are_captured() {
    let Some((device_config, _turn)) = device() else { return };
    for spec in METHODS {
        let twins = twins(spec, &device_config, &[], |mut method, _| {
            for (name, optimizer, _) in method.state().optimizers {
                optimizer.scale_lr(if name == "d" { 2.0 } else { 0.25 });
                // Every second tensor, so that an update is of many parts.
                let mut count = 0;
                let frozen = optimizer.store().ranges(|_| {
                    count += 1;
                    count % 2 == 0
                });
                optimizer.freeze(frozen);
            }
            method
        });
        compare_twins(spec, &device_config, twins, &SIZES, |_, _, _| {});
    }
}

#[test]
fn recomputed_activations_are_captured() {
    let Some((device_config, _turn)) = device() else { return };
    let spec = find(METHODS, "cyclegan").unwrap();
    compare(spec, &device_config, &["checkpointing=true", "generator.dropout=true"], &[2; 5], |_, _, _| {});
}

#[test]
fn nothing_is_updated_after_a_gradient_that_is_not_finite() {
    let Some((device_config, _turn)) = device() else { return };
    for name in ["pix2pix", "cyclegan"] {
        let spec = find(METHODS, name).unwrap();
        compare(spec, &device_config, &[], &[1; 7], |step, _, batch| {
            if step == 4 {
                batch.a = (&batch.a * f64::INFINITY).unwrap();
            }
        });
    }
}

#[test]
fn a_run_may_begin_and_go_on_with_and_without_graphs() {
    let Some((device_config, _turn)) = device() else { return };
    let folder = tempfile::tempdir().unwrap();
    for spec in METHODS {
        let name = |what: &str| folder.path().join(format!("{}-{what}", spec.name));
        go(spec, &device_config, &name("whole"), false, false, 9);
        for (i, launches) in [[true, true], [true, false], [false, true]].into_iter().enumerate() {
            let run = name(&i.to_string());
            go(spec, &device_config, &run, launches[0], false, 5);
            go(spec, &device_config, &run, launches[1], true, 9);
            let [have, want] = [&run, &name("whole")].map(|run| content(&snapshot(run)));
            assert!(have == want, "{}: {launches:?}", spec.name);
        }
    }
}

/// Trains on procedural images until `steps` are done.
fn go(spec: &'static MethodSpec, device_config: &DeviceConfig, run: &Path, graphs: bool, resume: bool, steps: u64) {
    let procedural: &[&str] = match spec.name {
        "cyclegan" | "cut" => &["data.mode=unpaired"],
        "pix2pixhd" => &["data.mode=streets", "label_nc=16"],
        _ => &["data.mode=facades"],
    };
    let own = ["max_dataset_size=4", "pool_size=3", "workers=0", "deterministic=true"];
    let now = [format!("max_steps={steps}"), format!("cuda_graphs={graphs}")];
    let layers = |base: Vec<ConfigSource>| {
        let all = base.into_iter().chain(now.iter().cloned().map(ConfigSource::Setting)).collect::<Vec<_>>();
        (spec.resolve)(&all)
    };
    let config = if resume {
        resume_config(run, spec, |saved| layers(vec![ConfigSource::saved(saved)?]))
    } else {
        let first =
            spec.smoke_overrides.iter().chain(procedural).chain(&own).map(|s| ConfigSource::Setting(s.to_string()));
        layers(first.collect())
    };
    let outcome = train(Job {
        method: spec,
        config: config.unwrap(),
        dataset: None,
        run: run.to_path_buf(),
        resume,
        device_config: device_config.clone(),
        argv: Vec::new(),
        version: "test".into(),
        revision: None,
        stop: Arc::default(),
        observers: Vec::new(),
        ranks: std::sync::Arc::new(gan_train::Single),
    })
    .unwrap();
    assert_eq!((outcome.finish, outcome.step), (Finish::Complete, steps));
    let events = std::fs::read_to_string(run.join("events.jsonl")).unwrap();
    assert!(!events.contains("without CUDA graphs"), "{events}");
}

fn snapshot(run: &Path) -> Snapshot {
    checkpoint::load_latest(&Disk, run, None).unwrap().snapshot
}

fn content(snapshot: &Snapshot) -> Vec<(String, Vec<u32>)> {
    let tensors = snapshot.tensors.iter().flat_map(|(file, tensors)| tensors.iter().map(move |t| (file, t)));
    tensors.map(|(file, (name, t))| (format!("{file}/{name} {:?}", t.dims()), bits(t))).collect()
}
