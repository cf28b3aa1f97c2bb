//! Adversarial losses.

use candle_core::{Result, Tensor};
use gan_layers::with_backward;
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
    /// Critic difference: −mean score for real, +mean score for fake. Without gradient penalty, as the references ship it.
    Wgangp,
}

impl GanMode {
    /// The loss of a score map of any shape against "real" or "fake".
    pub fn loss(self, score: &Tensor, real: bool) -> Result<Tensor> {
        let plain = score.detach();
        let label = if real { 1.0 } else { 0.0 };
        let (value, grad) = match self {
            GanMode::Lsgan => gan_kernels::squared_error(&plain, label)?,
            GanMode::Vanilla => gan_kernels::bce_with_logits(&plain, label)?,
            GanMode::Wgangp => gan_kernels::mean(&plain, if real { -1.0 } else { 1.0 })?,
        };
        with_backward(score, value, move |dy| gan_kernels::scale(&grad, dy))
    }

    /// The loss summed over scales (not averaged, as pix2pixHD has it); each scale's last stage is its score map.
    pub fn loss_over_scales(self, scales: &[Vec<Tensor>], real: bool) -> Result<Tensor> {
        let mut scores = scales.iter().filter_map(|stages| stages.last());
        let Some(first) = scores.next() else { candle_core::bail!("a discriminator without scales") };
        scores.try_fold(self.loss(first, real)?, |sum, score| sum + self.loss(score, real)?)
    }
}
