//! Generators and the feature encoder.

use crate::fill::{Row, check, device, filled, plain_input};
use candle_core::Tensor;
use gan_layers::{Ctx, instance_mean};
use gan_nets::{Arch, EncoderConfig, GeneratorConfig, NormKind};

fn generator(name: &str, config: GeneratorConfig, input: [usize; 4], ctx: Ctx, row: Row) {
    let net = filled(|b| config.build(b));
    let y = net.forward(&plain_input(&input), &ctx).unwrap();
    check(name, &y, [input[0], config.output_nc, input[2], input[3]], row);
}

fn resnet(arch: Arch, norm: NormKind) -> GeneratorConfig {
    GeneratorConfig { arch, norm, ngf: 8, ..GeneratorConfig::default() }
}

#[test]
fn resnet_6_blocks() {
    let rows = [
        (NormKind::Instance, [0.064992, 0.148688, 0.085446, 0.025665, -0.154194]),
        (NormKind::Batch, [-0.057575, 0.193360, -0.146105, 0.081833, 0.267584]),
        (NormKind::None, [-0.071582, 0.097148, -0.107376, -0.050831, -0.014515]),
    ];
    for (norm, row) in rows {
        let config = resnet(Arch::Resnet6Blocks, norm);
        generator(&format!("resnet_6 {norm:?}"), config, [2, 3, 32, 48], Ctx::translate(), row);
    }
}

#[test]
fn resnet_9_blocks() {
    let row = [-0.071158, 0.106890, 0.028495, 0.067402, -0.024927];
    let config = resnet(Arch::Resnet9Blocks, NormKind::Instance);
    generator("resnet_9", config, [1, 3, 32, 32], Ctx::translate(), row);
}

#[test]
fn unet_128() {
    let config = |norm| GeneratorConfig { arch: Arch::Unet128, norm, ngf: 8, ..GeneratorConfig::default() };
    let size = [2, 3, 128, 128];
    let row = [-0.031312, 0.176261, -0.052257, 0.270574, -0.194268];
    generator("batch", config(NormKind::Batch), size, Ctx::translate(), row);
    let row = [-0.081965, 0.172568, -0.118033, -0.260284, -0.051910];
    generator("instance", config(NormKind::Instance), size, Ctx::translate(), row);
    let row = [-0.035348, 0.168249, -0.040642, 0.127975, -0.167778];
    generator("eval", config(NormKind::Batch), size, Ctx::eval(), row);
}

#[test]
fn unet_256_for_colorization() {
    let row = [-0.102857, 0.138747, -0.114425, -0.144356, -0.103883];
    let config = GeneratorConfig {
        arch: Arch::Unet256,
        input_nc: 1,
        output_nc: 2,
        ngf: 4,
        norm: NormKind::Batch,
        ..GeneratorConfig::default()
    };
    generator("unet_256", config, [2, 1, 256, 256], Ctx::translate(), row);
}

#[test]
fn global() {
    let config = |norm| GeneratorConfig {
        arch: Arch::Global,
        input_nc: 5,
        ngf: 8,
        n_downsample_global: 2,
        n_blocks_global: 3,
        norm,
        ..GeneratorConfig::default()
    };
    let row = [-0.060540, 0.102073, -0.017564, 0.008366, -0.030730];
    generator("instance", config(NormKind::Instance), [1, 5, 32, 64], Ctx::translate(), row);
    let row = [0.037821, 0.196806, 0.097476, -0.544838, -0.099409];
    generator("batch", config(NormKind::Batch), [2, 5, 32, 64], Ctx::translate(), row);
}

#[test]
fn local() {
    let config = |n_local_enhancers, n_blocks_local| GeneratorConfig {
        arch: Arch::Local,
        input_nc: 5,
        ngf: 4,
        n_downsample_global: 2,
        n_blocks_global: 2,
        n_local_enhancers,
        n_blocks_local,
        ..GeneratorConfig::default()
    };
    let row = [-0.056604, 0.081784, -0.084365, 0.061011, 0.027696];
    generator("one enhancer", config(1, 2), [1, 5, 32, 64], Ctx::translate(), row);
    let row = [0.085532, 0.124827, 0.011767, 0.145661, 0.094990];
    generator("two enhancers", config(2, 1), [1, 5, 64, 64], Ctx::translate(), row);
}

#[test]
fn encoder() {
    let net = filled(|b| EncoderConfig { nef: 4, n_downsample: 2, ..EncoderConfig::default() }.build(b));
    // Three instances: 0, 7 in the upper half, 26001 on the right.
    let ids = (0..32u32).flat_map(|y| {
        (0..32u32).map(move |x| match (x, y) {
            (20.., _) => 26001u32,
            (_, ..16) => 7,
            _ => 0,
        })
    });
    let inst = Tensor::from_iter(ids, &device()).unwrap().reshape((1, 1, 32, 32)).unwrap();
    let features = net.forward(&plain_input(&[1, 3, 32, 32]), &Ctx::translate()).unwrap();
    let row = [0.077947, 0.077947, 0.096947, 0.029735, 0.036480];
    check("encoder", &instance_mean(&features, &inst).unwrap(), [1, 3, 32, 32], row);
}
