//! Parameters and multiply-adds at the widths of the papers.

use gan_layers::Builder;
use gan_nets::{
    Arch, DiscriminatorConfig, EncoderConfig, GeneratorConfig, NetD, NetF, NormKind, PatchSampleConfig, Summary,
};

const NORMS: [NormKind; 3] = [NormKind::Instance, NormKind::Batch, NormKind::None];

fn generator(config: &GeneratorConfig, size: (usize, usize)) -> Summary {
    config.build(Builder::shapes_only()).unwrap().summary(size).unwrap()
}

fn discriminator(config: &DiscriminatorConfig, input: (usize, usize, usize)) -> Summary {
    config.build(input.0, Builder::shapes_only()).unwrap().summary(input).unwrap()
}

/// In units of 10⁹, as published with two decimals (or one).
fn assert_gmacs(summary: &Summary, want: f64, decimals: i32) {
    let have = summary.macs() as f64 / 1e9;
    assert!((have - want).abs() <= 0.51 * 0.1f64.powi(decimals), "{have:.4} G instead of {want} G");
}

#[test]
fn generators_of_cyclegan_and_pix2pix() {
    let rows = [
        (Arch::Resnet9Blocks, [11_378_179, 11_383_427, 11_372_931]),
        (Arch::Resnet6Blocks, [7_837_699, 7_841_411, 7_833_987]),
        (Arch::Unet128, [41_825_667, 41_828_995, 41_821_187]),
        (Arch::Unet256, [54_409_603, 54_413_955, 54_404_099]),
    ];
    for (arch, counts) in rows {
        for (norm, count) in NORMS.into_iter().zip(counts) {
            for dropout in [false, true] {
                let config = GeneratorConfig { arch, norm, dropout, ..GeneratorConfig::default() };
                assert_eq!(generator(&config, (256, 256)).params(), count, "{arch:?} {norm:?} {dropout}");
            }
        }
    }
    let colorization = GeneratorConfig {
        arch: Arch::Unet256,
        input_nc: 1,
        output_nc: 2,
        norm: NormKind::Batch,
        ..GeneratorConfig::default()
    };
    assert_eq!(generator(&colorization, (256, 256)).params(), 54_409_858);
}

#[test]
fn networks_of_cut() {
    let resnet = GeneratorConfig { antialias: true, antialias_up: true, ..GeneratorConfig::default() };
    assert_eq!(generator(&resnet, (256, 256)).params(), 11_378_179);
    let patch = DiscriminatorConfig { antialias: true, ..DiscriminatorConfig::default() };
    let summary = discriminator(&patch, (3, 256, 256));
    assert_eq!((summary.params(), summary.output_hw()), (2_764_737, Some((30, 30))));
    let net = resnet.build(Builder::shapes_only()).unwrap();
    let sizes = net.feature_sizes(&[0, 4, 8, 12, 16], (256, 256)).unwrap();
    assert_eq!(sizes, [(3, 262, 262), (128, 256, 256), (256, 128, 128), (256, 64, 64), (256, 64, 64)]);
    let widths = sizes.into_iter().map(|(channels, ..)| channels).collect();
    let at = Builder::shapes_only();
    PatchSampleConfig { kind: NetF::MlpSample, widths, nc: 256 }.build(at.clone()).unwrap();
    assert_eq!(at.params(), 560_384);
}

#[test]
fn multiply_adds_at_256() {
    for (arch, want) in [(Arch::Resnet9Blocks, 49.55), (Arch::Resnet6Blocks, 35.06), (Arch::Unet256, 6.05)] {
        let config = GeneratorConfig { arch, ..GeneratorConfig::default() };
        assert_gmacs(&generator(&config, (256, 256)), want, 2);
    }
    assert_gmacs(&discriminator(&DiscriminatorConfig::default(), (3, 256, 256)), 3.15, 2);
}

#[test]
fn patch_discriminators() {
    let counts = [136_385, 662_977, 2_764_737, 6_959_553, 11_154_369, 15_349_185];
    for (n, count) in (1..).zip(counts) {
        let config = DiscriminatorConfig { arch: NetD::NLayers, n_layers_d: n, ..DiscriminatorConfig::default() };
        assert_eq!(discriminator(&config, (3, 256, 256)).params(), count, "{n} layers");
    }
    for (n, side) in [(1, 126), (3, 30), (5, 6)] {
        let config = DiscriminatorConfig { arch: NetD::NLayers, n_layers_d: n, ..DiscriminatorConfig::default() };
        let summary = discriminator(&config, (3, 256, 256));
        assert_eq!(summary.rows.last().unwrap().output, (1, side, side), "{n} layers");
    }
    for (arch, rows) in [
        (NetD::Basic, [[2_764_737, 2_767_809], [2_765_633, 2_768_705], [2_763_841, 2_766_913]]),
        (NetD::Pixel, [[8_705, 8_897], [8_832, 9_024], [8_576, 8_768]]),
    ] {
        for (norm, row) in NORMS.into_iter().zip(rows) {
            for (in_nc, count) in [3, 6].into_iter().zip(row) {
                let config = DiscriminatorConfig { arch, norm, ..DiscriminatorConfig::default() };
                assert_eq!(discriminator(&config, (in_nc, 64, 64)).params(), count, "{arch:?} {norm:?} {in_nc}");
            }
        }
    }
}

#[test]
fn generators_of_pix2pixhd() {
    let global = GeneratorConfig { arch: Arch::Global, input_nc: 36, ..GeneratorConfig::default() };
    let params = |config: &GeneratorConfig| generator(config, (128, 128)).params();
    for (input_nc, count) in [(36, 182_546_755), (39, 182_556_163), (35, 182_543_619), (3, 182_443_267)] {
        assert_eq!(params(&GeneratorConfig { input_nc, ..global.clone() }), count);
    }
    assert_eq!(params(&GeneratorConfig { norm: NormKind::Batch, ..global.clone() }), 182_589_507);
    assert_eq!(params(&GeneratorConfig { n_downsample_global: 3, ..global.clone() }), 45_696_835);
    assert_gmacs(&generator(&global, (512, 1024)), 489.3, 1);

    let local = GeneratorConfig { arch: Arch::Local, ngf: 32, ..global };
    assert_eq!(params(&local), 182_857_059);
    assert_eq!(params(&GeneratorConfig { input_nc: 39, ..local.clone() }), 182_871_171);
    assert_eq!(params(&GeneratorConfig { norm: NormKind::Batch, ..local.clone() }), 182_900_835);
    assert_eq!(params(&GeneratorConfig { n_local_enhancers: 2, ..local.clone() }), 731_346_659);
    assert_gmacs(&generator(&local, (1024, 2048)), 747.9, 1);

    let mut encoder = Summary::default();
    let net = EncoderConfig::default().build(Builder::shapes_only()).unwrap();
    assert_eq!(encoder.add(&net, (3, 512, 1024)).unwrap(), (3, 512, 1024));
    assert_eq!(encoder.params(), 788_803);
}

#[test]
fn multiscale_discriminators() {
    let config = |num_d, norm| DiscriminatorConfig { arch: NetD::Multiscale, num_d, norm, ..Default::default() };
    let params = |config: DiscriminatorConfig, in_nc| discriminator(&config, (in_nc, 64, 128)).params();
    for (num_d, count) in [(1, 2_801_601), (2, 5_603_202), (3, 8_404_803)] {
        assert_eq!(params(config(num_d, NormKind::Instance), 39), count);
    }
    assert_eq!(params(config(2, NormKind::Instance), 6), 5_535_618);
    assert_eq!(params(config(2, NormKind::Batch), 39), 5_606_786);
    assert_gmacs(&discriminator(&config(2, NormKind::Instance), (39, 512, 1024)), 40.3, 1);

    let convolutions: Vec<_> = discriminator(&config(2, NormKind::Instance), (39, 64, 128))
        .rows
        .into_iter()
        .filter_map(|row| row.kind.starts_with("Conv").then_some((row.output.1, row.output.2)))
        .collect();
    let sizes = [(33, 65), (17, 33), (9, 17), (10, 18), (11, 19), (17, 33), (9, 17), (5, 9), (6, 10), (7, 11)];
    assert_eq!(convolutions, sizes);
}
