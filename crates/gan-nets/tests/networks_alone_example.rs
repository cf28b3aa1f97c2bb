//! The example translates images with freshly drawn weights, for each kind of network and weight file.
#![allow(clippy::unwrap_used)]

#[path = "../examples/networks_alone.rs"]
#[allow(dead_code)]
mod example;

use candle_core::{DType, Device, Tensor};
use gan_layers::{Ctx, Init, ParamStore};
use gan_nets::{Arch, GeneratorConfig, NormKind};
use gan_rng::{Key, Purpose};
use gan_weights::{StateDict, safetensors};
use image::RgbImage;
use std::path::Path;

/// A network with weights large enough that images differ.
fn drawn(config: &GeneratorConfig) -> (ParamStore, gan_nets::Generator) {
    let (store, net) = ParamStore::build(DType::F32, &Device::Cpu, |b| config.build(b.clone())).unwrap();
    store.init(&Init { init_gain: 0.2, ..Init::default() }, Key::new(1, Purpose::Test)).unwrap();
    (store, net)
}

fn image(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| image::Rgb([(x * 7 + y) as u8, (y * 5) as u8, ((x ^ y) * 3) as u8]))
}

fn check(folder: &Path, config: &GeneratorConfig, size: (u32, u32), cropped: (u32, u32)) {
    let name = config.arch.name();
    let (store, net) = drawn(config);
    let (weights, input, output) = (folder.join(name), folder.join("in.png"), folder.join("out.png"));
    let state: StateDict = store.state_dict("").unwrap().into_iter().collect();
    safetensors::write(&weights, &state).unwrap();
    let image = image(size.0, size.1);
    image.save(&input).unwrap();
    example::translate(&weights, name, &input, &output).unwrap();

    let have = image::ImageReader::open(&output).unwrap().decode().unwrap().to_rgb8();
    assert_eq!(have.dimensions(), cropped, "{name}");
    let (w, h) = (cropped.0 as usize, cropped.1 as usize);
    let values = (0..3).flat_map(|c| (0..h).flat_map(move |y| (0..w).map(move |x| (x, y, c))));
    let values = values.map(|(x, y, c)| f32::from(image.get_pixel(x as u32, y as u32)[c]) / 127.5 - 1.0);
    let x = Tensor::from_iter(values, &Device::Cpu).unwrap().reshape((1, 3, h, w)).unwrap();
    let y = net.forward(&x, &Ctx::translate()).unwrap().squeeze(0).unwrap().to_vec3::<f32>().unwrap();
    let mut distinct = std::collections::BTreeSet::new();
    for (at_x, at_y, pixel) in have.enumerate_pixels() {
        for (c, byte) in pixel.0.into_iter().enumerate() {
            let want = (y[c][at_y as usize][at_x as usize] + 1.0) * 127.5;
            assert!((f32::from(byte) - want).abs() <= 0.75, "{name}: {byte} instead of {want}");
            distinct.insert(byte);
        }
    }
    assert!(distinct.len() > 10, "{name}: a flat image");
}

#[test]
fn translates_images() {
    let folder = tempfile::tempdir().unwrap();
    let small = |arch, norm| GeneratorConfig { arch, norm, ngf: 4, ..GeneratorConfig::default() };
    check(folder.path(), &small(Arch::Resnet6Blocks, NormKind::Instance), (38, 27), (36, 24));
    let config = GeneratorConfig { dropout: true, ..small(Arch::Resnet9Blocks, NormKind::Batch) };
    check(folder.path(), &config, (32, 24), (32, 24));
    check(folder.path(), &small(Arch::Unet128, NormKind::Batch), (130, 140), (128, 128));
    check(folder.path(), &small(Arch::Local, NormKind::Instance), (70, 64), (64, 64));
}

#[test]
fn refuses_what_does_not_fit() {
    let folder = tempfile::tempdir().unwrap();
    let (weights, input) = (folder.path().join("weights"), folder.path().join("in.png"));
    let config = GeneratorConfig { arch: Arch::Unet128, ngf: 4, ..GeneratorConfig::default() };
    let state: StateDict = drawn(&config).0.state_dict("").unwrap().into_iter().collect();
    safetensors::write(&weights, &state).unwrap();
    image(64, 64).save(&input).unwrap();
    let run = |arch: &str| {
        let error = example::translate(&weights, arch, &input, &folder.path().join("out.png")).unwrap_err();
        error.to_string()
    };
    assert!(run("unet_128").contains("at least 128x128"));
    assert!(run("unet_127").contains("no architecture `unet_127`"));
    assert!(run("resnet_9blocks").contains("no tensor model.1.weight"));
    assert!(!folder.path().join("out.png").exists());
}
