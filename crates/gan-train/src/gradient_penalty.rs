//! Gradient penalties on discriminators: WGAN-GP and R1.

use crate::backprop::backward;
use crate::method::{Losses, StepContext};
use crate::{Error, Result};
use candle_core::{DType, Tensor, Var};
use gan_kernels::dropout::MaskKey;
use gan_kernels::patches::positions;
use gan_layers::{Ctx, NormMode, Precision, Weights};
use gan_losses::{r1, wgan_gp};
use gan_nets::Discriminator;
use gan_rng::Purpose;

/// The penalties of a discriminator's step. Each adds its second derivatives to the discriminator's gradients, not halved as its loss of
/// real images and fakes is.
///
/// Both look at the whole input of the discriminator, a condition included. Their passes move no running statistics, and compute in F32
/// whatever the precision of training.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GradientPenalty {
    /// Weight of [`wgan_gp`] between real images and fakes; 0 for none.
    pub lambda_gp: f64,
    /// Weight of [`r1`] on real images; 0 for none.
    pub r1_gamma: f64,
    /// Steps from one R1 penalty to the next, which counts as many times ("lazy regularization", Karras et al., 2020).
    pub r1_every: u64,
}

impl GradientPenalty {
    /// Adds the gradients of the penalties that are on, for what the discriminator was shown, `[N, C, H, W]` each. Returns their values, weights included,
    /// under the names for WGAN-GP and R1; in a step without R1 its value is 0, so that means over steps are those of the penalty.
    ///
    /// # Errors
    /// [`Error::Config`] if WGAN-GP is on and real images and fakes differ in shape, [`Error::Tensor`] if the device fails.
    pub fn backward(
        &self,
        discriminator: &Discriminator,
        [real, fake]: [&Tensor; 2],
        names: [&'static str; 2],
        ctx: &Ctx,
        cx: &StepContext,
    ) -> Result<Losses> {
        let ctx = Ctx { norm: NormMode::Batch { update: false }, precision: Precision::F32, ..*ctx };
        let mut losses = Losses::new();
        if self.lambda_gp > 0.0 {
            let key = MaskKey::named(cx.key(Purpose::Dropout), names[0]);
            let x = interpolates(real, fake, key)?;
            losses.push((names[0], penalize(discriminator, &x, &ctx, wgan_gp, self.lambda_gp)?));
        }
        if self.r1_gamma > 0.0 {
            let weight = self.r1_gamma * self.r1_every as f64;
            let value = match self.has_r1(cx) {
                true => penalize(discriminator, real, &ctx, r1, weight)?,
                false => Tensor::zeros((), real.dtype(), real.device())?,
            };
            losses.push((names[1], value));
        }
        Ok(losses)
    }

    /// A method's [`graph_key`](crate::Method::graph_key) with what the penalties add: steps with R1 do more than others.
    pub fn graph_key(&self, key: u64, cx: &StepContext) -> u64 {
        key << 1 | u64::from(self.has_r1(cx))
    }

    fn has_r1(&self, cx: &StepContext) -> bool {
        self.r1_gamma > 0.0 && cx.update.is_multiple_of(self.r1_every.max(1))
    }
}

/// Numbers that an interpolation's share is drawn from.
const SHARES: usize = 1 << 16;

/// `a · real + (1 − a) · fake` with one `a` an image, drawn as positions are: a captured step finds new ones at every launch.
fn interpolates(real: &Tensor, fake: &Tensor, key: MaskKey) -> Result<Tensor> {
    if real.dims() != fake.dims() {
        return Err(Error::Config {
            origin: "setting `loss.lambda_gp`".into(),
            message: format!(
                "WGAN-GP lies between real images and fakes of one size, and got {:?} and {:?}: use loss.r1_gamma, or one size of images (data.preprocess, data.crop_size)",
                real.dims(),
                fake.dims()
            ),
        });
    }
    let n = real.dim(0)?;
    let drawn = positions(real.device(), key, SHARES, n)?.to_dtype(DType::F32)?;
    let share = ((drawn + 0.5)? * (1.0 / SHARES as f64))?.to_dtype(real.dtype())?.reshape((n, 1, 1, 1))?;
    let (real, fake) = (real.detach(), fake.detach());
    Ok((&fake + (real - &fake)?.broadcast_mul(&share)?)?)
}

/// Adds the gradient of a penalty at `x`, and returns its value. The penalty p of g = ∂(sum of all scores)/∂x has the gradient
/// ∂p/∂g · ∂g/∂weights: that of the scores' derivative along ∂p/∂g.
fn penalize(
    discriminator: &Discriminator,
    x: &Tensor,
    ctx: &Ctx,
    penalty: fn(&Tensor) -> candle_core::Result<(Tensor, Tensor)>,
    weight: f64,
) -> Result<Tensor> {
    let x = Var::from_tensor(&x.detach())?;
    let frozen = Ctx { weights: Weights::Frozen, ..*ctx };
    let scores: Vec<Tensor> = discriminator.scores(&x, &frozen)?.concat();
    let Some(gradient) = sum(&scores)?.backward()?.remove(&x) else {
        return Err(candle_core::Error::Msg("a discriminator whose scores do not depend on its input".into()).into());
    };
    let (value, direction) = penalty(&gradient)?;
    backward(&sum(&discriminator.scores_jvp(&x.detach(), &(direction * weight)?, ctx)?)?)?;
    Ok((value * weight)?.to_dtype(x.dtype())?)
}

/// Of all values of all scales.
fn sum(scales: &[Tensor]) -> candle_core::Result<Tensor> {
    Tensor::stack(&scales.iter().map(Tensor::sum_all).collect::<candle_core::Result<Vec<_>>>()?, 0)?.sum_all()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use candle_core::Device;
    use gan_layers::{Init, Missing, NormKind, ParamStore};
    use gan_nets::PatchConfig;
    use gan_rng::Key;

    fn cx(step: u64) -> StepContext {
        StepContext { epoch: 1, step, update: step, lr: 2e-4, seed: 3 }
    }

    fn noise(seed: u64, shape: (usize, usize, usize, usize), dtype: DType) -> Tensor {
        let mut values = vec![0f32; shape.0 * shape.1 * shape.2 * shape.3];
        Key::new(seed, Purpose::Test).fill_normal(0, &mut values);
        Tensor::from_vec(values, shape, &Device::Cpu).unwrap().to_dtype(dtype).unwrap()
    }

    /// The gradients of both penalties for the discriminator of pix2pix at full width, with the same weights in every type.
    fn gradients(norm: NormKind, dtype: DType) -> Tensor {
        let config = PatchConfig { input_nc: 6, norm, ..PatchConfig::default() };
        let build = |dtype| ParamStore::build(dtype, &Device::Cpu, |b| config.build(b.pp("d"))).unwrap();
        let (drawn, _) = build(DType::F32);
        drawn.init(&Init::default(), Key::new(1, Purpose::Init)).unwrap();
        let (store, d) = build(dtype);
        let weights = drawn.state_dict("d.").unwrap().into_iter();
        let weights = weights.map(|(n, t)| (n, if t.dtype() == DType::F32 { t.to_dtype(dtype).unwrap() } else { t }));
        store.load("d.", &weights.collect::<Vec<_>>(), Missing::Refuse).unwrap();
        store.zero_grad().unwrap();
        let penalty = GradientPenalty { lambda_gp: 10.0, r1_gamma: 10.0, r1_every: 1 };
        let [real, fake] = [1, 2].map(|seed| noise(seed, (1, 6, 64, 64), dtype));
        let train = Ctx::train(Key::new(0, Purpose::Dropout));
        penalty.backward(&d, [&real, &fake], ["gp", "r1"], &train, &cx(0)).unwrap();
        let all: Vec<_> = store.grad_dict("").unwrap().iter().map(|(_, g)| g.flatten_all().unwrap()).collect();
        Tensor::cat(&all, 0).unwrap().to_dtype(DType::F64).unwrap()
    }

    #[test]
    fn f32_is_close_to_f64_at_full_width() {
        let length = |t: Tensor| t.sqr().unwrap().sum_all().unwrap().to_scalar::<f64>().unwrap().sqrt();
        for norm in [NormKind::None, NormKind::Instance, NormKind::Batch] {
            let [have, want] = [DType::F32, DType::F64].map(|dtype| gradients(norm, dtype));
            let error = length((have - &want).unwrap()) / length(want);
            assert!(error < 1e-4, "{norm:?}: {error:.2e}");
        }
    }

    #[test]
    fn steps_with_r1_have_graphs_of_their_own() {
        let penalty = GradientPenalty { lambda_gp: 0.0, r1_gamma: 1.0, r1_every: 4 };
        let keys = |penalty: GradientPenalty| (0..6).map(|step| penalty.graph_key(3, &cx(step))).collect::<Vec<_>>();
        assert_eq!(keys(penalty), [7, 6, 6, 6, 7, 6]);
        assert_eq!(keys(GradientPenalty { r1_gamma: 0.0, ..penalty }), [6; 6]);
    }

    /// Each image has a share of its own, another one in every step and for every discriminator.
    #[test]
    fn interpolates_lie_between_by_keyed_shares() {
        let shape = (3, 2, 4, 4);
        let (real, fake) = (Tensor::ones(shape, DType::F64, &Device::Cpu).unwrap(), noise(1, shape, DType::F64));
        let shares = |name: &str, step| {
            let x = interpolates(&real, &fake, MaskKey::named(cx(step).key(Purpose::Dropout), name)).unwrap();
            let shares = ((x - &fake).unwrap() / (&real - &fake).unwrap()).unwrap().flatten_from(1).unwrap();
            shares.to_vec2::<f64>().unwrap()
        };
        let mut first = Vec::new();
        for (name, step) in [("a", 0), ("a", 1), ("b", 0)] {
            for image in shares(name, step) {
                assert!(image.iter().all(|share| (share - image[0]).abs() < 1e-9 && (0.0..1.0).contains(share)));
                first.push((image[0] * 1e9) as u64);
            }
        }
        assert_eq!(shares("a", 0), shares("a", 0));
        first.sort_unstable();
        first.dedup();
        assert_eq!(first.len(), 9);
    }

    #[test]
    fn images_of_two_sizes_are_an_error_with_a_way_out() {
        let (real, fake) = (noise(1, (1, 3, 16, 16), DType::F32), noise(2, (1, 3, 16, 20), DType::F32));
        let error = interpolates(&real, &fake, Key::new(0, Purpose::Test).into()).unwrap_err().to_string();
        assert!(error.contains("lambda_gp") && error.contains("r1_gamma"), "{error}");
    }
}
