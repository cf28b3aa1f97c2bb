//! Golden training steps: losses and gradient norms of three steps of each method in F64, with weights and batches that
//! follow from a formula, as the references compute them in PyTorch.
#![allow(clippy::unwrap_used)]

#[path = "../../crates/gan-nets/tests/golden/fill.rs"]
#[allow(dead_code)]
mod fill;

use candle_core::{DType, Tensor};
use fill::{device, fill, input};
use gan_data::Batch;
use gan_layers::{NormKind, ParamStore};
use gan_losses::GanMode;
use gan_nets::{Arch, DiscriminatorConfig, GeneratorConfig, NetD};
use gan_train::methods::{cyclegan, pix2pix, pix2pixhd};
use gan_train::{DeviceConfig, Method, StepContext, TrainConfig};

fn device_config() -> DeviceConfig {
    DeviceConfig { device: device(), dtype: DType::F64 }
}

/// Compares numbers with printed ones: half a unit of the last printed place.
fn check(what: &str, have: &[f64], want: &str) {
    let printed: Vec<&str> = want.split_whitespace().collect();
    assert_eq!(have.len(), printed.len(), "{what}: {have:?}");
    for (i, (have, text)) in have.iter().zip(printed).enumerate() {
        let decimals = text.split_once('.').map_or(0, |(_, digits)| digits.len());
        let unit = 0.1f64.powi(decimals as i32);
        let want: f64 = text.parse().unwrap();
        assert!((have - want).abs() <= 0.51 * unit, "{what}, column {i}: {have:.9} instead of {text}");
    }
}

fn values(tensors: &[(String, Tensor)]) -> Vec<f64> {
    tensors.iter().flat_map(|(_, t)| t.flatten_all().unwrap().to_vec1::<f64>().unwrap()).collect()
}

fn grad_norm(store: &ParamStore, net: &str) -> f64 {
    let grads = values(&store.grad_dict(&format!("{net}.")).unwrap());
    grads.iter().map(|g| g * g).sum::<f64>().sqrt()
}

/// Runs three steps and compares the losses and then the gradient norms of the networks in order.
fn run(name: &str, method: &mut dyn Method, batch: impl Fn(usize) -> Batch, rows: [&str; 3]) {
    for (_, optimizer, nets) in method.state().optimizers {
        for net in nets {
            let scale = if net.ends_with("_b") { 0.9 } else { 1.0 };
            fill(optimizer.store(), &format!("{net}."), scale);
        }
    }
    for (step, row) in rows.into_iter().enumerate() {
        let cx = StepContext { epoch: 1, step: step as u64, update: step as u64, lr: 2e-4, seed: 0 };
        let losses = method.step(&batch(step), &cx).unwrap();
        let mut have: Vec<f64> = losses.iter().map(|(_, t)| t.to_scalar::<f64>().unwrap()).collect();
        for (_, optimizer, nets) in method.state().optimizers {
            have.extend(nets.iter().map(|net| grad_norm(optimizer.store(), net)));
        }
        check(&format!("{name} step {}", step + 1), &have, row);
    }
}

fn images(n: usize, side: usize) -> impl Fn(usize) -> Batch {
    move |step| {
        let phase = 0.3 * step as f64;
        Batch {
            a: input(&[n, 3, side, side], 0.13, phase),
            b: Some(input(&[n, 3, side, side], 0.07, 1.0 + phase)),
            inst: None,
            names: vec![String::new(); n],
        }
    }
}

fn pix2pix(gan_mode: GanMode) -> pix2pix::Pix2Pix {
    let config = pix2pix::Config {
        generator: GeneratorConfig {
            arch: Arch::Unet128,
            ngf: 4,
            norm: NormKind::Batch,
            dropout: false,
            ..GeneratorConfig::default()
        },
        discriminator: DiscriminatorConfig { ndf: 4, norm: NormKind::Batch, ..DiscriminatorConfig::default() },
        loss: pix2pix::LossConfig { gan_mode, ..pix2pix::LossConfig::default() },
        ..pix2pix::Config::default()
    };
    pix2pix::Pix2Pix::new(&config, &device_config()).unwrap()
}

// Columns: G_GAN G_L1 D_real D_fake, gradient norms of G and D.
#[test]
fn pix2pix_vanilla() {
    let mut method = pix2pix(GanMode::Vanilla);
    let rows = [
        "0.709632 65.284962 0.683189 0.706892 8.59929 0.731853",
        "0.735440 65.227590 0.690140 0.680072 7.83531 0.694077",
        "0.759606 65.148601 0.691025 0.658102 7.70325 0.782729",
    ];
    run("vanilla", &mut method, images(2, 128), rows);
    let sums = ["245.5585 10693.968", "56.75744 801.25479"];
    for ((name, optimizer, nets), row) in method.state().optimizers.into_iter().zip(sums) {
        let store = optimizer.store();
        let prefix = format!("{}.", nets[0]);
        let trained: Vec<String> = store.grad_dict(&prefix).unwrap().into_iter().map(|(key, _)| key).collect();
        let mut state = store.state_dict(&prefix).unwrap();
        state.retain(|(key, _)| trained.contains(key));
        let weights = values(&state);
        let have = [weights.iter().sum(), weights.iter().map(|w| w.abs()).sum()];
        check(&format!("parameters of {name}"), &have, row);
    }
}

#[test]
fn pix2pix_lsgan() {
    let rows = [
        "0.846239 65.284962 0.972797 0.014662 8.62544 6.41161",
        "0.763079 65.227687 0.877529 0.019736 7.90096 5.61205",
        "0.684130 65.148829 0.789220 0.030543 7.78723 4.7685",
    ];
    run("lsgan", &mut pix2pix(GanMode::Lsgan), images(2, 128), rows);
}

#[test]
fn pix2pix_wgangp() {
    let rows = [
        "0.025058 65.284962 -0.026179 0.023833 8.60054 1.31694",
        "0.075013 65.227699 -0.022531 -0.023733 7.80453 1.54559",
        "0.128725 65.148747 -0.027857 -0.071908 7.5795 1.88117",
    ];
    run("wgangp", &mut pix2pix(GanMode::Wgangp), images(2, 128), rows);
}

// Columns: D_A G_A cycle_A idt_A D_B G_B cycle_B idt_B, gradient norms of G_A, G_B, D_A, D_B.
#[test]
fn cyclegan() {
    let config = cyclegan::Config {
        train: TrainConfig { pool_size: 50, ..TrainConfig::default() },
        generator: GeneratorConfig { arch: Arch::Resnet6Blocks, ngf: 4, ..GeneratorConfig::default() },
        discriminator: DiscriminatorConfig { ndf: 4, ..DiscriminatorConfig::default() },
        ..cyclegan::Config::default()
    };
    let rows = [
        "0.592246 1.243672 6.398484 3.258207 0.625548 1.201161 6.372667 3.193161 43.2053 17.2381 8.12063 8.81324",
        "0.538133 1.130037 6.400465 3.243026 0.568469 1.136320 6.327774 3.182312 27.2919 17.0848 7.58389 8.08183",
        "0.503360 1.045722 6.381632 3.239447 0.531582 1.063064 6.309963 3.177795 9.70625 9.14266 8.50066 7.61859",
    ];
    let mut method = cyclegan::CycleGan::new(&config, &device_config()).unwrap();
    run("cyclegan", &mut method, images(1, 64), rows);
}

fn street(step: usize) -> Batch {
    let label = (0..64 * 64u32).map(|i| ((i / 64 / 16 + i % 64 / 16 + step as u32) % 5) as u8);
    let inst = (0..64 * 64u32).map(|i| i / 64 / 16 * 10 + i % 64 / 20);
    Batch {
        a: Tensor::from_vec(label.collect::<Vec<_>>(), (1, 1, 64, 64), &device()).unwrap(),
        b: Some(input(&[1, 3, 64, 64], 0.07, 0.3 * step as f64)),
        inst: Some(Tensor::from_vec(inst.collect::<Vec<_>>(), (1, 1, 64, 64), &device()).unwrap()),
        names: vec![String::new()],
    }
}

// Columns: G_GAN G_GAN_Feat D_real D_fake, gradient norms of G and D.
#[test]
fn pix2pixhd() {
    let edges = gan_kernels::labels::instance_edges(&street(0).inst.unwrap(), DType::F64).unwrap();
    assert_eq!(edges.sum_all().unwrap().to_scalar::<f64>().unwrap(), 732.0);

    let mut config = pix2pixhd::Config::default();
    config.data.label_nc = 5;
    config.data.instances = true;
    config.data.dont_care = None;
    config.generator =
        GeneratorConfig { arch: Arch::Global, ngf: 4, n_downsample_global: 2, n_blocks_global: 2, ..config.generator };
    config.discriminator = DiscriminatorConfig { arch: NetD::Multiscale, ndf: 4, num_d: 2, ..config.discriminator };
    config.loss.perceptual = pix2pixhd::Perceptual::None;
    let rows = [
        "2.386046 16.280846 2.396031 0.119751 43.0034 9.53048",
        "2.274109 17.436229 2.260424 0.107192 61.5204 9.04689",
        "2.138574 18.662127 2.118399 0.074249 46.1024 8.2336",
    ];
    let mut method = pix2pixhd::Pix2PixHd::new(&config, &device_config()).unwrap();
    run("pix2pixhd", &mut method, street, rows);
}
