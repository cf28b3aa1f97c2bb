//! Choices, flips and images of unequal sizes.

#![allow(clippy::unwrap_used)]
use super::*;
use candle_core::DType;
use gan_nets::{Arch, DiscriminatorConfig, GeneratorConfig};

const SIDE: usize = 32;

fn device_config() -> DeviceConfig {
    DeviceConfig { device: gan_kernels::device::test_device().unwrap(), dtype: DType::F64 }
}

fn config(change: impl Fn(&mut Config)) -> Config {
    let defaults = Config::default();
    let mut config = Config {
        generator: GeneratorConfig { arch: Arch::Resnet, n_blocks: 1, ngf: 4, ..defaults.generator },
        discriminator: DiscriminatorConfig { ndf: 4, ..defaults.discriminator },
        ..Config::default()
    };
    (config.head.netf_nc, config.loss.num_patches) = (8, 16);
    change(&mut config);
    config
}

fn image(part: u64, n: usize) -> Tensor {
    let mut values = vec![0f32; n * 3 * SIDE * SIDE];
    Key::new(3, Purpose::Test).at(part).fill_normal(0, &mut values);
    let values = Tensor::from_vec(values, (n, 3, SIDE, SIDE), &device_config().device).unwrap();
    values.to_dtype(DType::F64).unwrap().tanh().unwrap()
}

fn batch(n: usize) -> Batch {
    Batch { a: image(0, n), b: Some(image(1, n)), inst: None, names: vec![String::new(); n] }
}

fn at(step: u64) -> StepContext {
    StepContext { epoch: 1, step, update: step, lr: 2e-4, seed: 5 }
}

/// The losses and gradients of a step.
fn step(config: &Config, batch: &Batch, cx: &StepContext) -> Vec<(String, Vec<f64>)> {
    let mut method = Cut::new(config, &device_config()).unwrap();
    let losses = method.step(batch, cx).unwrap();
    let mut out: Vec<_> = losses.into_iter().map(|(name, value)| (name.to_string(), value)).collect();
    for (network, optimizer, _) in method.state().optimizers {
        let gradients = optimizer.store().grad_dict("").unwrap();
        out.extend(gradients.into_iter().map(|(key, gradient)| (format!("{network}: {key}"), gradient)));
    }
    out.into_iter().map(|(name, t)| (name, t.flatten_all().unwrap().to_vec1().unwrap())).collect()
}

fn assert_same(what: &str, have: &[(String, Vec<f64>)], want: &[(String, Vec<f64>)]) {
    assert_eq!(have.len(), want.len(), "{what}");
    for ((name, have), (_, want)) in have.iter().zip(want) {
        let scale = want.iter().fold(0.0, |max: f64, w| max.max(w.abs()));
        for (have, want) in have.iter().zip(want) {
            assert!((have - want).abs() <= 1e-9 * scale + 1e-13, "{what}: {name} {have} instead of {want}");
        }
    }
}

fn named<'a>(all: &'a [(String, Vec<f64>)], name: &str) -> &'a [f64] {
    &all.iter().find(|(n, _)| n == name).unwrap_or_else(|| panic!("no {name}")).1
}

#[test]
fn losses_are_those_of_the_reference_by_name_and_sum() {
    let cut = step(&config(|_| ()), &batch(2), &at(0));
    let names: Vec<_> = cut.iter().map(|(name, _)| name.as_str()).take(6).collect();
    assert_eq!(names, ["G_GAN", "D_real", "D_fake", "G", "NCE", "NCE_Y"]);
    let of = |name| named(&cut, name)[0];
    assert!((of("G") - of("G_GAN") - 0.5 * (of("NCE") + of("NCE_Y"))).abs() < 1e-12);
    let fast = step(&config(|c| c.loss.nce_idt = false), &batch(2), &at(0));
    let of = |name| named(&fast, name)[0];
    assert!((of("G") - of("G_GAN") - of("NCE")).abs() < 1e-12);
    assert!(fast.iter().all(|(name, _)| name != "NCE_Y"));
    // Untrained features of 16 patches are told apart by chance at best.
    assert!(of("NCE") > 1.0, "{}", of("NCE"));
}

/// Images that pass as one batch, and those that cannot: the same losses where the images are.
#[test]
fn images_of_unequal_sizes_pass_one_by_one() {
    let (config, both) = (config(|c| c.loss.flip_equivariance = true), batch(1));
    let narrower = both.b.as_ref().unwrap().narrow(3, 0, SIDE - 4).unwrap().contiguous().unwrap();
    for cx in [at(0), at(1), at(2), at(3)] {
        let apart = step(&config, &Batch { b: Some(narrower.clone()), ..both.clone() }, &cx);
        assert!(apart.iter().all(|(_, values)| values.iter().all(|v| v.is_finite())));
        // The other image has no part in these.
        let together = step(&config, &both, &cx);
        for name in ["D_fake", "NCE"] {
            let (have, want) = (named(&apart, name)[0], named(&together, name)[0]);
            assert!((have - want).abs() < 1e-12, "{name}: {have} and {want}");
        }
    }
}

/// Mirroring the image that the generator gets, and not its source, is a step on the mirrored image whose keys come from the image as it is.
#[test]
fn a_mirrored_step_compares_the_same_places() {
    let config = config(|c| (c.loss.nce_idt, c.loss.lambda_gan) = (false, 0.0));
    let both = batch(1);
    // An image that is its own mirror image: flipped or not, all is the same.
    let symmetric = ((&both.a + mirrored_images(&both.a).unwrap()).unwrap() * 0.5).unwrap();
    let batch = Batch { a: symmetric, ..both };
    let run = |flip: bool| {
        let mut method = Cut::new(&config, &device_config()).unwrap();
        let sizes = method.g.feature_sizes(&config.loss.nce_layers, (SIDE, SIDE)).unwrap();
        let draws = Draws::new(&config.loss, &at(7), [&sizes, &[]], batch.a.device()).unwrap();
        let losses = method.step_with(&batch, &at(7), &Draws { flip, ..draws }).unwrap();
        losses.into_iter().map(|(name, t)| (name.to_string(), vec![t.to_scalar::<f64>().unwrap()])).collect::<Vec<_>>()
    };
    let (plain, flipped) = (run(false), run(true));
    // The fake is the same, and the queries are those of the mirrored places.
    assert_same("losses", &flipped[..3], &plain[..3]);
    assert_ne!(named(&flipped, "NCE"), named(&plain, "NCE"));
}

#[test]
fn choices_belong_to_their_step() {
    let config = config(|c| c.loss.flip_equivariance = true);
    let cut = Cut::new(&config, &device_config()).unwrap();
    let sizes = cut.g.feature_sizes(&config.loss.nce_layers, (SIDE, SIDE)).unwrap();
    assert_eq!(sizes[..2], [(3, SIDE + 6, SIDE + 6), (8, SIDE, SIDE)]);
    let draws = |step| Draws::new(&config.loss, &at(step), [&sizes, &sizes], &device_config().device).unwrap();
    let values = |t: &Tensor| t.to_vec1::<u32>().unwrap();
    let (one, again, other) = (draws(1), draws(1), draws(2));
    for i in 0..sizes.len() {
        assert_eq!(values(&one.a[i]), values(&again.a[i]));
        assert_ne!(values(&one.a[i]), values(&other.a[i]));
        assert_ne!(values(&one.a[i]), values(&one.b[i]));
        assert_eq!(one.a[i].elem_count(), 16);
    }
    let flips = (0..400).filter(|&step| cut.graph_key(&at(step)) != cut.graph_key(&at(0))).count();
    assert!((160..240).contains(&flips), "{flips}");
    let never = Cut::new(&super::tests::config(|_| ()), &device_config()).unwrap();
    assert!((0..50).all(|step| never.graph_key(&at(step)) == Some(0)));
}

#[test]
fn a_head_without_perceptrons_has_no_state() {
    let mut method = Cut::new(&config(|c| c.head.arch = NetF::Sample), &device_config()).unwrap();
    let losses = method.step(&batch(1), &at(0)).unwrap();
    assert!(losses.iter().all(|(_, value)| value.to_scalar::<f64>().unwrap().is_finite()));
    let names: Vec<_> = method.state().optimizers.into_iter().map(|(name, ..)| name).collect();
    assert_eq!(names, ["g", "d"]);
}

#[test]
fn recomputed_activations_change_nothing() {
    let plain = step(&config(|_| ()), &batch(1), &at(3));
    assert_same("checkpointing", &step(&config(|c| c.train.checkpointing = true.into()), &batch(1), &at(3)), &plain);
}

#[test]
fn negatives_may_come_from_the_whole_batch() {
    let own = step(&config(|_| ()), &batch(2), &at(0));
    let all = step(&config(|c| c.loss.nce_includes_all_negatives_from_minibatch = true), &batch(2), &at(0));
    // Twice as many keys: harder to find one's own.
    assert!(named(&all, "NCE")[0] > named(&own, "NCE")[0] + 0.3);
}
