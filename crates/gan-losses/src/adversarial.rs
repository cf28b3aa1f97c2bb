//! Adversarial losses.

use candle_core::{Result, Tensor};
use gan_layers::custom_grad;
use serde::{Deserialize, Serialize};

/// The adversarial objective. Labels are 1 for real and 0 for fake, without smoothing; generators ask for "real".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GanMode {
    /// Least squares: mean (score − label)² (Mao et al., 2017).
    #[default]
    Lsgan,
    /// Binary cross-entropy on logits (Goodfellow et al., 2014; non-saturating for the generator).
    Vanilla,
    /// Critic difference: −mean score for real, +mean score for fake (Arjovsky et al., 2017). Its gradient penalty is [`wgan_gp`](crate::wgan_gp).
    Wgangp,
    /// mean max(0, 1 − score) for real, mean max(0, 1 + score) for fake; generators ask for −mean score (Lim & Ye, 2017; SPADE's default).
    Hinge,
    /// mean softplus(−score) for real, mean softplus(score) for fake (StyleGAN2; CUT's option): by value the cross-entropy of `vanilla`.
    Nonsaturating,
}

/// What a score is held against.
#[derive(Debug, Clone, Copy)]
enum Target {
    /// A discriminator's, of a real image.
    Real,
    /// A discriminator's, of a fake.
    Fake,
    /// A generator's: its fake is to be taken for real.
    Generator,
}

impl Target {
    fn of(real: bool) -> Self {
        if real { Target::Real } else { Target::Fake }
    }
}

impl GanMode {
    /// A discriminator's loss of a score map of any shape against "real" or "fake".
    ///
    /// # Errors
    /// `score` has no elements or an unsupported element type.
    pub fn loss(self, score: &Tensor, real: bool) -> Result<Tensor> {
        self.against(score, Target::of(real))
    }

    fn against(self, score: &Tensor, target: Target) -> Result<Tensor> {
        let (value, grad) = self.with_gradient(&score.detach(), target)?;
        custom_grad(score, value, move |dy| gan_kernels::loss::scale(&grad, dy))
    }

    /// The loss and its gradient.
    fn with_gradient(self, score: &Tensor, target: Target) -> Result<(Tensor, Tensor)> {
        let (label, sign) = match target {
            Target::Real | Target::Generator => (1.0, 1.0),
            Target::Fake => (0.0, -1.0),
        };
        match (self, target) {
            (GanMode::Lsgan, _) => gan_kernels::loss::squared_error(score, label),
            (GanMode::Vanilla | GanMode::Nonsaturating, _) => gan_kernels::loss::bce_with_logits(score, label),
            (GanMode::Wgangp, _) | (GanMode::Hinge, Target::Generator) => gan_kernels::loss::mean(score, -sign),
            (GanMode::Hinge, _) => gan_kernels::loss::hinge(score, sign),
        }
    }

    /// A discriminator's loss summed over scales (not averaged, as pix2pixHD has it); each scale's last stage is its score map.
    ///
    /// # Errors
    /// No scale has a score map; those of [`GanMode::loss`].
    pub fn loss_over_scales(self, scales: &[Vec<Tensor>], real: bool) -> Result<Tensor> {
        self.over_scales(scales, Target::of(real))
    }

    /// A generator's loss, summed over the scales of a discriminator that has seen its fake.
    ///
    /// # Errors
    /// As [`GanMode::loss_over_scales`].
    pub fn generator_loss(self, scales: &[Vec<Tensor>]) -> Result<Tensor> {
        self.over_scales(scales, Target::Generator)
    }

    fn over_scales(self, scales: &[Vec<Tensor>], target: Target) -> Result<Tensor> {
        let mut scores = scales.iter().filter_map(|stages| stages.last());
        let Some(first) = scores.next() else { candle_core::bail!("a discriminator without scales") };
        scores.try_fold(self.against(first, target)?, |sum, score| sum + self.against(score, target)?)
    }

    /// Real images and fakes that were judged as one batch, `[2N, …]` of each, the real ones first: the sum of their losses as
    /// [`GanMode::loss_over_scales`] has them.
    ///
    /// # Errors
    /// An odd batch.
    pub fn loss_of_both(self, scales: &[Vec<Tensor>]) -> Result<Tensor> {
        let mut losses = scales.iter().filter_map(|stages| stages.last()).map(|score| self.both(score));
        let Some(first) = losses.next() else { candle_core::bail!("a discriminator without scales") };
        losses.try_fold(first?, |sum, loss| sum + loss?)
    }

    fn both(self, score: &Tensor) -> Result<Tensor> {
        let n = score.dim(0)?;
        if !n.is_multiple_of(2) {
            candle_core::bail!("a batch of {n} is not half real and half fake")
        }
        let part = |from, target| self.with_gradient(&score.detach().narrow(0, from, n / 2)?, target);
        let ((real, on_real), (fake, on_fake)) = (part(0, Target::Real)?, part(n / 2, Target::Fake)?);
        let grad = Tensor::cat(&[on_real, on_fake], 0)?;
        custom_grad(score, (real + fake)?, move |dy| gan_kernels::loss::scale(&grad, dy))
    }
}
