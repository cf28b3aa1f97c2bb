//! Training steps: losses of every step and the change of every weight.

use crate::case::{Case, device, number, on_device};
use crate::compare::{Report, What};
use crate::contrastive::Replayed;
use crate::networks::{generator, norm};
use candle_core::{DType, Tensor};
use gan_data::Batch;
use gan_layers::{Missing, NormKind};
use gan_losses::GanMode;
use gan_nets::{DiscriminatorConfig, NetD};
use gan_rng::{Key, Purpose};
use gan_train::methods::{cut, cyclegan, pix2pix, pix2pixhd};
use gan_train::{DeviceConfig, Method, StepContext, TrainConfig};
use serde_json::Value;
use std::collections::BTreeMap;

fn discriminator(c: &Value) -> DiscriminatorConfig {
    let arch = match c["arch"].as_str() {
        Some("patch" | "cut_patch") => NetD::NLayers,
        Some("multiscale") => NetD::Multiscale,
        Some("pixel") => NetD::Pixel,
        other => panic!("unknown discriminator {other:?}"),
    };
    let default_norm = if arch == NetD::Multiscale { NormKind::Instance } else { NormKind::Batch };
    DiscriminatorConfig {
        arch,
        ndf: number(c, "ndf", 64),
        n_layers_d: number(c, "n_layers", 3),
        num_d: number(c, "num_d", 3),
        norm: norm(c, default_norm),
        antialias: c["arch"].as_str() == Some("cut_patch"),
        ..DiscriminatorConfig::default()
    }
}

fn gan_mode(c: &Value) -> GanMode {
    match c["gan_mode"].as_str() {
        Some("vanilla") => GanMode::Vanilla,
        Some("wgangp") => GanMode::Wgangp,
        Some("hinge") => GanMode::Hinge,
        Some("nonsaturating") => GanMode::Nonsaturating,
        _ => GanMode::Lsgan,
    }
}

fn float(c: &Value, key: &str, default: f64) -> f64 {
    c[key].as_f64().unwrap_or(default)
}

fn method(case: &Case, device_config: &DeviceConfig) -> Box<dyn Method> {
    let c = &case.config;
    let train = TrainConfig {
        pool_size: number(c, "pool", 0),
        beta1: float(c, "beta1", 0.5),
        tf32: false,
        ..TrainConfig::default()
    };
    let nc = |name: &str| case.tensor(&format!("batch.0.{name}")).dim(1).expect("channels");
    let (g, d) = (&c["g"], discriminator(&c["d"]));
    match case.text("model") {
        "pix2pix" => {
            let config = pix2pix::Config {
                train,
                generator: generator(g, nc("a"), nc("b")),
                discriminator: d,
                loss: pix2pix::LossConfig {
                    gan_mode: gan_mode(c),
                    lambda_l1: float(c, "lambda_l1", 100.0),
                    r1_gamma: float(c, "r1_gamma", 0.0),
                    r1_every: number(c, "r1_every", 16) as u64,
                    ..Default::default()
                },
                ..Default::default()
            };
            Box::new(pix2pix::Pix2Pix::new(&config, device_config).expect("pix2pix"))
        }
        "cyclegan" => {
            let config = cyclegan::Config {
                train,
                generator: generator(g, nc("a"), nc("b")),
                discriminator: d,
                loss: cyclegan::LossConfig {
                    gan_mode: gan_mode(c),
                    lambda_a: float(c, "lambda_a", 10.0),
                    lambda_b: float(c, "lambda_b", 10.0),
                    lambda_identity: float(c, "lambda_idt", 0.5),
                    ..Default::default()
                },
                ..Default::default()
            };
            Box::new(cyclegan::CycleGan::new(&config, device_config).expect("cyclegan"))
        }
        "pix2pixhd" => {
            assert_eq!(c["vgg"].as_bool(), Some(false), "trajectories with VGG19 are not part of the format");
            let mut config = pix2pixhd::Config {
                train,
                generator: generator(g, 3, nc("image")),
                discriminator: d,
                ..Default::default()
            };
            config.data.label_nc = number(c, "label_nc", 35);
            config.data.instances = true;
            config.data.dont_care = None;
            config.loss.gan_mode = gan_mode(c);
            config.loss.lambda_feat = float(c, "lambda_feat", 10.0);
            config.loss.perceptual = pix2pixhd::Perceptual::None;
            Box::new(pix2pixhd::Pix2PixHd::new(&config, device_config).expect("pix2pixhd"))
        }
        "cut" | "fastcut" => {
            let config = cut::Config {
                train,
                generator: generator(g, nc("a"), nc("b")),
                discriminator: d,
                head: cut::HeadConfig { netf_nc: number(&c["f"], "nc", 256), ..Default::default() },
                loss: cut::LossConfig {
                    gan_mode: gan_mode(c),
                    lambda_gan: float(c, "lambda_gan", 1.0),
                    lambda_nce: float(c, "lambda_nce", 1.0),
                    nce_idt: c["nce_idt"].as_bool() == Some(true),
                    nce_layers: tapped(c),
                    nce_t: float(c, "temperature", 0.07),
                    num_patches: number(c, "num_patches", 256),
                    nce_includes_all_negatives_from_minibatch: c["all_negatives"].as_bool() == Some(true),
                    flip_equivariance: c["flip_equivariance"].as_bool() == Some(true),
                    ..Default::default()
                },
                ..Default::default()
            };
            Box::new(Replayed::new(case, cut::Cut::new(&config, device_config).expect("cut")))
        }
        other => panic!("{}: unknown model {other}", case.name),
    }
}

/// The layers of the generator whose features are used.
fn tapped(c: &Value) -> Vec<usize> {
    c["layers"].as_array().into_iter().flatten().map(|layer| layer.as_u64().expect("a layer") as usize).collect()
}

fn batch(case: &Case, step: usize, dtype: DType) -> Batch {
    let get = |name: &str| case.tensors.get(&format!("batch.{step}.{name}"));
    let float = |t: &Tensor| on_device(&t.to_dtype(dtype).expect("dtype"));
    let (a, b) = match (get("label"), get("a")) {
        (Some(label), _) => (on_device(&label.to_dtype(DType::U8).expect("labels")), get("image")),
        (None, Some(a)) => (float(a), get("b")),
        (None, None) => panic!("{}: step {step} has no input", case.name),
    };
    let inst = get("inst").map(|t| on_device(&t.to_dtype(DType::U32).expect("ids")));
    Batch { a, b: b.map(float), inst, names: vec![case.name.clone()] }
}

/// A convolution's bias in front of a norm: Adam walks it at random.
fn is_free_bias(case: &Case, net: &str, key: &str) -> bool {
    let Some(path) = key.strip_suffix(".bias") else { return false };
    // Exactly the last convolutions and the first one of a discriminator have no norm behind them.
    let conv = |k: &str| case.tensors.get(&format!("{net}.init.{k}.weight")).is_some_and(|t| t.rank() == 4);
    if !conv(path) {
        return false;
    }
    let (parent, index) = path.rsplit_once('.').expect("an index");
    let index: usize = index.parse().expect("an index");
    if net.starts_with('d') {
        let first = path.ends_with("layer0.0") || path == "model.0" || path == "net.0";
        let out = case.tensor(&format!("{net}.init.{path}.weight")).dim(0).expect("channels");
        return !first && out != 1;
    }
    // A feature has its bias.
    if parent == "model" && tapped(&case.config).contains(&index) {
        return false;
    }
    let is_last_of_sequence =
        !(index + 1..index + 12).any(|i| conv(&format!("{parent}.{i}"))) && !parent.ends_with("conv_block");
    let out = case.tensor(&format!("{net}.init.{path}.weight")).dims().to_vec();
    !(is_last_of_sequence && (out[0] == 3 || out[1] == 3))
}

/// A filter of CUT's networks.
fn is_constant(key: &str) -> bool {
    key.ends_with(".filt")
}

/// A trajectory as it was computed: losses `name[step]` and the change of every weight that is compared.
struct Trajectory {
    losses: Vec<(String, Tensor)>,
    updates: Vec<(String, Tensor)>,
}

/// How far a neighbour's initial weights are from the case's, relative to each weight.
const NUDGE: f64 = 1e-3;
/// Neighbours that are looked at where a case itself is out of tolerance.
const NEIGHBOURS: u64 = 9;

/// Runs the steps from the initial weights, or from those of a neighbour: each weight moved by up to [`NUDGE`] of itself.
fn simulate(case: &Case, dtype: DType, neighbour: Option<u64>) -> Trajectory {
    let device_config = DeviceConfig { device: device(), dtype };
    let mut method = method(case, &device_config);
    let mut start = BTreeMap::new();
    for (_, optimizer, networks) in method.state().optimizers {
        for net in networks {
            let mut init = case.state_dict(&format!("{net}.init."), DType::F64);
            let weights = |key: &str, t: &Tensor| t.dtype().is_float() && t.rank() > 1 && !is_constant(key);
            for (key, t) in init.iter_mut().filter(|(key, t)| weights(key, t)) {
                let Some(draw) = neighbour else { continue };
                let mut stream = Key::new(draw, Purpose::Test).at_name(key).stream();
                let factors =
                    Tensor::from_iter((0..t.elem_count()).map(|_| 1.0 + NUDGE * stream.range(-1.0, 1.0)), t.device());
                *t = (&*t * factors.and_then(|f| f.reshape(t.shape())).expect("factors")).expect("weights");
            }
            optimizer.store().load(&format!("{net}."), &init, Missing::Refuse).expect("initial weights");
            let loaded = optimizer.store().state_dict(&format!("{net}.")).expect("weights");
            start.extend(loaded.into_iter().map(|(key, t)| (format!("{net}.{key}"), t)));
        }
    }
    let steps = case.tensors.keys().filter_map(|k| k.strip_prefix("batch.")?.split('.').next()?.parse::<usize>().ok());
    let steps = steps.max().expect("batches") + 1;
    let lr = float(&case.config, "lr", 2e-4);
    let mut losses = Vec::new();
    for step in 0..steps {
        let cx = StepContext { epoch: 1, step: step as u64, update: step as u64, lr, seed: 0 };
        let values = method.step(&batch(case, step, dtype), &cx).expect("a step");
        losses.extend(values.into_iter().map(|(name, value)| (format!("{name}[{step}]"), value)));
    }
    let mut updates = Vec::new();
    for (_, optimizer, networks) in method.state().optimizers {
        for net in networks {
            for (key, have) in optimizer.store().state_dict(&format!("{net}.")).expect("weights") {
                if !is_free_bias(case, net, &key) && !is_constant(&key) && !key.ends_with("num_batches_tracked") {
                    let name = format!("{net}.{key}");
                    updates.push((name.clone(), difference(&have, &start[&name])));
                }
            }
        }
    }
    Trajectory { losses, updates }
}

fn difference(a: &Tensor, b: &Tensor) -> Tensor {
    a.to_dtype(DType::F64).and_then(|a| a - b.to_dtype(DType::F64)?).expect("difference")
}

/// Compares the change of a weight. The taps of a kernel that see nothing but padding, because the image is that small, do not move. In F32 a rounded
/// sum of zeros may differ from zero, and Adam moves the weight: they are left out there.
fn compare_update(report: &mut Report, name: &str, have: &Tensor, want: &Tensor) {
    let moving = want.ne(0.0).and_then(|moving| have * moving.to_dtype(have.dtype())?).expect("moving weights");
    report.tensor(What::Update, name, if report.is_wide() { have } else { &moving }, want);
}

/// Compares with PyTorch. Where a value lies within F32 rounding of the edge of a ReLU or of an L1 term, one flip sends
/// Adam another way for good, whichever kernels compute. Flips are a matter of values: of the neighbours of a case, a hair
/// away, half or more have none in eight steps, and their errors are a thousandth of the limits. A wrong kernel is a matter of shapes and
/// shows in all of them. So a case out of tolerance must agree with PyTorch in the first step, and three of its nine
/// neighbours with our own F64, which agrees with PyTorch, within a hundredth of the limits.
pub(crate) fn run(case: &Case, dtype: DType) -> Report {
    let mut report = Report::new(dtype);
    let mut first = Report::new(dtype);
    let have = simulate(case, dtype, None);
    for (name, value) in &have.losses {
        let (loss, step) = name.trim_end_matches(']').split_once('[').expect("a step");
        let want = case.tensor(&format!("loss.{loss}")).get(step.parse().expect("a number")).expect("a loss");
        report.tensor(What::Loss, name, value, &want);
        if step == "0" {
            first.tensor(What::Loss, name, value, &want);
        }
    }
    for (name, update) in &have.updates {
        let (net, key) = name.split_once('.').expect("a network");
        let tensor = |when: &str| case.tensor(&format!("{net}.{when}.{key}"));
        compare_update(&mut report, name, update, &difference(tensor("final"), tensor("init")));
    }
    if dtype == DType::F64 || report.failures(&case.name).is_empty() {
        return report;
    }
    println!("{}: {} beside the edge of a ReLU or L1?", case.name, report.summary());
    let mut neighbours: Vec<Report> = (0..NEIGHBOURS).map(|draw| compare_neighbour(case, dtype, draw)).collect();
    neighbours.sort_by(|a, b| a.worst().total_cmp(&b.worst()));
    let worst: Vec<_> = neighbours.iter().map(|report| format!("{:.1e}", report.worst())).collect();
    println!("{}: its neighbours' errors as parts of the limits: {}", case.name, worst.join(" "));
    let mut third = neighbours.swap_remove(2);
    third.require("a hundredth of the limits in three of nine neighbours", third.worst() <= 0.01);
    third.require("losses of the first step", first.failures(&case.name).is_empty());
    third
}

/// The errors of a neighbour beside our own F64.
fn compare_neighbour(case: &Case, dtype: DType, draw: u64) -> Report {
    let (have, want) = (simulate(case, dtype, Some(draw)), simulate(case, DType::F64, Some(draw)));
    let mut report = Report::new(dtype);
    for ((name, have), (_, want)) in have.losses.iter().zip(&want.losses) {
        report.tensor(What::Loss, name, have, want);
    }
    for ((name, have), (_, want)) in have.updates.iter().zip(&want.updates) {
        compare_update(&mut report, name, have, want);
    }
    report
}
