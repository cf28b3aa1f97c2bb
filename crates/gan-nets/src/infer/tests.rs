//! Networks are recognized by their keys and shapes.

#![allow(clippy::unwrap_used)]

use candle_core::{DType, Device, Tensor};
use gan_layers::ParamStore;
use gan_weights::normalize_keys;

use super::*;
use crate::{Padding, UnetLayout, Upsample};

mod unets;

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
        for (upsample, dropout) in [(Upsample::Resize, false), (Upsample::ResizeZero, false), (Upsample::Resize, true)]
        {
            all.push(GeneratorConfig { arch: Arch::Resnet, n_blocks: 2, norm, upsample, dropout, ..base.clone() });
            all.push(GeneratorConfig { arch: Arch::Unet, num_downs: 6, norm, upsample, ..base.clone() });
        }
        for (arch, n_blocks) in [(Arch::Resnet9Blocks, 9), (Arch::Resnet4Blocks, 4), (Arch::Resnet, 2)] {
            for (antialias, antialias_up) in [(true, true), (true, false), (false, true)] {
                all.push(GeneratorConfig { arch, n_blocks, norm, antialias, antialias_up, ..base.clone() });
            }
        }
        for down_padding in [Padding::Zero, Padding::Reflect] {
            let resnet = GeneratorConfig { arch: Arch::Resnet, n_blocks: 2, norm, down_padding, ..base.clone() };
            all.push(GeneratorConfig { antialias: true, antialias_up: true, ..resnet.clone() });
            all.push(resnet);
            for (_, unet_layout) in UnetLayout::ALL {
                // With biases everywhere, there are none to tell them apart.
                if unet_layout != UnetLayout::Biased || !norm.is_instance() {
                    let unet = GeneratorConfig { arch: Arch::Unet, num_downs: 5, norm, unet_layout, ..base.clone() };
                    all.push(GeneratorConfig { down_padding, ..unet });
                }
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
    for upsample in [Upsample::Resize, Upsample::ResizeZero] {
        for (arch, n_local_enhancers) in [(Arch::Global, 1), (Arch::Local, 2)] {
            let n_blocks_global = 2;
            all.push(GeneratorConfig { arch, upsample, n_blocks_global, n_local_enhancers, ..base.clone() });
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
    let plain = Network::Generator(config);
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
    for (state, said) in [
        (changed(&plain, spectral), "spectral norm (model.1.weight_orig)"),
        (changed(&unet, spectral), "spectral norm"),
        (changed(&patch, parametrized), "spectral norm (model.0.parametrizations.weight.original)"),
        (changed(&plain, weighted), "weight norm"),
    ] {
        let error = infer(&state, None).unwrap_err();
        assert!(matches!(error, Error::UnsupportedNetwork { .. }), "{error}");
        assert!(error.to_string().contains(said) && error.to_string().contains("not supported"), "{error}");
    }
}

/// A batch norm without running statistics is an instance norm, image for image. The convolutions in front of it have no bias.
#[test]
fn batch_norms_without_statistics_are_instance_norms() {
    let unet = GeneratorConfig { ngf: 2, arch: Arch::Unet, num_downs: 5, ..Default::default() };
    for config in [resnet(1, NormKind::Batch, Upsample::Deconv), GeneratorConfig { norm: NormKind::Batch, ..unet }] {
        let state = changed(&Network::Generator(config.clone()), |name, tensor| {
            let statistic = ["running_mean", "running_var", "num_batches_tracked"].iter().any(|s| name.ends_with(s));
            if statistic { Vec::new() } else { vec![(name.to_owned(), tensor.clone())] }
        });
        let found = identify(&state, None).unwrap();
        let affine = GeneratorConfig { norm: NormKind::InstanceAffine, ..config };
        assert_eq!(found[0].network, Network::Generator(affine));
        assert!(found[0].notes.iter().any(|note| note.contains("have no bias: zero is used")), "{:?}", found[0].notes);
    }
}

fn resnet(n_blocks: usize, norm: NormKind, upsample: Upsample) -> GeneratorConfig {
    let (arch, input_nc, output_nc) = (Arch::Resnet, 3, 2);
    GeneratorConfig { arch, ngf: 2, input_nc, output_nc, n_blocks, norm, upsample, ..Default::default() }
}

/// The network's tensors under the names that `rename` makes of the paths of its layers, in the order of the network or, as
/// safetensors files may have them, sorted.
fn renamed(config: &GeneratorConfig, sorted: bool, rename: impl Fn(&str) -> String) -> StateDict {
    let mut entries: Vec<(String, Tensor)> = changed(&Network::Generator(config.clone()), |name, tensor| {
        let (path, field) = name.rsplit_once('.').unwrap();
        vec![(format!("{}.{field}", rename(path)), tensor.clone())]
    })
    .into_iter()
    .collect();
    if sorted {
        entries.sort_by(|a, b| a.0.cmp(&b.0));
    }
    entries.into_iter().collect()
}

/// Names as tutorials choose them, for a ResNet of `n_blocks`.
fn tutorial(path: &str, n_blocks: usize, upsample: Upsample) -> String {
    let numbers: Vec<usize> = path.split('.').filter_map(|part| part.parse().ok()).collect();
    let (first, ups) = (10, 10 + n_blocks);
    let (stage, layer) = (
        (numbers[0].saturating_sub(ups)) / upsample.stage_len(),
        numbers[0].saturating_sub(ups) % upsample.stage_len(),
    );
    match numbers[..] {
        [1] => "initial.conv".to_owned(),
        [2] => "initial.norm".to_owned(),
        [at @ (4 | 7)] => format!("downs.{}.conv", at / 3 - 1),
        [at @ (5 | 8)] => format!("downs.{}.norm", at / 3 - 1),
        [at, inner] => {
            let kind = if [1, 5].contains(&inner) { "conv" } else { "norm" };
            format!("residuals.{}.{kind}{}", at - first, 1 + inner / 5)
        }
        _ if stage < 2 && layer == upsample.conv_index() => format!("ups.{stage}.conv"),
        _ if stage < 2 => format!("ups.{stage}.norm"),
        _ => "last".to_owned(),
    }
}

fn same(a: &StateDict, b: &StateDict) -> bool {
    let bytes = |state: &StateDict| -> Vec<(String, Vec<f32>)> {
        let values = |t: &Tensor| t.flatten_all().unwrap().to_dtype(DType::F32).unwrap().to_vec1().unwrap();
        state.iter().map(|(name, tensor)| (name.to_owned(), values(tensor))).collect()
    };
    bytes(a) == bytes(b)
}

/// Every tensor differs from every other of its shape.
fn numbered(state: &StateDict) -> StateDict {
    let of = |(at, (name, tensor)): (usize, (&str, &Tensor))| {
        (name.to_owned(), (tensor.zeros_like().unwrap() + at as f64).unwrap())
    };
    state.iter().enumerate().map(of).collect()
}

#[test]
fn resnets_under_other_names_are_told_by_their_structure() {
    for norm in [NormKind::Instance, NormKind::InstanceAffine, NormKind::Batch] {
        for upsample in [Upsample::Deconv, Upsample::Resize] {
            for (n_blocks, sorted) in [(1, false), (12, false), (12, true)] {
                let config = resnet(n_blocks, norm, upsample);
                let ours = numbered(&state(&Network::Generator(config.clone())));
                let names: std::collections::HashMap<String, Tensor> =
                    ours.iter().map(|(name, tensor)| (name.to_owned(), tensor.clone())).collect();
                let theirs = renamed(&config, sorted, |path| tutorial(path, n_blocks, upsample));
                // The same numbers under their names.
                let back: std::collections::HashMap<String, String> = ours
                    .names()
                    .map(|name| {
                        let (path, field) = name.rsplit_once('.').unwrap();
                        (format!("{}.{field}", tutorial(path, n_blocks, upsample)), name.to_owned())
                    })
                    .collect();
                let theirs: StateDict =
                    theirs.names().map(|name| (name.to_owned(), names[&back[name]].clone())).collect();
                let found = identify(&theirs, None).unwrap();
                let [found] = &found[..] else { panic!("{} networks", found.len()) };
                assert_eq!(found.network, Network::Generator(config.clone()), "{norm:?} {upsample:?} {sorted}");
                assert!(same(&found.state, &ours), "{norm:?} {upsample:?} {sorted}: tensors change places");
                assert!(found.notes[0].contains("matched by their order"), "{:?}", found.notes);
                assert_eq!(found.mapping[0], ("initial.conv".to_owned(), "model.1".to_owned()));
                // Beside another network, under a prefix.
                let mut pair = StateDict::new();
                for (name, tensor) in theirs.iter() {
                    pair.push(format!("nets.G_A.{name}"), tensor.clone());
                }
                pair.push("loss.weight", Tensor::zeros((2, 3, 3, 3), DType::F32, &Device::Cpu).unwrap());
                let found = identify(&pair, None).unwrap();
                assert_eq!((found.len(), found[0].prefix.as_str()), (1, "nets"));
                assert!(same(&found[0].state, &ours));
            }
        }
    }
}

#[test]
fn anti_aliased_resnets_may_have_other_names() {
    for (antialias, antialias_up) in [(true, true), (true, false), (false, true)] {
        let config =
            GeneratorConfig { antialias, antialias_up, ..resnet(2, NormKind::InstanceAffine, Upsample::Deconv) };
        let ours = numbered_weights(&state(&Network::Generator(config.clone())));
        let theirs: StateDict =
            ours.iter().map(|(name, tensor)| (name.replace("model.", "layers."), tensor.clone())).collect();
        let found = identify(&theirs, None).unwrap();
        assert_eq!(found[0].network, Network::Generator(config));
        assert!(same(&found[0].state, &ours));
    }
}

/// As [`numbered`], but for the constant filters.
fn numbered_weights(state: &StateDict) -> StateDict {
    let numbers = numbered(state);
    let of = |(name, tensor): (&str, &Tensor)| {
        let kept = name.ends_with(".filt");
        (name.to_owned(), if kept { tensor.clone() } else { numbers.get(name).unwrap().clone() })
    };
    state.iter().map(of).collect()
}

#[test]
fn what_is_assumed_has_to_fit() {
    let exact = state(&Network::Generator(resnet(2, NormKind::Instance, Upsample::Deconv)));
    let assume = |text: &str| serde_json::from_str::<Assumptions>(text).unwrap();
    let found = identify_assuming(&exact, None, &assume(r#"{"padding": "replicate"}"#)).unwrap();
    let Network::Generator(config) = &found[0].network else { panic!("not a generator") };
    assert_eq!(config.padding, Padding::Replicate);
    for text in [
        r#"{"padding": "zero"}"#,
        r#"{"down_padding": "reflect"}"#,
        r#"{"upsample": "resize"}"#,
        r#"{"unet_layout": "post_activation"}"#,
        r#"{"skip_first": true}"#,
    ] {
        let error = identify_assuming(&exact, None, &assume(text)).unwrap_err();
        assert!(matches!(error, Error::Assumed { .. }), "{text}: {error}");
    }
    assert!(serde_json::from_str::<Assumptions>(r#"{"pading": "zero"}"#).unwrap_err().to_string().contains("padding"));
    let other =
        renamed(&resnet(2, NormKind::Batch, Upsample::Resize), false, |path| tutorial(path, 2, Upsample::Resize));
    let text = r#"{"padding": "zero", "down_padding": "reflect", "upsample": "resize_zero"}"#;
    let found = identify_assuming(&other, None, &assume(text)).unwrap();
    let Network::Generator(config) = &found[0].network else { panic!("not a generator") };
    let assumed = (config.padding, config.down_padding, config.upsample);
    assert_eq!(assumed, (Padding::Zero, Padding::Reflect, Upsample::ResizeZero));
    assert!(found[0].notes.iter().all(|note| !note.contains("assumed")), "{:?}", found[0].notes);
}

#[test]
fn the_halves_of_a_network_are_told_by_words_where_the_order_misleads() {
    let config = resnet(2, NormKind::Batch, Upsample::Deconv);
    let rename = |path: &str| tutorial(path, 2, Upsample::Deconv).replace("downs", "encoder").replace("ups", "decoder");
    // Sorted, the decoder comes before the encoder.
    let theirs = renamed(&config, true, rename);
    let found = identify(&theirs, None).unwrap();
    assert!(found[0].mapping.contains(&("encoder.0.conv".to_owned(), "model.4".to_owned())), "{:?}", found[0].mapping);
    assert!(found[0].mapping.contains(&("decoder.1.norm".to_owned(), "model.16".to_owned())), "{:?}", found[0].mapping);
    // So does the last convolution, which here has as many outputs as the first has inputs.
    let config = GeneratorConfig { output_nc: 3, ..resnet(2, NormKind::InstanceAffine, Upsample::Deconv) };
    let rename = |path: &str| match tutorial(path, 2, Upsample::Deconv) {
        stem if stem.starts_with("initial") => stem.replace("initial", "encoder.a"),
        head if head == "last" => "decoder.z".to_owned(),
        path => path.replace("downs", "encoder.b").replace("ups", "decoder.b").replace("residuals", "transformer"),
    };
    let found = identify(&renamed(&config, true, rename), None).unwrap();
    assert_eq!(found[0].network, Network::Generator(config));
    assert!(found[0].mapping.contains(&("decoder.z".to_owned(), "model.19".to_owned())), "{:?}", found[0].mapping);
}

#[test]
fn what_the_networks_here_have_no_place_for_is_worked_into_the_weights() {
    let config = resnet(1, NormKind::Batch, Upsample::Deconv);
    let rename = |path: &str| tutorial(path, 1, Upsample::Deconv);
    let mut theirs = renamed(&config, false, rename);
    // A bias in front of a batch norm moves its mean.
    for (name, tensor) in renamed(&resnet(1, NormKind::Instance, Upsample::Deconv), false, rename).iter() {
        if name.ends_with(".bias") && name != "last.bias" {
            theirs.push(name, tensor.clone());
        }
    }
    theirs.push("initial.conv.bias", Tensor::new(&[1f32, 3.], &Device::Cpu).unwrap());
    let mean = theirs.get("initial.norm.running_mean").unwrap().to_vec1::<f32>().unwrap();
    let found = identify(&theirs, None).unwrap();
    assert_eq!(found[0].network, Network::Generator(config));
    let moved = found[0].state.get("model.2.running_mean").unwrap().to_vec1::<f32>().unwrap();
    assert_eq!(moved, [mean[0] - 1., mean[1] - 3.]);
    // A bias that is not there is zero.
    let config = resnet(1, NormKind::InstanceAffine, Upsample::Deconv);
    let mut theirs = renamed(&config, false, rename);
    theirs.retain(|name, _| !["conv.bias", "conv1.bias", "conv2.bias"].iter().any(|end| name.ends_with(end)));
    let found = identify(&theirs, None).unwrap();
    assert_eq!(found[0].network, Network::Generator(config));
    assert_eq!(found[0].state.get("model.1.bias").unwrap().to_vec1::<f32>().unwrap(), [0., 0.]);
    assert!(found[0].notes.iter().any(|note| note.contains("have no bias")), "{:?}", found[0].notes);
}

#[test]
fn what_is_no_resnet_is_not_made_one() {
    let config = resnet(2, NormKind::InstanceAffine, Upsample::Deconv);
    let theirs = renamed(&config, false, |path| tutorial(path, 2, Upsample::Deconv));
    let zeros = |dims: &[usize]| Tensor::zeros(dims, DType::F32, &Device::Cpu).unwrap();
    type Change = fn(&mut StateDict, &dyn Fn(&[usize]) -> Tensor);
    let changes: [(&str, Change); 7] = [
        ("a bias that is missing", |s, _| s.retain(|name, _| name != "downs.1.conv.bias")),
        ("a third halving without its doubling", |s, zeros| drop(s.push("downs.2.conv.weight", zeros(&[16, 8, 3, 3])))),
        ("attention", |s, zeros| drop(s.push("attention.gamma", zeros(&[1])))),
        ("a linear layer", |s, zeros| drop(s.push("fc.weight", zeros(&[8, 8])))),
        ("an odd convolution", |s, zeros| drop(s.push("residuals.2.conv1.weight", zeros(&[8, 8, 3, 3])))),
        ("a norm that is missing", |s, _| s.retain(|name, _| !name.starts_with("ups.1.norm"))),
        ("kernels of another size", |s, zeros| drop(s.push("ups.1.conv.weight", zeros(&[4, 2, 4, 4])))),
    ];
    assert!(identify(&theirs, None).is_ok());
    for (what, change) in changes {
        let mut state = theirs.clone();
        change(&mut state, &zeros);
        assert!(identify(&state, None).is_err(), "{what}");
    }
}

#[test]
fn networks_of_one_flat_dict_are_told_apart() {
    let first = Network::Generator(resnet(1, NormKind::Instance, Upsample::Deconv));
    let second = Network::Patch(PatchConfig { ndf: 2, n_layers: 2, ..PatchConfig::default() });
    let mut all = StateDict::new();
    for (prefix, network) in [("netG_A.module", &first), ("model.d", &second)] {
        for (name, tensor) in state(network).iter() {
            all.push(format!("{prefix}.{name}"), tensor.clone());
        }
    }
    all.push("epoch", Tensor::new(1f32, &Device::Cpu).unwrap());
    let found = identify(&all, None).unwrap();
    let names: Vec<_> = found.iter().map(|found| (found.prefix.as_str(), &found.network)).collect();
    assert_eq!(names, [("netG_A", &first), ("model.d", &second)]);
    assert!(found[0].notes[0].contains("DataParallel"), "{:?}", found[0].notes);
    assert!(matches!(identify(&all, Some(Arch::Unet)), Err(Error::OtherArch { .. })));
    assert_eq!(identify(&all, Some(Arch::Resnet)).unwrap().len(), 1);
    // A ResNet of instance norms is a global generator if it is called one.
    let found = identify(&all, Some(Arch::Global)).unwrap();
    assert!(found[0].network.to_string().contains("global generator"), "{}", found[0].network);
}

#[test]
fn elements_with_which_no_network_computes_are_named() {
    let network = Network::Generator(resnet(1, NormKind::Instance, Upsample::Deconv));
    let mut raw = state(&network);
    raw.retain(|name, _| name != "model.18.bias");
    raw.push_other(
        "model.18.bias",
        gan_weights::RawTensor::new(gan_weights::ElementType::I8, vec![2], vec![1, 2]).unwrap(),
    );
    let error = infer(&raw, None).unwrap_err().to_string();
    assert!(error.contains("model.18.bias has elements of int8, with which no network computes"), "{error}");
    raw.retain(|_, _| false);
    let error = infer(&raw, None).unwrap_err().to_string();
    assert!(error.contains("unknown network: model.18.bias has elements of int8"), "{error}");
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
