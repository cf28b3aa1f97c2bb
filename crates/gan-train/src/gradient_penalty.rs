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
        self.r1_gamma > 0.0 && cx.step.is_multiple_of(self.r1_every.max(1))
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
