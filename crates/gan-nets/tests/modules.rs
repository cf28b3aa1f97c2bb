//! Every config builds the same kind of network, and networks are candle modules.
#![allow(clippy::unwrap_used)]

use candle_core::{DType, Device, Tensor};
use candle_nn::Module;
use gan_layers::{Builder, Ctx, Init, ParamStore};
use gan_nets::{
    Arch, EncoderConfig, GeneratorConfig, GlobalConfig, LocalConfig, MultiscaleConfig, PatchConfig, PixelConfig,
    ResnetConfig, UnetConfig,
};
use gan_rng::{Key, Purpose};

#[test]
fn a_config_of_one_architecture_builds_a_generator() {
    let at = Builder::shapes_only;
    let resnet = ResnetConfig { ngf: 2, n_blocks: 3, dropout: true, ..ResnetConfig::default() };
    let unet = UnetConfig { ngf: 3, num_downs: 6, ..UnetConfig::default() };
    let global = GlobalConfig { ngf: 4, n_downsample: 2, n_blocks: 1, ..GlobalConfig::default() };
    let local = LocalConfig { ngf: 5, n_local: 2, n_blocks_local: 1, ..LocalConfig::default() };
    let built = [resnet.build(at()), unet.build(at()), global.build(at()), local.build(at())].map(Result::unwrap);
    let archs = [Arch::Resnet, Arch::Unet, Arch::Global, Arch::Local];
    for ((generator, arch), ngf) in built.iter().zip(archs).zip(2..) {
        let config = generator.config();
        assert_eq!((config.arch, config.ngf), (arch, ngf));
        let params = |size| generator.summary(size).unwrap().params();
        assert_eq!(params((128, 128)), config.build(at()).unwrap().summary((128, 128)).unwrap().params());
    }
    let [resnet, unet, global, local] = built.map(|generator| generator.config().clone());
    assert_eq!((resnet.n_blocks, resnet.dropout, resnet.input_nc), (3, true, 3));
    assert_eq!((unet.num_downs, unet.dropout), (6, true));
    assert_eq!((global.n_downsample_global, global.n_blocks_global, global.input_nc), (2, 1, 36));
    assert_eq!((local.n_local_enhancers, local.n_blocks_local, local.n_downsample_global), (2, 1, 4));
    assert_eq!(
        resnet,
        GeneratorConfig { arch: Arch::Resnet, ngf: 2, n_blocks: 3, dropout: true, ..Default::default() }
    );
}

/// The output as a candle module.
fn output(network: &impl Module, x: &Tensor) -> Vec<f32> {
    values(&network.forward(x).unwrap())
}

fn values(t: &Tensor) -> Vec<f32> {
    t.flatten_all().unwrap().to_vec1().unwrap()
}

#[test]
fn networks_are_candle_modules() {
    let built = ParamStore::build(DType::F32, &Device::Cpu, |b| {
        let patch = PatchConfig { ndf: 2, n_layers: 1, ..PatchConfig::default() }.build(b.pp("patch"))?;
        let pixel = PixelConfig { input_nc: 3, ndf: 2, norm: gan_nets::NormKind::Batch }.build(b.pp("pixel"))?;
        let config = MultiscaleConfig { input_nc: 3, ndf: 2, n_layers: 1, num_d: 2, ..MultiscaleConfig::default() };
        let encoder = EncoderConfig { nef: 2, n_downsample: 1, ..EncoderConfig::default() }.build(b.pp("encoder"))?;
        Ok(([patch, pixel, config.build(b.pp("multiscale"))?], encoder))
    });
    let (store, (discriminators, encoder)) = built.unwrap();
    let key = Key::new(1, Purpose::Test);
    store.init(&Init::default(), key).unwrap();
    let mut numbers = vec![0.0; 3 * 16 * 16];
    key.at(1).fill_normal(0, &mut numbers);
    let x = Tensor::from_vec(numbers, (1, 3, 16, 16), &Device::Cpu).unwrap();
    for network in &discriminators {
        let scores = network.scores(&x, &Ctx::translate()).unwrap();
        assert_eq!(output(network, &x), values(&scores[0][0]));
    }
    assert_eq!(output(&encoder, &x), values(&encoder.forward(&x, &Ctx::translate()).unwrap()));
}
