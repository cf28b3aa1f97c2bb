//! Discriminator feature matching (Wang et al., 2018).

use crate::reconstruction::weighted_l1;
use candle_core::{Result, Tensor, bail};

/// Σ over scales and all stages but the score map of `1/scales · 4/stages · l1(fake, real)`, where `stages` counts the
/// feature stages; with the default three layers the second factor is 1. The real features are constants.
///
/// # Errors
/// No scale has a stage beside its score map, or a fake and a real stage differ in shape or element type.
pub fn feature_matching(fake: &[Vec<Tensor>], real: &[Vec<Tensor>]) -> Result<Tensor> {
    let mut terms = Vec::new();
    for (fake_stages, real_stages) in fake.iter().zip(real) {
        let features = fake_stages.len().saturating_sub(1);
        let weight = 4.0 / features as f64 / fake.len() as f64;
        terms.extend(fake_stages.iter().zip(real_stages).take(features).map(|(f, r)| (f, r, weight)));
    }
    if terms.is_empty() {
        bail!("feature matching needs a discriminator with more than one stage")
    }
    weighted_l1(&terms)
}
