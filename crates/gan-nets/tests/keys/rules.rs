//! What the published key tables say, stated a second time by rule.

use crate::recorder::{Keys, keys};
use gan_nets::{Arch, DiscriminatorConfig, EncoderConfig, GeneratorConfig, NetD, NormKind, Padding};

fn of(config: &GeneratorConfig) -> Keys {
    keys(|b| config.build(b))
}

fn convolutions(keys: &Keys) -> Vec<&str> {
    keys.iter().filter(|(_, shape)| shape.len() == 4).map(|(key, _)| key.strip_suffix(".weight").unwrap()).collect()
}

#[test]
fn numbers_of_keys() {
    let generator = |arch, norm| of(&GeneratorConfig { arch, norm, ..GeneratorConfig::default() }).len();
    let norms = [NormKind::Instance, NormKind::Batch, NormKind::None];
    for (arch, counts) in [
        (Arch::Resnet9Blocks, [48, 140, 25]),
        (Arch::Resnet6Blocks, [36, 104, 19]),
        (Arch::Unet128, [28, 70, 15]),
        (Arch::Unet256, [32, 82, 17]),
    ] {
        assert_eq!(norms.map(|norm| generator(arch, norm)), counts, "{arch:?}");
    }
    let hd = |arch, norm, n_downsample_global, n_local_enhancers| {
        let ngf = if arch == Arch::Local { 32 } else { 64 };
        let base = GeneratorConfig { arch, norm, ngf, input_nc: 36, ..GeneratorConfig::default() };
        of(&GeneratorConfig { n_downsample_global, n_local_enhancers, ..base }).len()
    };
    assert_eq!([4, 3].map(|n| hd(Arch::Global, NormKind::Instance, n, 1)), [56, 52]);
    assert_eq!([1, 2].map(|e| hd(Arch::Local, NormKind::Instance, 4, e)), [74, 92]);
    assert_eq!([Arch::Global, Arch::Local].map(|arch| hd(arch, NormKind::Batch, 4, 1)), [191, 254]);
    assert_eq!(keys(|b| EncoderConfig::default().build(b)).len(), 20);
}

#[test]
fn numbers_of_buffer_values() {
    let values = |config: &GeneratorConfig| -> usize {
        let buffer = |key: &str| key.contains("running_") || key.ends_with("num_batches_tracked");
        of(config).iter().filter(|(key, _)| buffer(key)).map(|(_, shape)| shape.iter().product::<usize>()).sum()
    };
    let batch = GeneratorConfig { norm: NormKind::Batch, ..GeneratorConfig::default() };
    for (arch, count) in [
        (Arch::Resnet9Blocks, 10_519),
        (Arch::Resnet6Blocks, 7_441),
        (Arch::Unet128, 7_819),
        (Arch::Unet256, 9_869),
        (Arch::Global, 42_779),
    ] {
        assert_eq!(values(&GeneratorConfig { arch, ..batch.clone() }), count, "{arch:?}");
    }
    assert_eq!(values(&GeneratorConfig { arch: Arch::Local, ngf: 32, ..batch }), 43_812);
}

#[test]
fn residual_blocks_shift_with_padding_and_dropout() {
    for (padding, dropout, convs, norms) in [
        (Padding::Reflect, false, [1, 5], [2, 6]),
        (Padding::Replicate, false, [1, 5], [2, 6]),
        (Padding::Reflect, true, [1, 6], [2, 7]),
        (Padding::Replicate, true, [1, 6], [2, 7]),
        (Padding::Zero, false, [0, 3], [1, 4]),
        (Padding::Zero, true, [0, 4], [1, 5]),
    ] {
        let config = GeneratorConfig { norm: NormKind::Batch, padding, dropout, ..GeneratorConfig::default() };
        let keys = of(&config);
        for block in 10..19 {
            let with = |suffix: &str| -> Vec<usize> {
                let prefix = format!("model.{block}.conv_block.");
                let rest = keys.iter().filter_map(|(key, _)| key.strip_prefix(&prefix)?.strip_suffix(suffix));
                rest.map(|index| index.parse().unwrap()).collect()
            };
            assert_eq!(with(".running_mean"), norms, "{padding:?} {dropout}");
            let mut both: Vec<_> = convs.iter().chain(&norms).copied().collect();
            both.sort_unstable();
            assert_eq!(with(".weight"), both, "{padding:?} {dropout}");
        }
    }
}

#[test]
fn unet_levels_nest() {
    for (arch, downs) in [(Arch::Unet128, 7), (Arch::Unet256, 8)] {
        let keys = of(&GeneratorConfig { arch, norm: NormKind::Batch, ..GeneratorConfig::default() });
        let path = |level: usize| match level {
            0 => "model.model".to_string(),
            level => format!("model.model.1.model{}", ".3.model".repeat(level - 1)),
        };
        let mut want: Vec<String> = (0..downs).map(|l| format!("{}.{}", path(l), usize::from(l > 0))).collect();
        want.extend((0..downs).rev().map(|l| {
            let up = if l > 0 && l + 1 < downs { 5 } else { 3 };
            format!("{}.{up}", path(l))
        }));
        assert_eq!(convolutions(&keys), want);
    }
}

#[test]
fn pix2pixhd_indices() {
    for (n, b) in [(4, 9), (3, 9), (2, 1)] {
        let keys = of(&GeneratorConfig {
            arch: Arch::Global,
            n_downsample_global: n,
            n_blocks_global: b,
            ..GeneratorConfig::default()
        });
        let mut want: Vec<String> = (0..=n).map(|i| format!("model.{}", 1 + 3 * i)).collect();
        let blocks = (4 + 3 * n..4 + 3 * n + b).flat_map(|i| [1, 5].map(|j| format!("model.{i}.conv_block.{j}")));
        want.extend(blocks);
        want.extend((0..n).map(|i| format!("model.{}", 4 + 3 * n + b + 3 * i)));
        want.push(format!("model.{}", 4 + 6 * n + b + 1));
        assert_eq!(convolutions(&keys), want);
        let biases = keys.iter().filter(|(key, _)| key.ends_with(".bias")).count();
        assert_eq!(biases, want.len(), "every convolution has a bias");
    }
}

#[test]
fn patch_indices() {
    for n in 1..=6 {
        let config =
            DiscriminatorConfig { arch: NetD::NLayers, n_layers_d: n, norm: NormKind::Batch, ..Default::default() };
        let keys = keys(|b| config.build(3, b));
        let mut want = vec![0];
        want.extend((1..=n).map(|i| 2 + 3 * (i - 1)));
        want.push(2 + 3 * n);
        let want: Vec<_> = want.into_iter().map(|i| format!("model.{i}")).collect();
        assert_eq!(convolutions(&keys), want);
        let biased = |index: &str| keys.iter().any(|(key, _)| *key == format!("{index}.bias"));
        let convs: Vec<_> = want.iter().map(|index| biased(index)).collect();
        assert!(convs[0] && convs[n + 1] && convs[1..=n].iter().all(|b| !b));
    }
}
