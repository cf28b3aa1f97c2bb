//! The cases: networks of the papers on images drawn at random.

use crate::exit::Coded;
use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use gan_data::Batch;
use gan_layers::{Ctx, Init, ParamStore};
use gan_losses::Vgg19;
use gan_nets::{Arch, CapturedGenerator, GeneratorConfig};
use gan_rng::{Key, Purpose};
use gan_train::config::ConfigSource;
use gan_train::{
    DeviceConfig, METHODS, Method, StepContext, TrainConfig, accumulated_step, build_method, find, numerics, to_device,
};
use gan_translate::Condition;
use std::path::{Path, PathBuf};

/// Names of the cases.
pub(super) const NAMES: [&str; 9] = [
    "infer-resnet9",
    "infer-unet256",
    "infer-global",
    "infer-local",
    "step-pix2pix",
    "step-cyclegan",
    "step-pix2pixhd",
    "step-cut",
    "step-fastcut",
];

/// Classes of the label maps (Cityscapes').
const LABELS: usize = 35;
/// Sides of the square regions of a label map.
const REGION: usize = 8;

/// Something to time.
pub(super) enum Case {
    Translate { generator: Box<CapturedGenerator>, x: Condition },
    Step { method: Box<dyn Method>, batches: Vec<Batch>, done: u64 },
}

impl Case {
    pub(super) fn new(
        name: &str,
        size: (usize, usize),
        n: usize,
        settings: &[String],
        device_config: DeviceConfig,
    ) -> anyhow::Result<Self> {
        match name.split_once('-') {
            Some(("infer", network)) => translation(network, size, n, settings, &device_config),
            Some(("step", method)) => training(method, size, n, settings, &device_config),
            _ => anyhow::bail!("there is no case {name}"),
        }
    }

    /// One run. A step takes in its batch as the trainer hands it over.
    pub(super) fn run(&mut self) -> anyhow::Result<()> {
        match self {
            Case::Translate { generator, x } => {
                generator.forward(&*x)?;
            }
            Case::Step { method, batches, done } => {
                let cx = StepContext { epoch: 1, step: *done * batches.len() as u64, update: *done, lr: 2e-4, seed: 0 };
                *done += 1;
                accumulated_step(&mut **method, batches, Ok, &cx)?;
            }
        }
        Ok(())
    }
}

/// Refuses sizes that a network does not take.
fn require_multiple((h, w): (usize, usize), multiple: usize) -> anyhow::Result<()> {
    if h.is_multiple_of(multiple) && w.is_multiple_of(multiple) {
        return Ok(());
    }
    Err(Coded(2, format!("--size {h} {w}: both sides of this network's input are multiples of {multiple}")).into())
}

/// Halvings of a U-Net for these images, five to eight.
fn halvings((h, w): (usize, usize)) -> usize {
    (h.min(w).ilog2() as usize).clamp(5, 8)
}

fn translation(
    network: &str,
    size: (usize, usize),
    n: usize,
    settings: &[String],
    device_config: &DeviceConfig,
) -> anyhow::Result<Case> {
    let train = numerics_of(settings)?;
    numerics::check(train.precision, device_config)?;
    let ctx = Ctx { precision: train.precision, math: train.math_mode(), ..Ctx::translate() };
    let (arch, input_nc, ngf) = match network {
        "resnet9" => (Arch::Resnet9Blocks, 3, 64),
        "unet256" => (Arch::Unet, 3, 64),
        "global" => (Arch::Global, LABELS + 1, 64),
        _ => (Arch::Local, LABELS + 1, 32),
    };
    let config = GeneratorConfig { arch, input_nc, ngf, num_downs: halvings(size), ..GeneratorConfig::default() };
    require_multiple(size, config.size_multiple())?;
    // Drawn as for training, then built as for translation, where weights never change.
    let weights = {
        let (store, _) = ParamStore::build(device_config.dtype, &device_config.device, |b| config.build(b.clone()))?;
        store.init(&Init::default(), Key::new(0, Purpose::Init))?;
        store.state_dict("")?
    };
    let vb = VarBuilder::from_tensors(weights.into_iter().collect(), device_config.dtype, &device_config.device);
    let x = match arch {
        Arch::Global | Arch::Local => {
            let batch = to_device(labelled(size, n)?, device_config)?;
            Condition::new(&batch, LABELS, device_config.dtype)?
        }
        _ => Condition::Planes(images(0, size, n)?.to_device(&device_config.device)?),
    };
    let generator = config.build(vb)?;
    let generator = match train.cuda_graphs {
        true => CapturedGenerator::new(generator, ctx),
        false => CapturedGenerator::never(generator, ctx),
    };
    Ok(Case::Translate { generator: Box::new(generator), x })
}

/// What the settings say about precision; any method's `[train]` table has it.
fn numerics_of(settings: &[String]) -> anyhow::Result<TrainConfig> {
    let layers: Vec<_> = settings.iter().cloned().map(ConfigSource::Setting).collect();
    Ok((find(METHODS, "pix2pix")?.resolve)(&layers)?.train().clone())
}

fn training(
    name: &str,
    size: (usize, usize),
    n: usize,
    settings: &[String],
    device_config: &DeviceConfig,
) -> anyhow::Result<Case> {
    let method = find(METHODS, if name == "fastcut" { "cut" } else { name })?;
    let mut vgg19 = None;
    let own: Vec<String> = match name {
        "pix2pix" => vec!["generator.arch=unet".into(), format!("num_downs={}", halvings(size))],
        "pix2pixhd" => {
            let file = vgg19.insert(Vgg19File::draw()?);
            vec![
                format!("label_nc={LABELS}"),
                "num_d=2".into(),
                format!("loss.vgg19={}", toml::Value::String(file.path().display().to_string())),
            ]
        }
        "fastcut" => ["nce_idt=false", "lambda_nce=10", "flip_equivariance=true"].map(String::from).to_vec(),
        _ => Vec::new(),
    };
    let layers: Vec<_> = own.into_iter().chain(settings.iter().cloned()).map(ConfigSource::Setting).collect();
    let config = (method.resolve)(&layers)?;
    require_multiple(size, config.model().generators[0].config.size_multiple())?;
    let batch = if name == "pix2pixhd" { labelled(size, n)? } else { paired(size, n)? };
    let batch = to_device(batch, device_config)?;
    let train = config.train();
    numerics::check(train.precision, device_config)?;
    let batches = vec![batch; train.accumulate as usize];
    Ok(Case::Step { method: build_method(&*config, device_config)?, batches, done: 0 })
}

/// Images `[n, 3, h, w]` in [-1, 1], on the host.
fn images(item: u64, (h, w): (usize, usize), n: usize) -> anyhow::Result<Tensor> {
    let key = Key::new(0, Purpose::Synth).at(item);
    let words = (0..(n * 3 * h * w) as u64).step_by(4).flat_map(|i| key.block(i / 4));
    let values: Vec<f32> = words.take(n * 3 * h * w).map(|u| u as f32 / 2f32.powi(31) - 1.0).collect();
    Ok(Tensor::from_vec(values, (n, 3, h, w), &Device::Cpu)?)
}

fn names(n: usize) -> Vec<String> {
    (0..n).map(|i| i.to_string()).collect()
}

fn paired(size: (usize, usize), n: usize) -> anyhow::Result<Batch> {
    Ok(Batch { a: images(0, size, n)?, b: Some(images(1, size, n)?), inst: None, names: names(n) })
}

/// Label maps of square regions, each an instance.
fn labelled((h, w): (usize, usize), n: usize) -> anyhow::Result<Batch> {
    let (down, across) = (h.div_ceil(REGION), w.div_ceil(REGION));
    let key = Key::new(0, Purpose::Synth).at(2);
    let region = |i: usize| {
        let (image, y, x) = (i / (h * w), i / w % h, i % w);
        (image * down + y / REGION) * across + x / REGION
    };
    let label = |i: usize| (key.block(region(i) as u64)[0] as usize % LABELS) as u8;
    let shape = (n, 1, h, w);
    let labels: Vec<u8> = (0..n * h * w).map(label).collect();
    let instances: Vec<u32> = (0..n * h * w).map(|i| region(i) as u32).collect();
    Ok(Batch {
        a: Tensor::from_vec(labels, shape, &Device::Cpu)?,
        b: Some(images(1, (h, w), n)?),
        inst: Some(Tensor::from_vec(instances, shape, &Device::Cpu)?),
        names: names(n),
    })
}

/// Weights of VGG19 drawn at random: the published ones cost the same time.
struct Vgg19File(PathBuf);

impl Vgg19File {
    fn draw() -> anyhow::Result<Self> {
        let (store, _) = ParamStore::build(DType::F32, &Device::Cpu, |b| Vgg19::build(b.clone()))?;
        store.init(&Init::default(), Key::new(0, Purpose::Init))?;
        let file = Vgg19File(std::env::temp_dir().join(format!("gan-cli-bench-{}.safetensors", std::process::id())));
        candle_core::safetensors::save(&store.state_dict("")?.into_iter().collect(), file.path())?;
        Ok(file)
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Vgg19File {
    fn drop(&mut self) {
        // Left behind, it is a file among the temporary ones.
        let _ = std::fs::remove_file(&self.0);
    }
}
