//! Every network and way of writing, run by the definitions of the standard.

#![allow(clippy::unwrap_used)]

use super::proto::ModelProto;
use super::{OnnxModel, OnnxOptions, PadForm, Precision, interpreter};
use crate::check::{cases, limit};
use crate::subject::Subject;
use candle_core::{DType, Device};
use gan_data::{Direction, Preprocess};
use gan_layers::{Builder, Init, NormKind, ParamStore};
use gan_nets::{
    Arch, EncoderConfig, GeneratorConfig, MultiscaleConfig, Network, Padding, PatchConfig, PixelConfig, UnetLayout,
    Upsample,
};
use gan_rng::{Key, Purpose};
use gan_translate::{EncoderModel, Generator, InputKind, ModelConfig, OutputKind, ReadOptions, Sizes, Styles};
use gan_weights::StateDict;
use prost::Message;

/// Weights that are large enough for every layer to matter, statistics and scales that are not those of no training.
fn weights(build: impl Fn(&Builder<'_>) -> candle_core::Result<()>) -> StateDict {
    let (store, ()) = ParamStore::build(DType::F32, &Device::Cpu, build).unwrap();
    store.init(&Init { init_gain: 0.2, ..Init::default() }, Key::new(3, Purpose::Test)).unwrap();
    let mut stream = Key::new(4, Purpose::Test).stream();
    let changed = store.state_dict("").unwrap().into_iter().map(|(name, tensor)| {
        let drawn = name.ends_with("bias") || name.ends_with("running_mean") || name.ends_with("running_var");
        if !drawn {
            return (name, tensor);
        }
        let least = if name.ends_with("var") { 0.5 } else { -0.3 };
        let values: Vec<f32> = (0..tensor.elem_count()).map(|_| (least + 0.6 * stream.uniform()) as f32).collect();
        let tensor = candle_core::Tensor::from_vec(values, tensor.dims(), &Device::Cpu).unwrap();
        (name, tensor)
    });
    changed.collect()
}

fn model(config: &GeneratorConfig) -> ModelConfig {
    ModelConfig {
        format: 1,
        method: "test".into(),
        generators: vec![Generator { network: "g".into(), direction: Direction::A2b, config: config.clone() }],
        input: InputKind::Image,
        instances: false,
        output: OutputKind::Image,
        encoder: None,
        sizes: Sizes { preprocess: Preprocess::None, load_size: 32, crop_size: 32, multiple: 4, minimum_height: true },
        read: ReadOptions::default(),
    }
}

fn subject(network: Network, state: StateDict, model: Option<ModelConfig>) -> Subject {
    Subject { name: "g".into(), network, state, model, step: Some(7) }
}

fn of_generator(config: &GeneratorConfig, model: ModelConfig) -> Subject {
    let state = weights(|at| config.build(at.clone()).map(drop));
    subject(Network::Generator(config.clone()), state, Some(model))
}

/// Writes the file, reads it, computes it by the standard's definitions, and compares with the network.
#[track_caller]
fn check(subject: &Subject, options: &OnnxOptions) {
    let model = OnnxModel::new(subject, options).unwrap();
    let mut bytes = Vec::new();
    model.write_to(&mut bytes).unwrap();
    assert_eq!(bytes.len() as u64, model.bytes().unwrap());
    let graph = ModelProto::decode(&bytes[..]).unwrap().graph.unwrap();
    let limit = if options.precision == Precision::F32 { 5e-5 } else { limit(options) };
    let limit = if options.preprocessing { limit.max(1.0 / 255.0) } else { limit };
    for case in cases(subject, options).unwrap() {
        let outputs = interpreter::run(&graph, &case.inputs).unwrap();
        let error = case.error(&outputs);
        assert!(error <= limit, "{}, {options:?}: {}: {error:.1e}", subject.network, case.name);
    }
}

/// Options that write a network in different ways.
fn ways() -> Vec<OnnxOptions> {
    let plain = OnnxOptions::default();
    vec![
        plain.clone(),
        OnnxOptions { dynamic: true, pad: PadForm::Slices, ..plain.clone() },
        OnnxOptions { running_statistics: true, ..plain.clone() },
        OnnxOptions { precision: Precision::F16, ..plain.clone() },
        OnnxOptions { preprocessing: true, dynamic: true, ..plain },
    ]
}

fn generators() -> Vec<GeneratorConfig> {
    let small = GeneratorConfig {
        arch: Arch::Resnet,
        ngf: 2,
        n_blocks: 2,
        num_downs: 5,
        n_downsample_global: 2,
        n_blocks_global: 1,
        n_blocks_local: 1,
        ..GeneratorConfig::default()
    };
    let unet = GeneratorConfig { arch: Arch::Unet, ..small.clone() };
    vec![
        small.clone(),
        GeneratorConfig { norm: NormKind::Batch, dropout: true, ..small.clone() },
        GeneratorConfig { norm: NormKind::InstanceAffine, padding: Padding::Replicate, ..small.clone() },
        GeneratorConfig {
            norm: NormKind::None,
            padding: Padding::Zero,
            down_padding: Padding::Reflect,
            ..small.clone()
        },
        GeneratorConfig { antialias: true, antialias_up: true, ..small.clone() },
        GeneratorConfig { upsample: Upsample::Resize, ..small.clone() },
        GeneratorConfig { upsample: Upsample::ResizeZero, input_nc: 1, output_nc: 4, ..small.clone() },
        GeneratorConfig { norm: NormKind::Batch, ..unet.clone() },
        GeneratorConfig { upsample: Upsample::Resize, down_padding: Padding::Reflect, ..unet.clone() },
        GeneratorConfig { unet_layout: UnetLayout::PostActivationRelu, ..unet.clone() },
        GeneratorConfig { unet_layout: UnetLayout::PostActivationResize, ..unet },
        GeneratorConfig { arch: Arch::Global, ..small.clone() },
        GeneratorConfig { arch: Arch::Local, ..small.clone() },
        GeneratorConfig { arch: Arch::Local, upsample: Upsample::Resize, ..small.clone() },
        GeneratorConfig { arch: Arch::Local, n_local_enhancers: 2, norm: NormKind::Batch, ..small },
    ]
}

#[test]
fn files_of_generators_compute_what_the_networks_compute() {
    for config in generators() {
        let subject = of_generator(&config, model(&config));
        ways().iter().for_each(|options| check(&subject, options));
    }
}

#[test]
fn files_of_other_networks_do_so_too() {
    let patch = PatchConfig { input_nc: 6, ndf: 2, norm: NormKind::Batch, ..PatchConfig::default() };
    let blurred = PatchConfig { antialias: true, norm: NormKind::Instance, ..patch.clone() };
    let pixel = PixelConfig { input_nc: 3, ndf: 2, norm: NormKind::Batch };
    let multiscale = MultiscaleConfig { input_nc: 5, ndf: 2, num_d: 3, ..MultiscaleConfig::default() };
    let encoder = EncoderConfig { nef: 2, n_downsample: 2, ..EncoderConfig::default() };
    let all = [
        (weights(|at| patch.build(at.clone()).map(drop)), Network::Patch(patch)),
        (weights(|at| blurred.build(at.clone()).map(drop)), Network::Patch(blurred)),
        (weights(|at| pixel.build(at.clone()).map(drop)), Network::Pixel(pixel)),
        (weights(|at| multiscale.build(at.clone()).map(drop)), Network::Multiscale(multiscale)),
        (weights(|at| encoder.build(at.clone()).map(drop)), Network::Encoder(encoder)),
    ];
    for (state, network) in all {
        let subject = subject(network, state, None);
        for options in ways().into_iter().filter(|options| !options.preprocessing) {
            check(&subject, &OnnxOptions { size: Some((64, 68)), ..options });
        }
        let options = OnnxOptions { preprocessing: true, ..OnnxOptions::default() };
        assert!(OnnxModel::new(&subject, &options).is_err());
    }
}

#[test]
fn label_maps_instances_and_features_become_planes_inside() {
    let base = GeneratorConfig {
        arch: Arch::Global,
        ngf: 2,
        n_downsample_global: 2,
        n_blocks_global: 1,
        ..GeneratorConfig::default()
    };
    let labels = |input_nc: usize, change: &dyn Fn(&mut ModelConfig)| {
        let config = GeneratorConfig { input_nc, ..base.clone() };
        let mut model = model(&config);
        model.input = InputKind::Labels { label_nc: 5, dont_care: None };
        change(&mut model);
        model.validate().unwrap();
        of_generator(&config, model)
    };
    let encoder = EncoderModel { network: "e".into(), config: EncoderConfig::default(), styles: Styles::default() };
    for subject in [
        labels(5, &|_| {}),
        labels(7, &|model| {
            model.instances = true;
            model.input = InputKind::Labels { label_nc: 5, dont_care: Some(255) };
        }),
        labels(9, &|model| {
            model.instances = true;
            model.encoder = Some(encoder.clone());
        }),
        labels(4, &|model| {
            model.instances = true;
            model.input = InputKind::Image;
        }),
    ] {
        for dynamic in [false, true] {
            check(&subject, &OnnxOptions { preprocessing: true, dynamic, ..OnnxOptions::default() });
            check(&subject, &OnnxOptions { dynamic, ..OnnxOptions::default() });
        }
        check(&subject, &OnnxOptions { preprocessing: true, precision: Precision::F16, ..OnnxOptions::default() });
    }
}

#[test]
fn only_the_statistics_asked_for_are_in_the_file() {
    let config = GeneratorConfig { norm: NormKind::Batch, ..generators()[0].clone() };
    let subject = of_generator(&config, model(&config));
    let kinds = |running_statistics: bool| {
        let options = OnnxOptions { running_statistics, ..OnnxOptions::default() };
        let file = OnnxModel::new(&subject, &options).unwrap();
        let said = file.metadata().iter().find(|(key, _)| key == "batch_norm_statistics").unwrap().1.clone();
        let has = |name: &str| file.operators().contains(&name);
        (has("InstanceNormalization"), has("BatchNormalization"), said)
    };
    assert_eq!(kinds(false), (true, false, "those of each image".into()));
    assert_eq!(kinds(true), (false, true, "running".into()));
}

#[test]
fn sizes_that_do_not_suit_are_refused() {
    let config = GeneratorConfig { arch: Arch::Unet, num_downs: 5, ngf: 2, ..GeneratorConfig::default() };
    let subject = of_generator(&config, model(&config));
    for size in [(33, 64), (16, 32)] {
        let error = OnnxModel::new(&subject, &OnnxOptions { size: Some(size), ..OnnxOptions::default() }).unwrap_err();
        assert!(error.to_string().contains("multiples of 32 from 32 on"), "{error}");
    }
    let colour = ModelConfig { input: InputKind::Lightness, output: OutputKind::Colour, ..model(&config) };
    let subject = of_generator(&GeneratorConfig { input_nc: 1, output_nc: 2, ..config }, colour);
    ways().iter().for_each(|options| check(&subject, options));
}

#[test]
fn metadata_tells_what_the_network_is() {
    let config = generators()[0].clone();
    let subject = of_generator(&config, model(&config));
    let options = OnnxOptions { licence: Some("CC0".into()), ..OnnxOptions::default() };
    let file = OnnxModel::new(&subject, &options).unwrap();
    let of = |key: &str| file.metadata().iter().find(|(known, _)| known == key).map(|(_, value)| value.as_str());
    assert_eq!((of("method"), of("step"), of("licence")), (Some("test"), Some("7"), Some("CC0")));
    assert_eq!((of("input"), of("size_multiple")), (Some("[-1, 1], RGB"), Some("4")));
    assert_eq!(of("weights_sha256").unwrap().len(), 64);
    assert_eq!((file.inputs(), file.outputs()), (vec!["input"], vec!["output"]));
}

/// With the library of ONNX Runtime, which `ORT_DYLIB_PATH` names.
#[cfg(feature = "onnxruntime")]
#[test]
#[allow(clippy::print_stderr, reason = "a test that is skipped says so")]
fn onnx_runtime_tells_a_file_from_that_of_another_network() {
    let Some(library) = std::env::var_os("ORT_DYLIB_PATH") else {
        eprintln!("skipped: ORT_DYLIB_PATH names no library of ONNX Runtime");
        return;
    };
    let (first, options) = (generators()[0].clone(), OnnxOptions::default());
    let second = GeneratorConfig { padding: Padding::Zero, ..first.clone() };
    let subject_of = |config: &GeneratorConfig| of_generator(config, model(config));
    let (first, second) = (subject_of(&first), subject_of(&second));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("net.onnx");
    OnnxModel::new(&first, &options).unwrap().write_to(&mut std::fs::File::create(&path).unwrap()).unwrap();
    let verified = crate::verify(&path, &first, &options, library.as_ref()).unwrap();
    assert!(verified.largest() < 1e-5 && verified.errors.len() == 3, "{verified:?}");
    let error = crate::verify(&path, &second, &options, library.as_ref()).unwrap_err();
    assert!(matches!(error, crate::Error::Differs { .. }), "{error}");
}
