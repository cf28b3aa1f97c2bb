//! Translations that are captured as CUDA graphs are those that are done operator by operator, bit for bit. These tests need
//! a CUDA device (`GAN_TEST_DEVICE`), which they use one at a time.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use gan_layers::{Ctx, Dropout, Init, MathMode, OneHot, ParamStore, Precision};
use gan_nets::{Arch, CapturedGenerator, Generator, GeneratorConfig, NormKind};
use gan_rng::{Key, Purpose};
use gan_translate::Condition;
use std::sync::{Mutex, MutexGuard, PoisonError};

static DEVICE: Mutex<()> = Mutex::new(());
const CLASSES: usize = 9;

/// The device and the right to use it; `None`, with a word, on the CPU.
fn device() -> Option<(Device, MutexGuard<'static, ()>)> {
    let device = gan_kernels::device::test_device().unwrap();
    if device.is_cpu() {
        eprintln!("skipped: graphs are captured on CUDA devices only");
        return None;
    }
    Some((device, DEVICE.lock().unwrap_or_else(PoisonError::into_inner)))
}

fn tiny(arch: Arch) -> GeneratorConfig {
    let labelled = matches!(arch, Arch::Global | Arch::Local);
    GeneratorConfig {
        arch,
        input_nc: if labelled { CLASSES + 1 } else { 3 },
        ngf: 8,
        norm: if labelled { NormKind::Instance } else { NormKind::Batch },
        dropout: !labelled,
        n_blocks: 1,
        num_downs: 5,
        n_downsample_global: 2,
        n_blocks_global: 1,
        n_blocks_local: 1,
        ..GeneratorConfig::default()
    }
}

/// Twice the same weights, as for translation.
fn twins(config: &GeneratorConfig, device: &Device) -> [Generator; 2] {
    let (store, _) = ParamStore::build(DType::F32, device, |b| config.build(b.clone())).unwrap();
    store.init(&Init::default(), Key::new(4, Purpose::Init)).unwrap();
    [(); 2].map(|()| {
        let weights = store.state_dict("").unwrap().into_iter().collect();
        config.build(VarBuilder::from_tensors(weights, DType::F32, device)).unwrap()
    })
}

/// Drawn images, or labels with a plane beside them.
fn input(labelled: bool, seed: u64, n: usize, side: usize, device: &Device) -> Condition {
    let key = Key::new(8, Purpose::Test).at(seed);
    let channels = if labelled { 1 } else { 3 };
    let mut values = vec![0f32; n * channels * side * side];
    key.fill_normal(0, &mut values);
    let planes = Tensor::from_vec(values, (n, channels, side, side), device).unwrap().tanh().unwrap();
    if !labelled {
        return Condition::Planes(planes);
    }
    let label = |i: usize| (key.block((i / 5) as u64)[0] as usize % CLASSES) as u8;
    let labels: Vec<u8> = (0..n * side * side).map(label).collect();
    let labels = Tensor::from_vec(labels, (n, 1, side, side), device).unwrap();
    Condition::Labels(OneHot::new(&labels, CLASSES, Some(&planes), DType::F32).unwrap())
}

fn bits(t: &Tensor) -> Vec<u32> {
    let t = t.to_device(&Device::Cpu).unwrap().flatten_all().unwrap();
    t.to_vec1::<f32>().unwrap().into_iter().map(f32::to_bits).collect()
}

/// Translates inputs of these batch sizes and sides; `captured` says from when on something is.
fn compare(arch: Arch, ctx: Ctx, sizes: &[(usize, usize)], captured: usize, device: &Device) {
    let config = tiny(arch);
    let [one, other] = twins(&config, device);
    // The fastest algorithms may give other bits in every run.
    let ctx = Ctx { math: MathMode { deterministic: true, ..ctx.math }, ..ctx };
    let (plain, graph) = (CapturedGenerator::never(one, ctx), CapturedGenerator::new(other, ctx));
    let mut results = Vec::new();
    for (i, &(n, side)) in sizes.iter().enumerate() {
        let x = input(matches!(arch, Arch::Global | Arch::Local), i as u64, n, side, device);
        let [want, have] = [&plain, &graph].map(|g| g.forward(&x).unwrap());
        assert_eq!(want.dims(), have.dims());
        assert!(bits(&want) == bits(&have), "{arch:?} {:?} input {i} of {n}x{side}", ctx.precision);
        assert_eq!(graph.is_captured(), i >= captured, "{arch:?} input {i}");
        results.push((bits(&want), have));
    }
    // A result is its caller's: later launches leave it alone.
    for (i, (want, have)) in results.iter().enumerate() {
        assert!(*want == bits(have), "{arch:?}: result {i} changed");
    }
    assert!(!plain.is_captured());
}

/// With other shapes in between: a smaller last batch, another size.
const SIZES: [(usize, usize); 9] = [(2, 32), (2, 32), (2, 32), (2, 32), (1, 32), (2, 32), (1, 64), (1, 64), (2, 32)];

#[test]
fn captured_translations_are_the_same() {
    let Some((device, _turn)) = device() else { return };
    for arch in [Arch::Resnet, Arch::Unet, Arch::Global, Arch::Local] {
        for precision in [Precision::F32, Precision::Bf16] {
            let dropout = Dropout::Keyed(Key::new(3, Purpose::Dropout));
            compare(arch, Ctx { precision, dropout, ..Ctx::translate() }, &SIZES, 2, &device);
        }
    }
    compare(Arch::Unet, Ctx::eval(), &SIZES, 2, &device);
}

#[test]
fn a_size_that_lasts_is_captured_instead() {
    let Some((device, _turn)) = device() else { return };
    let sizes = [[(1, 32); 3].as_slice(), &[(1, 16); 11], &[(1, 32); 2]].concat();
    compare(Arch::Resnet, Ctx { precision: Precision::Bf16, ..Ctx::translate() }, &sizes, 2, &device);
}

#[test]
fn mixed_sizes_are_not_captured() {
    let Some((device, _turn)) = device() else { return };
    compare(Arch::Resnet, Ctx::translate(), &[(1, 32), (1, 16), (1, 32), (1, 16), (1, 16), (1, 32)], 6, &device);
}

#[test]
fn what_may_change_or_wants_gradients_is_not_captured() {
    let Some((device, _turn)) = device() else { return };
    let config = tiny(Arch::Resnet);
    let (store, generator) = ParamStore::build(DType::F32, &device, |b| config.build(b.clone())).unwrap();
    store.init(&Init::default(), Key::new(4, Purpose::Init)).unwrap();
    let x = input(false, 0, 1, 16, &device).planes().unwrap();
    let trained = CapturedGenerator::new(generator, Ctx::translate());
    let tracked = candle_core::Var::from_tensor(&x).unwrap();
    let [loaded, _] = twins(&config, &device);
    let loaded = CapturedGenerator::new(loaded, Ctx::translate());
    for _ in 0..4 {
        trained.forward(&x).unwrap();
        let y = loaded.forward(&tracked).unwrap();
        assert!(y.track_op());
    }
    assert!(!trained.is_captured() && !loaded.is_captured());
}
