//! Images in one batch and images one by one: the same losses and gradients.

#![allow(clippy::unwrap_used)]
use super::*;
use candle_core::DType;
use gan_losses::GanMode;
use gan_nets::{Arch, DiscriminatorConfig, GeneratorConfig};

const SIDE: usize = 32;

fn device_config() -> DeviceConfig {
    DeviceConfig { device: gan_kernels::device::test_device().unwrap(), dtype: DType::F64 }
}

fn config() -> Config {
    Config {
        generator: GeneratorConfig { arch: Arch::Resnet, n_blocks: 2, ngf: 4, ..GeneratorConfig::default() },
        discriminator: DiscriminatorConfig { ndf: 4, ..DiscriminatorConfig::default() },
        ..Config::default()
    }
}

fn adaptive() -> crate::AugmentConfig {
    crate::AugmentConfig { policy: "color".parse().unwrap(), adaptive: true, ..crate::AugmentConfig::default() }
}

fn batch(n: usize) -> Batch {
    let image = |part: u64| {
        let mut values = vec![0f32; n * 3 * SIDE * SIDE];
        Key::new(3, Purpose::Test).at(part).fill_normal(0, &mut values);
        let values = Tensor::from_vec(values, (n, 3, SIDE, SIDE), &device_config().device).unwrap();
        values.to_dtype(DType::F64).unwrap().tanh().unwrap()
    };
    Batch { a: image(0), b: Some(image(1)), inst: None, names: vec![String::new(); n] }
}

/// The losses and gradients of a step.
fn step(config: &Config, n: usize, join: bool) -> Vec<(String, Vec<f64>)> {
    let mut method = CycleGan::new(config, &device_config()).unwrap();
    (method.fusion_g, method.fusion_d) = (method.fusion_g.forced(join), method.fusion_d.forced(join));
    let losses = method.step(&batch(n), &StepContext { epoch: 1, step: 0, update: 0, lr: 2e-4, seed: 0 }).unwrap();
    let mut out: Vec<_> = losses.into_iter().map(|(name, value)| (name.to_string(), value)).collect();
    for (_, optimizer, networks) in method.state().optimizers {
        for network in networks {
            let prefix = format!("{network}.");
            let gradients = optimizer.store().grad_dict(&prefix).unwrap();
            out.extend(gradients.into_iter().map(|(key, gradient)| (prefix.clone() + &key, gradient)));
        }
    }
    out.extend([&method.augment_a, &method.augment_b].into_iter().filter_map(|augment| augment.save()));
    out.into_iter().map(|(name, t)| (name, t.flatten_all().unwrap().to_vec1().unwrap())).collect()
}

/// Compares steps that join with steps that do not, up to rounding.
fn compare(what: &str, config: &Config, n: usize) {
    let (joined, alone) = (step(config, n, true), step(config, n, false));
    assert_eq!(joined.len(), alone.len());
    for ((name, have), (_, want)) in joined.iter().zip(&alone) {
        let scale = want.iter().fold(0.0, |max: f64, w| max.max(w.abs()));
        for (have, want) in have.iter().zip(want) {
            assert!((have - want).abs() <= 1e-9 * scale, "{what}, {n} images: {name} {have} instead of {want}");
        }
    }
}

#[test]
fn what_passes_together_is_what_passes_one_by_one() {
    let with = |change: &dyn Fn(&mut Config)| {
        let mut config = config();
        change(&mut config);
        config
    };
    for n in [1, 2] {
        compare("instance norm", &config(), n);
        compare("recomputed", &with(&|c| c.train.checkpointing = true.into()), n);
    }
    for gan_mode in [GanMode::Vanilla, GanMode::Wgangp] {
        compare("another objective", &with(&|c| c.loss.gan_mode = gan_mode), 1);
    }
    compare("no identity loss", &with(&|c| c.loss.lambda_identity = 0.0), 1);
    compare("augmented", &with(&|c| c.augment.policy = "color,translation,cutout".parse().unwrap()), 2);
    compare("adaptive", &with(&|c| c.augment = adaptive()), 2);
    compare("no norm", &with(&|c| c.generator.norm = gan_layers::NormKind::None), 1);
    compare("several scales", &with(&|c| c.discriminator.arch = gan_nets::NetD::Multiscale), 1);
    compare("discriminators only", &with(&|c| c.generator.dropout = true), 1);
    compare("generators only", &with(&|c| c.discriminator.norm = gan_layers::NormKind::Batch), 1);
}

#[test]
fn images_of_unequal_sizes_pass_one_by_one() {
    let mut method = CycleGan::new(&config(), &device_config()).unwrap();
    (method.fusion_g, method.fusion_d) = (method.fusion_g.forced(true), method.fusion_d.forced(true));
    let batch = batch(1);
    let narrower = batch.b.as_ref().unwrap().narrow(3, 0, SIDE - 4).unwrap().contiguous().unwrap();
    let losses = method
        .step(&Batch { b: Some(narrower), ..batch }, &StepContext { epoch: 1, step: 0, update: 0, lr: 2e-4, seed: 0 });
    assert!(losses.unwrap().iter().all(|(_, value)| value.to_scalar::<f64>().unwrap().is_finite()));
}
