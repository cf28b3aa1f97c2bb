//! Networks are recognized by their keys and shapes.

#![allow(clippy::unwrap_used)]

use candle_core::{DType, Device, Tensor};
use gan_layers::ParamStore;
use gan_weights::normalize_keys;

use super::*;
use crate::Padding;

/// A state dict of the network, as training would save it.
fn state(network: &Network) -> StateDict {
    let (store, ()) = ParamStore::build(DType::F32, &Device::Cpu, |at| network.build(at.clone())).unwrap();
    store.state_dict("").unwrap().into_iter().collect()
}

fn generators() -> Vec<GeneratorConfig> {
    let base = GeneratorConfig { input_nc: 2, output_nc: 5, ngf: 1, ..GeneratorConfig::default() };
    let mut all = Vec::new();
    for norm in [NormKind::Instance, NormKind::InstanceAffine, NormKind::Batch, NormKind::None] {
        for (arch, n_blocks) in [(Arch::Resnet9Blocks, 9), (Arch::Resnet6Blocks, 6), (Arch::Resnet, 2)] {
            for (padding, dropout) in [Padding::Reflect, Padding::Zero].iter().zip([false, true, true, false]) {
                all.push(GeneratorConfig { arch, n_blocks, norm, padding: *padding, dropout, ..base.clone() });
            }
        }
        for (arch, n_blocks) in [(Arch::Resnet9Blocks, 9), (Arch::Resnet4Blocks, 4), (Arch::Resnet, 2)] {
            for (antialias, antialias_up) in [(true, true), (true, false), (false, true)] {
                all.push(GeneratorConfig { arch, n_blocks, norm, antialias, antialias_up, ..base.clone() });
            }
        }
        for (arch, num_downs) in [(Arch::Unet256, 8), (Arch::Unet128, 7), (Arch::Unet, 5), (Arch::Unet, 6)] {
            all.push(GeneratorConfig { arch, num_downs, norm, ..base.clone() });
        }
    }
    for norm in [NormKind::Instance, NormKind::InstanceAffine, NormKind::Batch] {
        for n_downsample_global in [1, 3, 4] {
            let n_blocks_global = 7 - n_downsample_global;
            let global = GeneratorConfig { norm, n_downsample_global, n_blocks_global, ..base.clone() };
            all.push(GeneratorConfig { arch: Arch::Global, ..global.clone() });
            for n_local_enhancers in [1, 2] {
                all.push(GeneratorConfig {
                    arch: Arch::Local,
                    n_local_enhancers,
                    n_blocks_local: 1 + n_local_enhancers,
                    ..global.clone()
                });
            }
        }
    }
    // With batch norm, the biases tell pix2pixHD's from a ResNet.
    let norm = NormKind::Batch;
    all.push(GeneratorConfig { arch: Arch::Global, norm, n_downsample_global: 2, n_blocks_global: 3, ..base });
    all
}

#[test]
fn every_generator_is_recognised() {
    for config in generators() {
        let network = Network::Generator(config);
        let state = state(&network);
        assert_eq!(infer(&state, None).unwrap(), network, "{network}");
    }
}

#[test]
fn discriminators_and_encoders_are_recognised() {
    let mut networks = Vec::new();
    for norm in [NormKind::Instance, NormKind::InstanceAffine, NormKind::Batch, NormKind::None] {
        for n_layers in [1, 3, 5] {
            for antialias in [false, true] {
                networks.push(Network::Patch(PatchConfig { input_nc: 6, ndf: 2, n_layers, norm, antialias }));
            }
        }
        networks.push(Network::Pixel(PixelConfig { input_nc: 6, ndf: 2, norm }));
    }
    for norm in [NormKind::Instance, NormKind::InstanceAffine, NormKind::Batch] {
        for (num_d, n_layers, feature_stages) in [(2, 3, true), (3, 2, true), (2, 3, false), (1, 4, false)] {
            let config = MultiscaleConfig { input_nc: 7, ndf: 2, n_layers, num_d, norm, feature_stages };
            networks.push(Network::Multiscale(config));
        }
        for n_downsample in [1, 2, 4] {
            networks.push(Network::Encoder(EncoderConfig { input_nc: 3, feat_num: 4, nef: 2, n_downsample, norm }));
        }
    }
    for network in networks {
        assert_eq!(infer(&state(&network), None).unwrap(), network, "{network}");
        let named = infer(&state(&network), Some(Arch::Resnet));
        assert!(matches!(named, Err(Error::OtherArch { .. })), "{network}");
    }
}

#[test]
fn the_name_decides_only_where_both_are_true() {
    let network = |dropout| {
        Network::Generator(GeneratorConfig {
            ngf: 2,
            n_blocks: 6,
            arch: Arch::Resnet6Blocks,
            dropout,
            ..Default::default()
        })
    };
    let plain = state(&network(false));
    let Network::Generator(global) = infer(&plain, Some(Arch::Global)).unwrap() else { panic!("not a generator") };
    assert_eq!((global.arch, global.n_downsample_global, global.n_blocks_global), (Arch::Global, 2, 6));
    for fits in [Arch::Resnet, Arch::Resnet6Blocks] {
        assert_eq!(infer(&plain, Some(fits)).unwrap(), network(false));
    }
    for other in [Arch::Resnet9Blocks, Arch::Unet, Arch::Local] {
        let error = infer(&plain, Some(other)).unwrap_err().to_string();
        assert!(error.contains(other.name()) && error.contains("resnet_6blocks generator"), "{error}");
    }
    // A global generator has no dropout.
    assert!(infer(&state(&network(true)), Some(Arch::Global)).is_err());
}

#[test]
fn what_is_wrong_is_said() {
    let whole = state(&Network::Generator(GeneratorConfig { ngf: 2, ..Default::default() }));
    let mut less = whole.clone();
    less.retain(|name, _| name != "model.12.conv_block.5.bias");
    let error = infer(&less, None).unwrap_err().to_string();
    assert!(error.contains("resnet_9blocks") && error.contains("model.12.conv_block.5.bias is missing"), "{error}");
    let mut more = whole.clone();
    more.push("extra.weight", Tensor::zeros(3, DType::F32, &Device::Cpu).unwrap());
    assert!(infer(&more, None).unwrap_err().to_string().contains("extra.weight is not part of it"));
    let mut wider = whole.clone();
    wider.push("model.22.bias", Tensor::zeros(9, DType::F32, &Device::Cpu).unwrap());
    assert!(infer(&wider, None).unwrap_err().to_string().contains("model.22.bias is [9] instead of [2]"));
    let mut headless = whole;
    headless.retain(|name, _| !name.starts_with("model.26"));
    assert!(infer(&headless, None).unwrap_err().to_string().contains("model.26.weight"));
    let foreign: StateDict =
        [("features.0.weight".to_owned(), Tensor::zeros((64, 3, 3, 3), DType::F32, &Device::Cpu).unwrap())]
            .into_iter()
            .collect();
    assert!(infer(&foreign, None).unwrap_err().to_string().contains("features.0.weight [64, 3, 3, 3]"));
    assert!(infer(&StateDict::new(), None).is_err());
}

#[test]
fn absurd_shapes_do_not_overflow() {
    for (name, shape) in [
        ("model.1.weight", vec![1 << 62, 0, 7, 7]),
        ("model.model.0.weight", vec![1 << 63, 0, 4, 4]),
        ("net.0.weight", vec![usize::MAX, 0, 1, 1]),
        ("scale0_layer0.0.weight", vec![1 << 63, 0, 4, 4]),
    ] {
        let tensor = Tensor::zeros(0, DType::F32, &Device::Cpu).unwrap().reshape(shape).unwrap();
        let state: StateDict = [(name.to_owned(), tensor)].into_iter().collect();
        assert!(infer(&state, None).is_err(), "{name}");
    }
}

#[test]
fn another_filter_is_another_network() {
    let config = GeneratorConfig { ngf: 2, antialias: true, antialias_up: true, ..Default::default() };
    let network = Network::Generator(config);
    let other = changed(&network, |name, tensor| {
        let tensor = if name == "model.7.filt" { (tensor * 0.5).unwrap() } else { tensor.clone() };
        vec![(name.to_owned(), tensor)]
    });
    let error = infer(&other, None).unwrap_err().to_string();
    assert!(error.contains("anti-aliased resnet_9blocks generator"), "{error}");
    assert!(error.contains("model.7.filt is another filter"), "{error}");
    let missing = changed(&network, |name, tensor| match name {
        "model.11.filt" => Vec::new(),
        _ => vec![(name.to_owned(), tensor.clone())],
    });
    assert!(infer(&missing, None).unwrap_err().to_string().contains("model.11.filt is missing"));
}

#[test]
fn traces_of_wrappers_and_old_versions_go() {
    let network = Network::Generator(GeneratorConfig { ngf: 2, ..Default::default() });
    let mut old = StateDict::new();
    for (name, tensor) in state(&network) {
        old.push(format!("module._orig_mod.{name}"), tensor);
    }
    old.push("module._orig_mod.model.2.running_mean", Tensor::zeros(2, DType::F32, &Device::Cpu).unwrap());
    assert!(infer(&old, None).is_err());
    assert_eq!(normalize_keys(&mut old).len(), 3);
    assert_eq!(infer(&old, None).unwrap(), network);
    assert!(normalize_keys(&mut old).is_empty());
}

#[test]
fn counters_of_batch_norms_may_be_missing() {
    let network = Network::Generator(GeneratorConfig { ngf: 2, norm: NormKind::Batch, ..Default::default() });
    let mut old = state(&network);
    old.retain(|name, _| !name.ends_with("num_batches_tracked"));
    assert_eq!(infer(&old, None).unwrap(), network);
}

#[test]
fn summaries_count_all_parameters() {
    let network = Network::Multiscale(MultiscaleConfig { num_d: 2, ..MultiscaleConfig::default() });
    assert_eq!(network.summary((64, 64)).unwrap().params(), 5_603_202);
    let network = Network::Encoder(EncoderConfig::default());
    assert_eq!(network.summary((64, 64)).unwrap().params(), 788_803);
    assert!(network.to_string().contains("3 to 3 channels, width 16"));
}

/// The network's state dict with what `change` makes of each name and tensor.
fn changed(network: &Network, change: impl Fn(&str, &Tensor) -> Vec<(String, Tensor)>) -> StateDict {
    state(network).iter().flat_map(|(name, tensor)| change(name, tensor)).collect()
}

#[test]
fn networks_that_are_not_supported_are_named() {
    let kept = |name: &str, tensor: &Tensor| vec![(name.to_owned(), tensor.clone())];
    let zeros = |dims: &[usize]| Tensor::zeros(dims, DType::F32, &Device::Cpu).unwrap();
    let config = GeneratorConfig { ngf: 2, n_blocks: 1, arch: Arch::Resnet, ..Default::default() };
    let plain = Network::Generator(config.clone());
    let batch = Network::Generator(GeneratorConfig { norm: NormKind::Batch, ..config });
    let unet = Network::Generator(GeneratorConfig { ngf: 2, norm: NormKind::Batch, ..Default::default() });
    let patch = Network::Patch(PatchConfig { ndf: 2, n_layers: 3, ..PatchConfig::default() });
    let spectral = |name: &str, tensor: &Tensor| match name.strip_suffix(".weight") {
        Some(layer) => {
            vec![(format!("{layer}.weight_orig"), tensor.clone()), (format!("{layer}.weight_u"), zeros(&[2]))]
        }
        None => kept(name, tensor),
    };
    let parametrized = |name: &str, tensor: &Tensor| match name.strip_suffix(".weight") {
        Some(layer) => vec![(format!("{layer}.parametrizations.weight.original"), tensor.clone())],
        None => kept(name, tensor),
    };
    let weighted = |name: &str, tensor: &Tensor| match name.strip_suffix(".weight") {
        Some(layer) => vec![(format!("{layer}.weight_g"), zeros(&[2])), (format!("{layer}.weight_v"), tensor.clone())],
        None => kept(name, tensor),
    };
    let untracked = |name: &str, tensor: &Tensor| {
        let statistic = ["running_mean", "running_var", "num_batches_tracked"].iter().any(|s| name.ends_with(s));
        if statistic { Vec::new() } else { kept(name, tensor) }
    };
    // model.11 and model.14 double the size; a plain convolution has its channels the other way round.
    let resized = |name: &str, tensor: &Tensor| match name {
        "model.11.weight" => vec![("model.12.weight".to_owned(), zeros(&[4, 8, 3, 3]))],
        _ => kept(name, tensor),
    };
    for (state, said) in [
        (changed(&plain, spectral), "spectral norm (model.1.weight_orig)"),
        (changed(&unet, spectral), "spectral norm"),
        (changed(&patch, parametrized), "spectral norm (model.0.parametrizations.weight.original)"),
        (changed(&plain, weighted), "weight norm"),
        (changed(&batch, untracked), "batch norm without running statistics (model.2.weight"),
        (changed(&unet, untracked), "batch norm without running statistics"),
        (changed(&plain, resized), "resize-convolutions instead of transposed ones (model.12.weight)"),
    ] {
        let error = infer(&state, None).unwrap_err();
        assert!(matches!(error, Error::UnsupportedNetwork { .. }), "{error}");
        assert!(error.to_string().contains(said) && error.to_string().contains("not supported"), "{error}");
    }
}

#[test]
fn counts_read_off_a_file_are_bounded() {
    let conv = |dims: [usize; 4]| Tensor::zeros(&dims, DType::U8, &Device::Cpu).unwrap();
    // A U-Net of a thousand levels, and a ResNet of as many blocks.
    let mut unet: StateDict = [("model.model.0.weight", [1, 1, 4, 4]), ("model.model.3.weight", [1, 1, 4, 4])]
        .map(|(name, dims)| (name.to_owned(), conv(dims)))
        .into_iter()
        .collect();
    let mut path = "model.model.1.model".to_owned();
    for _ in 0..1000 {
        unet.push(format!("{path}.1.weight"), conv([1, 1, 4, 4]));
        path += ".3.model";
    }
    assert!(matches!(infer(&unet, None), Err(Error::UnknownNetwork { .. })));
    let mut resnet = StateDict::new();
    resnet.push("model.1.weight", conv([1, 1, 7, 7]));
    for block in 0..10_000 {
        resnet.push(format!("model.{}.conv_block.1.weight", 4 + block), conv([1, 1, 3, 3]));
    }
    resnet.push("model.10005.weight", conv([1, 1, 7, 7]));
    assert!(infer(&resnet, None).is_err());
    // Names from the file cannot steer a terminal.
    let mut wild = StateDict::new();
    wild.push("a\u{1b}[2J", conv([1, 1, 1, 1]));
    assert!(!infer(&wild, None).unwrap_err().to_string().contains('\u{1b}'));
}
