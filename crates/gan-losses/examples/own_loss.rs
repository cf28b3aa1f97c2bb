//! A training loop by hand: a generator, a discriminator and a loss of one's own.
//!
//! The generator learns to brighten noise by an adversarial loss and the Charbonnier loss
//! (Charbonnier et al., 1994), which this crate does not have.

use candle_core::{DType, Device, Result, Tensor};
use gan_layers::{
    Act, Builder, ConvSpec, Ctx, Init, NormKind, Optimizer, ParamStore, Sequence, SequenceBuilder, UpdateError,
};
use gan_losses::GanMode;
use gan_rng::{Key, Purpose};

/// Mean of √((x − y)² + ε²) of two tensors of one shape: as L1, but smooth at 0.
fn charbonnier(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    ((x - y)?.sqr()? + 1e-6)?.sqrt()?.mean_all()
}

/// `[N, 3, H, W]` → `[N, 3, H, W]` in [-1, 1].
fn generator(at: Builder<'_>) -> Result<Sequence> {
    let conv = |in_nc, out_nc| ConvSpec { in_nc, out_nc, kernel: 3, stride: 1, padding: 1, bias: true };
    let hidden = SequenceBuilder::new(at).conv(conv(3, 16))?.norm(NormKind::Instance, 16)?.act(Act::Relu);
    Ok(hidden.conv(conv(16, 3))?.act(Act::Tanh).finish())
}

/// `[N, 3, H, W]` → logits `[N, 1, H/4, W/4]`.
fn discriminator(at: Builder<'_>) -> Result<Sequence> {
    let conv = |in_nc, out_nc| ConvSpec { in_nc, out_nc, kernel: 4, stride: 2, padding: 1, bias: true };
    Ok(SequenceBuilder::new(at).conv(conv(3, 16))?.act(Act::LeakyRelu).conv(conv(16, 1))?.finish())
}

/// Noise `[2, 3, 16, 16]` in [-1, 1) and the same brightened: another pair for each step.
fn pair(step: u64) -> Result<(Tensor, Tensor)> {
    let mut words = Key::new(1, Purpose::Synth).at(step).stream();
    let noise: Vec<f32> = (0..2 * 3 * 16 * 16).map(|_| words.below(2000) as f32 / 1000.0 - 1.0).collect();
    let noise = Tensor::from_vec(noise, (2, 3, 16, 16), &Device::Cpu)?;
    let bright = ((&noise * 0.5)? + 0.4)?;
    Ok((noise, bright))
}

/// Trains for so many steps; the Charbonnier loss of each.
pub(crate) fn train(steps: u64) -> std::result::Result<Vec<f32>, UpdateError> {
    let (device, lr, beta1) = (Device::Cpu, 2e-3, 0.5);
    let (g_store, g) = ParamStore::build(DType::F32, &device, |b| generator(b.pp("g")))?;
    let (d_store, d) = ParamStore::build(DType::F32, &device, |b| discriminator(b.pp("d")))?;
    for store in [&g_store, &d_store] {
        store.init(&Init::default(), Key::new(0, Purpose::Init))?;
    }
    let (mut opt_g, mut opt_d) = (Optimizer::new(g_store, beta1)?, Optimizer::new(d_store, beta1)?);
    let gan = GanMode::Lsgan;
    let mut losses = Vec::new();
    for step in 0..steps {
        let (input, target) = pair(step)?;
        let key = Key::new(0, Purpose::Dropout).at(step);
        let fake = g.forward(&input, &Ctx::train(key))?;

        opt_d.zero_grad()?;
        // Gradients are added to the stores, so that losses may be backpropagated one by one.
        gan.loss(&d.forward(&fake.detach(), &Ctx::train(key))?, false)?.backward()?;
        gan.loss(&d.forward(&target, &Ctx::train(key))?, true)?.backward()?;
        opt_d.update(lr)?;

        opt_g.zero_grad()?;
        let reconstruction = charbonnier(&fake, &target)?;
        let adversarial = gan.loss(&d.forward(&fake, &Ctx::frozen(key))?, true)?;
        (adversarial + (&reconstruction * 10.0)?)?.backward()?;
        opt_g.update(lr)?;
        losses.push(reconstruction.to_scalar()?);
    }
    Ok(losses)
}

#[allow(clippy::print_stdout, dead_code, reason = "it is an example, which tests run as a module")]
fn main() -> std::result::Result<(), UpdateError> {
    for (step, loss) in train(200)?.iter().enumerate().filter(|(step, _)| step % 20 == 0) {
        println!("step {step}: Charbonnier loss {loss:.4}");
    }
    Ok(())
}
