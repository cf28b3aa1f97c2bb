//! Features of generators: what the reference shows of a module, and where it stops.
#![allow(clippy::unwrap_used)]

use candle_core::{DType, Device, Tensor};
use gan_layers::{Builder, Ctx, Init, ParamStore, Samples};
use gan_nets::{Arch, Generator, GeneratorConfig, NormKind};
use gan_rng::{Key, Purpose};

fn drawn(norm: NormKind, antialias: bool) -> Generator {
    let config = GeneratorConfig {
        arch: Arch::Resnet,
        n_blocks: 1,
        ngf: 2,
        norm,
        antialias,
        antialias_up: antialias,
        ..GeneratorConfig::default()
    };
    let (store, net) = ParamStore::build(DType::F64, &Device::Cpu, |b| config.build(b.clone())).unwrap();
    store.init(&Init { init_gain: 0.5, ..Init::default() }, Key::new(1, Purpose::Test)).unwrap();
    net
}

fn image() -> Tensor {
    let values = (0..3 * 16 * 12).map(|i| (1.3 * f64::from(i)).sin());
    Tensor::from_iter(values, &Device::Cpu).unwrap().reshape((1, 3, 16, 12)).unwrap()
}

fn numbers(t: &Tensor) -> Vec<f64> {
    t.flatten_all().unwrap().to_vec1().unwrap()
}

fn features(net: &Generator, layers: &[usize]) -> Vec<Tensor> {
    net.forward_with_features(&image(), &Ctx::translate(), layers).unwrap().1
}

/// The rows of all pixels, as maps.
fn sampled(net: &Generator, layers: &[usize]) -> Vec<Tensor> {
    let sizes = net.feature_sizes(layers, (16, 12)).unwrap();
    let all = layers.iter().zip(&sizes).map(|(&layer, (_, h, w))| Samples {
        layer,
        positions: Tensor::arange(0u32, (h * w) as u32, &Device::Cpu).unwrap(),
    });
    let rows = net.forward_to_samples(&image(), &Ctx::translate(), &all.collect::<Vec<_>>()).unwrap();
    let map = |(rows, &(c, h, w)): (&Tensor, &(usize, usize, usize))| rows.t().unwrap().reshape((1, c, h, w)).unwrap();
    rows.iter().zip(&sizes).map(map).collect()
}

fn negative(t: &Tensor) -> bool {
    numbers(t).iter().any(|v| *v < 0.0)
}

#[test]
fn a_module_in_front_of_a_relu_shows_the_relu() {
    // Anti-aliased: 4 is a convolution, 5 its norm, 6 the ReLU.
    let net = drawn(NormKind::Instance, true);
    let shown = features(&net, &[4, 5, 6, 7]);
    assert!(negative(&shown[0]));
    assert_eq!(numbers(&shown[1]), numbers(&shown[2]));
    assert!(!negative(&shown[1]) && shown[3].dims() == [1, 4, 8, 6]);
    // Plain: the second norm has the index of the anti-aliased second convolution.
    let net = drawn(NormKind::Instance, false);
    assert!(!negative(&features(&net, &[8])[0]) && negative(&features(&net, &[7])[0]));
    // Without a norm the convolution is right in front of the ReLU.
    let net = drawn(NormKind::None, true);
    assert!(!negative(&features(&net, &[4])[0]) && !negative(&features(&net, &[5])[0]));
}

#[test]
fn nothing_is_computed_behind_the_last_sample() {
    for norm in [NormKind::Instance, NormKind::None] {
        let net = drawn(norm, true);
        // In the middle a norm shows the ReLU behind it; as the last one it does not.
        let (middle, last) = (sampled(&net, &[5, 8]), sampled(&net, &[0, 5]));
        assert!(!negative(&middle[0]) && negative(&last[1]), "{norm:?}");
        assert_eq!(numbers(&middle[0]), numbers(&features(&net, &[5])[0]));
        let pair = sampled(&net, &[4, 5]);
        assert!(negative(&pair[0]) && negative(&pair[1]));
        for (have, want) in sampled(&net, &[0, 4, 8, 12, 13]).iter().zip(features(&net, &[0, 4, 8, 12, 13])) {
            assert_eq!(have.dims(), want.dims());
            assert_eq!(numbers(have), numbers(&want));
        }
    }
}

#[test]
fn networks_without_features_say_so() {
    let unet = GeneratorConfig { arch: Arch::Unet128, ..GeneratorConfig::default() };
    let unet = unet.build(Builder::shapes_only()).unwrap();
    assert!(unet.feature_sizes(&[0], (128, 128)).unwrap_err().to_string().contains("not of unet_128"));
    let net = drawn(NormKind::Instance, true);
    assert!(net.feature_sizes(&[24], (16, 16)).unwrap_err().to_string().contains("24 modules has no module 24"));
    assert!(net.forward_to_samples(&image(), &Ctx::translate(), &[]).is_err());
}
