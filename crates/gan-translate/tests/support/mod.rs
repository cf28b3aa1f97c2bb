//! Models for the tests: runs of a released format, and tiny generators with weights of sines.
#![allow(dead_code, reason = "each test binary uses a part")]
#![allow(clippy::unwrap_used)]

use candle_core::{DType, Device, Tensor};
use candle_nn::{VarBuilder, VarMap};
use gan_data::Preprocess;
use gan_nets::{Arch, EncoderConfig, GeneratorConfig};
use gan_translate::{Direction, Generator, InputKind, ModelConfig, OutputKind, ReadOptions, Sizes};
use gan_weights::checkpoint::{Disk, FileRecord, MANIFEST, Manifest, read_manifest};
use gan_weights::{StateDict, safetensors};
use std::fs;
use std::path::{Path, PathBuf};

/// A run of the first edition, or another file of its fixtures.
pub(crate) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/format-1").join(name)
}

/// Copies a folder with all that is in it.
pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let copied = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &copied);
        } else {
            fs::copy(&path, copied).unwrap();
        }
    }
}

/// Changes the manifest of a checkpoint and seals it again.
pub(crate) fn reseal(checkpoint: &Path, change: impl FnOnce(&mut Manifest)) {
    let mut manifest = read_manifest(&Disk, checkpoint).unwrap();
    change(&mut manifest);
    fs::write(checkpoint.join(MANIFEST), manifest.encode().unwrap()).unwrap();
}

/// Puts `model.json` into a checkpoint.
pub(crate) fn add_description(checkpoint: &Path, text: &str) {
    fs::write(checkpoint.join(ModelConfig::FILE), text).unwrap();
    reseal(checkpoint, |manifest| {
        let blake3 = blake3::hash(text.as_bytes()).to_hex().to_string();
        manifest.files.push(FileRecord { name: ModelConfig::FILE.into(), bytes: text.len() as u64, blake3 });
        manifest.format = Manifest::format_of(&manifest.files);
    });
}

/// A ResNet of one block.
pub(crate) fn resnet(input_nc: usize, output_nc: usize) -> GeneratorConfig {
    GeneratorConfig { arch: Arch::Resnet, input_nc, output_nc, ngf: 2, n_blocks: 1, ..GeneratorConfig::default() }
}

/// Weights for a generator.
pub(crate) fn weights(config: &GeneratorConfig) -> StateDict {
    sines(|weights| config.build(weights).map(drop))
}

/// Weights for an encoder of instance features.
pub(crate) fn encoder_weights(config: &EncoderConfig) -> StateDict {
    sines(|weights| config.build(weights).map(drop))
}

/// Sines for the parameters that a network asks for.
fn sines(build: impl Fn(VarBuilder<'static>) -> candle_core::Result<()>) -> StateDict {
    let variables = VarMap::new();
    build(VarBuilder::from_varmap(&variables, DType::F32, &Device::Cpu)).unwrap();
    let mut shapes: Vec<(String, Vec<usize>)> = variables
        .data()
        .lock()
        .unwrap()
        .iter()
        .map(|(name, variable)| (name.clone(), variable.dims().to_vec()))
        .collect();
    shapes.sort();
    let sines = |dims: &[usize]| {
        let count = dims.iter().product::<usize>();
        let values: Vec<f32> = (0..count).map(|i| 0.3 * (1.7 * i as f32).sin()).collect();
        Tensor::from_vec(values, dims, &Device::Cpu).unwrap()
    };
    shapes.into_iter().map(|(name, dims)| (name, sines(&dims))).collect()
}

/// A model of images with these generators, each with its direction.
pub(crate) fn images(generators: &[(&str, Direction, GeneratorConfig)]) -> ModelConfig {
    let generators = generators.iter().map(|(network, direction, config)| Generator {
        network: (*network).into(),
        direction: *direction,
        config: config.clone(),
    });
    ModelConfig {
        format: ModelConfig::FORMAT,
        method: "mine".into(),
        generators: generators.collect(),
        input: InputKind::Image,
        instances: false,
        output: OutputKind::Image,
        encoder: None,
        sizes: Sizes {
            preprocess: Preprocess::ResizeAndCrop,
            load_size: 40,
            crop_size: 32,
            multiple: 4,
            minimum_height: true,
        },
        read: ReadOptions::default(),
    }
}

/// Writes a model folder: `model.json` and the weights of its generators.
pub(crate) fn write_model(folder: &Path, config: &ModelConfig) {
    fs::create_dir_all(folder).unwrap();
    fs::write(folder.join(ModelConfig::FILE), config.to_json().unwrap()).unwrap();
    for generator in &config.generators {
        let file = folder.join(format!("{}.safetensors", generator.network));
        safetensors::write(file, &weights(&generator.config)).unwrap();
    }
}

/// An image `[1, channels, h, w]`.
pub(crate) fn waves(channels: usize, h: usize, w: usize) -> Tensor {
    let values: Vec<f32> = (0..channels * h * w).map(|i| (0.7 * i as f32).sin()).collect();
    Tensor::from_vec(values, (1, channels, h, w), &Device::Cpu).unwrap()
}

pub(crate) fn values(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}
