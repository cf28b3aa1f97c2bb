//! The snapshots.

use crate::recorder::{Keys, keys};
use gan_nets::{
    Arch, DiscriminatorConfig, EncoderConfig, GeneratorConfig, MultiscaleConfig, NetD, NetF, NormKind, Padding,
    PatchSampleConfig, UnetConfig, Upsample,
};
use std::fmt::Write;
use std::path::PathBuf;

/// A line a tensor: key and shape.
fn text(keys: &Keys) -> String {
    let mut out = String::new();
    for (key, shape) in keys {
        let shape: Vec<_> = shape.iter().map(usize::to_string).collect();
        writeln!(out, "{key} {}", if shape.is_empty() { "scalar".to_string() } else { shape.join("x") }).unwrap();
    }
    out
}

fn check(name: &str, keys: &Keys) {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/keys")).join(format!("{name}.txt"));
    let have = text(keys);
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, have).unwrap();
        return;
    }
    let want = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    for (n, (have, want)) in have.lines().zip(want.lines()).enumerate() {
        assert_eq!(have, want, "{name}, line {}", n + 1);
    }
    assert_eq!(have.lines().count(), want.lines().count(), "{name}: number of keys");
}

fn generator(name: &str, config: &GeneratorConfig) {
    check(name, &keys(|b| config.build(b)));
}

fn norm_name(norm: NormKind) -> &'static str {
    match norm {
        NormKind::Instance => "instance",
        NormKind::InstanceAffine => "instance_affine",
        NormKind::Batch => "batch",
        NormKind::None => "none",
    }
}

const NORMS: [NormKind; 3] = [NormKind::Instance, NormKind::Batch, NormKind::None];

#[test]
fn resnet() {
    for norm in NORMS {
        for (arch, blocks) in [(Arch::Resnet9Blocks, 9), (Arch::Resnet6Blocks, 6)] {
            let config = GeneratorConfig { arch, norm, ..GeneratorConfig::default() };
            generator(&format!("resnet_{blocks}_{}", norm_name(norm)), &config);
        }
    }
    for (upsample, name) in [(Upsample::Resize, "resize"), (Upsample::ResizeZero, "resize_zero")] {
        let config = GeneratorConfig {
            arch: Arch::Resnet6Blocks,
            norm: NormKind::Batch,
            upsample,
            ..GeneratorConfig::default()
        };
        generator(&format!("resnet_6_{name}"), &config);
    }
    for (padding, name) in [(Padding::Reflect, "reflect"), (Padding::Replicate, "replicate"), (Padding::Zero, "zero")] {
        for dropout in [false, true] {
            let norm = NormKind::Batch;
            let config =
                GeneratorConfig { arch: Arch::Resnet, n_blocks: 1, norm, padding, dropout, ..Default::default() };
            generator(&format!("resnet_block_{name}{}", if dropout { "_dropout" } else { "" }), &config);
        }
    }
}

#[test]
fn networks_of_cut() {
    let both = GeneratorConfig { antialias: true, antialias_up: true, ..GeneratorConfig::default() };
    generator("resnet_9_antialias", &both);
    let four = GeneratorConfig { arch: Arch::Resnet4Blocks, ..both };
    generator("resnet_4_antialias_down", &GeneratorConfig { antialias_up: false, ..four.clone() });
    generator("resnet_4_antialias_up", &GeneratorConfig { antialias: false, norm: NormKind::Batch, ..four });
    let config = DiscriminatorConfig { antialias: true, ..DiscriminatorConfig::default() };
    check("basic_antialias", &keys(|b| config.build(3, b)));
    let head = PatchSampleConfig { kind: NetF::MlpSample, widths: vec![3, 128, 256, 256, 256], nc: 256 };
    check("patch_sample", &keys(|b| head.build(b)));
}

#[test]
fn unet() {
    for norm in NORMS {
        for (arch, downs) in [(Arch::Unet128, 7), (Arch::Unet256, 8)] {
            let config = GeneratorConfig { arch, norm, ..GeneratorConfig::default() };
            generator(&format!("unet_{downs}_{}", norm_name(norm)), &config);
        }
    }
    let shallow = UnetConfig { num_downs: 5, input_nc: 1, output_nc: 2, dropout: false, ..UnetConfig::default() };
    let dropped = UnetConfig { dropout: true, ..shallow.clone() };
    check("unet_5_batch", &keys(|b| shallow.build(b)));
    check("unet_5_batch", &keys(|b| dropped.build(b)));
}

#[test]
fn discriminators() {
    for norm in NORMS {
        let config = DiscriminatorConfig { norm, ..DiscriminatorConfig::default() };
        check(&format!("basic_{}", norm_name(norm)), &keys(|b| config.build(3, b)));
        let config = DiscriminatorConfig { arch: NetD::Pixel, norm, ..DiscriminatorConfig::default() };
        check(&format!("pixel_{}", norm_name(norm)), &keys(|b| config.build(6, b)));
    }
    for n_layers_d in [1, 5] {
        let norm = NormKind::Batch;
        let config = DiscriminatorConfig { arch: NetD::NLayers, norm, n_layers_d, ..DiscriminatorConfig::default() };
        check(&format!("n_layers_{n_layers_d}_batch"), &keys(|b| config.build(6, b)));
    }
}

#[test]
fn pix2pixhd_generators() {
    for norm in [NormKind::Instance, NormKind::Batch] {
        let global = GeneratorConfig { arch: Arch::Global, input_nc: 36, norm, ..GeneratorConfig::default() };
        generator(&format!("global_{}", norm_name(norm)), &global);
        for n_local_enhancers in [1, 2] {
            let config = GeneratorConfig { arch: Arch::Local, ngf: 32, n_local_enhancers, ..global.clone() };
            generator(&format!("local_{n_local_enhancers}_{}", norm_name(norm)), &config);
        }
        let local = GeneratorConfig { arch: Arch::Local, ngf: 32, upsample: Upsample::Resize, ..global };
        generator(&format!("local_1_resize_{}", norm_name(norm)), &local);
    }
    check("encoder_instance", &keys(|b| EncoderConfig::default().build(b)));
}

#[test]
fn multiscale_discriminators() {
    for norm in [NormKind::Instance, NormKind::Batch] {
        for feature_stages in [true, false] {
            let config = MultiscaleConfig { num_d: 2, norm, feature_stages, ..MultiscaleConfig::default() };
            let kind = if feature_stages { "stages" } else { "flat" };
            check(&format!("multiscale_{kind}_{}", norm_name(norm)), &keys(|b| config.build(b)));
        }
    }
}
