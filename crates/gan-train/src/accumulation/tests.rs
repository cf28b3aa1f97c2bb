//! Several micro-batches against one large batch, against steps of their own, and against sums made by hand.

#![allow(clippy::unwrap_used)]
use super::*;
use crate::config::ConfigSource;
use crate::{DeviceConfig, METHODS, MethodSpec, find};
use candle_core::{DType, Device, Tensor};
use gan_rng::{Key, Purpose};

const SIDE: usize = 32;

/// Numbers by name.
type Named = Vec<(String, Vec<f64>)>;

pub(crate) fn build(spec: &MethodSpec, more: &[&str], dtype: DType) -> Box<dyn Method> {
    let labels: &[&str] = if spec.name == "pix2pixhd" { &["label_nc=5", "data.instances=true"] } else { &[] };
    let all = spec.smoke_overrides.iter().chain(labels).chain(more);
    let config = (spec.resolve)(&all.map(|s| ConfigSource::Setting(s.to_string())).collect::<Vec<_>>()).unwrap();
    config.build(&DeviceConfig { dtype, ..DeviceConfig::cpu() }).unwrap()
}

/// Settings with which an image is computed for itself alone, and no choice is random.
fn apart(spec: &MethodSpec) -> Vec<&'static str> {
    let own: &[&str] = match spec.name {
        "pix2pix" => &["generator.norm=instance", "discriminator.norm=instance", "generator.dropout=false"],
        // All positions: which come first makes no difference.
        "cut" => &["num_patches=65536", "nce_layers=[4,8]"],
        _ => &[],
    };
    [&["pool_size=0"][..], own].concat()
}

/// Images `from..from + n` of a drawn dataset, or label maps and instances for pix2pixHD.
fn batch(spec: &MethodSpec, from: u64, n: u64, dtype: DType) -> Batch {
    let key = |i: u64| Key::new(9, Purpose::Test).at(from + i);
    let (each, count) = (SIDE * SIDE, n as usize);
    let image = |part: u64| {
        let mut values = vec![0f32; count * 3 * each];
        values.chunks_mut(3 * each).zip(0..).for_each(|(image, i)| key(i).at(part).fill_normal(0, image));
        let values = Tensor::from_vec(values, (count, 3, SIDE, SIDE), &Device::Cpu).unwrap();
        values.tanh().unwrap().to_dtype(dtype).unwrap()
    };
    let map = |cell: usize, kinds: u32| -> Vec<u32> {
        let at = |i: usize| (i / SIDE / cell * (SIDE / cell) + i % SIDE / cell) as u64;
        (0..n).flat_map(|image| (0..each).map(move |i| key(image).block(at(i))[0] % kinds)).collect()
    };
    let names = vec![String::new(); count];
    if spec.name != "pix2pixhd" {
        return Batch { a: image(0), b: Some(image(1)), inst: None, names };
    }
    let shape = (count, 1, SIDE, SIDE);
    let labels: Vec<u8> = map(8, 5).into_iter().map(|label| label as u8).collect();
    let a = Tensor::from_vec(labels, shape, &Device::Cpu).unwrap();
    let inst = Tensor::from_vec(map(4, 7), shape, &Device::Cpu).unwrap();
    Batch { a, b: Some(image(1)), inst: Some(inst), names }
}

/// Micro-batches of these sizes, one behind the other.
pub(crate) fn batches(spec: &MethodSpec, from: u64, sizes: &[u64], dtype: DType) -> Vec<Batch> {
    let mut next = from;
    let mut make = |&n: &u64| {
        next += n;
        batch(spec, next - n, n, dtype)
    };
    sizes.iter().map(&mut make).collect()
}

pub(crate) fn at(step: u64, lr: f64) -> StepContext {
    StepContext { epoch: 2, step, update: 0, lr, seed: 5 }
}

fn numbers(t: &Tensor) -> Vec<f64> {
    t.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

fn accumulated(method: &mut dyn Method, batches: &[Batch], cx: &StepContext) -> Named {
    let losses = accumulated_step(method, batches, Ok, cx).unwrap();
    losses.iter().map(|(name, value)| (format!("loss {name}"), numbers(value))).collect()
}

fn gradients(method: &mut dyn Method) -> Named {
    let mut out = Named::new();
    for (name, optimizer, _) in method.state().optimizers {
        let gradients = optimizer.store().grad_dict("").unwrap();
        out.extend(gradients.iter().map(|(key, t)| (format!("gradient {name} {key}"), numbers(t))));
    }
    out
}

fn pools(method: &mut dyn Method) -> Named {
    let pools = method.state().pools.into_iter().flat_map(|(name, pool)| pool.save(name).unwrap());
    pools.map(|(key, t)| (key, numbers(&t))).collect()
}

/// By name, relative to the largest number of each.
#[track_caller]
fn assert_close(what: &str, have: &Named, want: &Named, tolerance: f64) {
    assert_eq!(have.len(), want.len(), "{what}");
    for (name, want) in want {
        let (_, have) = have.iter().find(|(known, _)| known == name).unwrap_or_else(|| panic!("{what}: no {name}"));
        let scale = want.iter().fold(1e-3, |max: f64, w| max.max(w.abs()));
        assert_eq!(have.len(), want.len(), "{what}: {name}");
        for (have, want) in have.iter().zip(want) {
            assert!((have - want).abs() <= tolerance * scale, "{what}: {name} {have} instead of {want}");
        }
    }
}

/// The second step finds what the first one has left.
#[test]
fn micro_batches_are_one_large_batch_where_images_are_apart() {
    // R1 in every second update: in all its micro-batches, or in none.
    let r1: &[&str] = &["r1_gamma=1", "r1_every=2"];
    for (dtype, sizes, steps, more, tolerance) in [
        (DType::F64, &[1, 1, 1][..], 1, &[][..], 1e-7),
        (DType::F64, &[2, 1], 2, r1, 1e-7),
        (DType::F32, &[2, 1], 1, &[], 2e-3),
    ] {
        for spec in METHODS {
            let settings = [&apart(spec), more].concat();
            let [mut large, mut small] = [0; 2].map(|_| build(spec, &settings, dtype));
            for i in 0..steps {
                let what = format!("{} {sizes:?} {dtype:?} step {i}", spec.name);
                let cx = StepContext { update: i, ..at(i, 2e-4) };
                let want = accumulated(&mut *large, &[batch(spec, 3 * i, 3, dtype)], &cx);
                let have = batches(spec, 3 * i, sizes, dtype);
                let cx = StepContext { step: i * sizes.len() as u64, ..cx };
                let have = accumulated(&mut *small, &have, &cx);
                assert_close(&what, &have, &want, tolerance);
                assert_close(&what, &gradients(&mut *small), &gradients(&mut *large), tolerance);
            }
            let updates = |m: &mut dyn Method| m.state().optimizers.iter().map(|o| o.1.updates()).collect::<Vec<_>>();
            assert_eq!(updates(&mut *small), updates(&mut *large), "{}", spec.name);
        }
    }
}

/// Settings with everything that is random or depends on the batch.
pub(crate) fn lively(spec: &MethodSpec) -> Vec<&'static str> {
    let own: &[&str] = match spec.name {
        "pix2pix" => &["generator.norm=batch", "discriminator.norm=batch", "generator.dropout=true"],
        "cyclegan" => &["generator.norm=batch", "generator.dropout=true"],
        "cut" => &["flip_equivariance=true", "generator.norm=batch", "num_patches=16"],
        _ => &[],
    };
    [&["pool_size=2"][..], own].concat()
}

/// Where updates change nothing, the micro-batches of a step are steps of their own: same masks, flips, patches and pooled fakes,
/// and running statistics that moved as often.
#[test]
fn keys_belong_to_the_micro_batch() {
    const FIRST: u64 = 7;
    for spec in METHODS {
        let [mut alone, mut together] = [0; 2].map(|_| build(spec, &lively(spec), DType::F64));
        let all = batches(spec, 0, &[1; 5], DType::F64);
        let mut mean = Named::new();
        for (batch, number) in all.iter().zip(FIRST..) {
            let mut parts = accumulated(&mut *alone, std::slice::from_ref(batch), &at(number, 0.0));
            parts.extend(gradients(&mut *alone));
            for (name, values) in parts {
                let share = values.into_iter().map(|v| v / all.len() as f64);
                match mean.iter_mut().find(|(known, _)| *known == name) {
                    Some((_, sums)) => sums.iter_mut().zip(share).for_each(|(sum, v)| *sum += v),
                    None => mean.push((name, share.collect())),
                }
            }
        }
        let mut have = accumulated(&mut *together, &all, &at(FIRST, 0.0));
        have.extend(gradients(&mut *together));
        assert_close(spec.name, &have, &mean, 1e-9);
        assert_close(spec.name, &pools(&mut *together), &pools(&mut *alone), 1e-12);
        let buffers = |method: &mut dyn Method| -> Named {
            let stores = method.state().optimizers.into_iter();
            let all = stores.flat_map(|(_, optimizer, _)| optimizer.store().state_dict("").unwrap());
            // D sees real images and the fakes of its own loss first: in another order, as often.
            let counts = |name: &str| name.ends_with("num_batches_tracked");
            let moved = |name: &str| name.starts_with("g") && spec.name != "cut" && name.contains("running_");
            all.filter(|(name, _)| counts(name) || moved(name)).map(|(name, t)| (name, numbers(&t))).collect()
        };
        let want = buffers(&mut *alone);
        assert!(want.len() > 2 || spec.name == "pix2pixhd", "{}", spec.name);
        assert_close(spec.name, &buffers(&mut *together), &want, 1e-12);
        // Other numbers, other choices.
        let mut other = build(spec, &lively(spec), DType::F64);
        accumulated(&mut *other, &all, &at(FIRST + 1, 0.0));
        assert!(gradients(&mut *other) != gradients(&mut *together), "{}", spec.name);
    }
}

/// A step that fails at the update of the generators leaves no total of the discriminators.
#[test]
fn a_step_that_failed_leaves_nothing_behind() {
    let spec = find(METHODS, "cyclegan").unwrap();
    let [mut fresh, mut failed] = [0; 2].map(|_| build(spec, &apart(spec), DType::F64));
    let mut bad = batches(spec, 4, &[1; 2], DType::F64);
    bad[1].a = (&bad[1].a * f64::NAN).unwrap();
    let error = accumulated_step(&mut *failed, &bad, Ok, &at(0, 1e-3)).unwrap_err();
    assert!(matches!(error, Error::Diverged { .. }), "{error}");
    // As a rewind does: the optimizers forget what they saw.
    for (_, optimizer, _) in failed.state().optimizers {
        optimizer.restore(0, optimizer.range(), gan_layers::Skipped::default()).unwrap();
    }
    let good = batches(spec, 0, &[1; 2], DType::F64);
    let want = accumulated(&mut *fresh, &good, &at(0, 1e-3));
    assert_eq!(accumulated(&mut *failed, &good, &at(0, 1e-3)), want);
    assert_eq!(gradients(&mut *failed), gradients(&mut *fresh));
}

/// Nothing that sees an updated network is summed up unawares.
#[test]
fn a_method_that_says_nothing_takes_one_batch() {
    struct Silent;
    impl Method for Silent {
        fn step(&mut self, _: &Batch, _: &StepContext) -> Result<Losses> {
            Ok(Losses::new())
        }
        fn preview(&self, _: &Batch) -> Result<crate::Panels> {
            Ok(Vec::new())
        }
        fn state(&mut self) -> crate::MethodState<'_> {
            crate::MethodState::default()
        }
    }
    let all = batches(&METHODS[0], 0, &[1; 2], DType::F32);
    assert!(accumulated_step(&mut Silent, &all[..1], Ok, &at(0, 1e-3)).is_ok());
    let error = accumulated_step(&mut Silent, &all, Ok, &at(0, 1e-3)).unwrap_err().to_string();
    assert!(error.contains("train.accumulate = 1"), "{error}");
}

/// So several machines can each compute a micro-batch.
#[test]
fn gradients_computed_elsewhere_add_up_to_the_same_bits() {
    let spec = find(METHODS, "cyclegan").unwrap();
    let all = batches(spec, 0, &[1; 3], DType::F32);
    let mut sum: Vec<Vec<f32>> = Vec::new();
    for (batch, number) in all.iter().zip(0..) {
        let mut elsewhere = build(spec, &apart(spec), DType::F32);
        elsewhere.state().optimizers.into_iter().for_each(|(_, optimizer, _)| optimizer.gather(1.0));
        elsewhere.pass(0, batch, &at(number, 2e-4)).unwrap();
        elsewhere.state().optimizers.into_iter().for_each(|(_, o, _)| o.store().take_total(1.0).unwrap());
        let own = gradients(&mut *elsewhere).into_iter().map(|(_, values)| values.into_iter().map(|v| v as f32));
        let own: Vec<Vec<f32>> = own.map(Iterator::collect).collect();
        match sum.is_empty() {
            true => sum = own,
            false => sum.iter_mut().flatten().zip(own.iter().flatten()).for_each(|(sum, own)| *sum += own),
        }
    }
    let third = (1.0 / 3.0) as f32;
    sum.iter_mut().flatten().for_each(|sum| *sum *= third);
    let mut here = build(spec, &apart(spec), DType::F32);
    accumulated(&mut *here, &all, &at(0, 2e-4));
    for ((name, have), want) in gradients(&mut *here).iter().zip(&sum) {
        assert!(have.iter().zip(want).all(|(&have, &want)| have as f32 == want), "{name}");
    }
}
