//! Rounding errors of whole networks: F32 against F64, outputs and gradients of all weights.
//!
//! `cargo bench -p gan-tests --bench numerics`, beside it PyTorch's side, `benches/numerics.py`. A figure is the root mean
//! square of the error over that of the exact values: the median of fifteen drawings of weights, images and cotangents, and
//! for gradients the mean too, which a few drawings in which a ReLU's input falls to the other side of zero make up.
//! `GAN_KERNELS=precise` shows what leaving out Winograd convolution gains.
#![allow(clippy::unwrap_used, clippy::print_stdout)]
use candle_core::{DType, Device, Result, Tensor};
use gan_layers::{Builder, Ctx, Init, Missing, NormKind, ParamStore, Weights};
use gan_nets::{Arch, Discriminator, Generator, GeneratorConfig, PatchConfig};
use gan_rng::{Key, Purpose};

const DRAWINGS: u64 = 15;

enum Network {
    Generator(Generator),
    Discriminator(Discriminator),
}

fn build(name: &str, b: &Builder<'_>) -> Result<Network> {
    let generator = |arch, norm| GeneratorConfig { arch, norm, dropout: false, ..GeneratorConfig::default() };
    Ok(match name {
        "resnet9" => Network::Generator(generator(Arch::Resnet9Blocks, NormKind::Instance).build(b.pp("net"))?),
        "unet256" => Network::Generator(generator(Arch::Unet256, NormKind::Batch).build(b.pp("net"))?),
        _ => {
            let config = PatchConfig { input_nc: 6, norm: NormKind::Batch, ..PatchConfig::default() };
            Network::Discriminator(config.build(b.pp("net"))?)
        }
    })
}

/// The output, and the gradients of the weights in one vector.
fn run(name: &str, side: usize, seed: u64, dtype: DType) -> Result<(Tensor, Tensor)> {
    let key = Key::new(seed, Purpose::Init);
    let (exact, _) = ParamStore::build(DType::F64, &Device::Cpu, |b| build(name, b))?;
    exact.init(&Init::default(), key)?;
    let (store, network) = ParamStore::build(dtype, &Device::Cpu, |b| build(name, b))?;
    // The same weights on both sides: those of F32.
    let weights = exact.state_dict("net.")?.into_iter().map(|(n, t)| {
        let t = if t.dtype() == DType::F64 { t.to_dtype(DType::F32)?.to_dtype(dtype)? } else { t };
        Ok((n, t))
    });
    store.load("net.", &weights.collect::<Result<Vec<_>>>()?, Missing::Refuse)?;
    let normal = |shape: &[usize], what: u64| -> Result<Tensor> {
        let mut values = vec![0f32; shape.iter().product()];
        key.at(what).fill_normal(0, &mut values);
        Tensor::from_vec(values, shape, &Device::Cpu)?.to_dtype(dtype)
    };
    let ctx = Ctx { weights: Weights::Train, ..Ctx::translate() };
    let y = match &network {
        Network::Generator(g) => g.forward(&normal(&[1, 3, side, side], 1)?, &ctx)?,
        Network::Discriminator(d) => d.forward(&normal(&[1, 6, side, side], 1)?, &ctx)?.remove(0).pop().unwrap(),
    };
    store.zero_grad()?;
    (&y * normal(y.dims(), 2)?)?.sum_all()?.backward()?;
    let grads = store.grad_dict("net.")?.into_iter().map(|(_, g)| g.flatten_all()).collect::<Result<Vec<_>>>()?;
    Ok((y.detach(), Tensor::cat(&grads, 0)?))
}

fn error(have: &Tensor, exact: &Tensor) -> Result<f64> {
    let norm = |t: Tensor| t.sqr()?.sum_all()?.to_scalar::<f64>();
    Ok((norm((have.to_dtype(DType::F64)? - exact)?)? / norm(exact.clone())?).sqrt())
}

fn main() -> Result<()> {
    println!("{:<10} {:>12} {:>12} {:>12}", "network", "output", "gradient", "mean");
    for (name, side) in [("resnet9", 128), ("unet256", 256), ("patch", 128)] {
        let mut errors = [vec![], vec![]];
        for seed in 0..DRAWINGS {
            let (y, dw) = run(name, side, seed, DType::F32)?;
            let (y_exact, dw_exact) = run(name, side, seed, DType::F64)?;
            errors[0].push(error(&y, &y_exact)?);
            errors[1].push(error(&dw, &dw_exact)?);
        }
        let mean = errors[1].iter().sum::<f64>() / DRAWINGS as f64;
        let [output, gradient] = errors.map(|mut e| {
            e.sort_by(f64::total_cmp);
            e[e.len() / 2]
        });
        println!("{name:<10} {output:>12.3e} {gradient:>12.3e} {mean:>12.3e}");
    }
    Ok(())
}
