//! Discriminator feature matching (Wang et al., 2018).

use crate::l1;
use candle_core::{Result, Tensor, bail};

/// Σ over scales and all stages but the score map of `1/scales · 4/stages · l1(fake, real)`, where `stages` counts the
/// feature stages; with the default three layers the second factor is 1. The real features are constants.
pub fn feature_matching(fake: &[Vec<Tensor>], real: &[Vec<Tensor>]) -> Result<Tensor> {
    let mut sum: Option<Tensor> = None;
    for (fake_stages, real_stages) in fake.iter().zip(real) {
        let features = fake_stages.len().saturating_sub(1);
        for (f, r) in fake_stages.iter().zip(real_stages).take(features) {
            let term = (l1(f, r)? * (4.0 / features as f64 / fake.len() as f64))?;
            sum = Some(match sum {
                Some(sum) => (sum + term)?,
                None => term,
            });
        }
    }
    match sum {
        Some(sum) => Ok(sum),
        None => bail!("feature matching needs a discriminator with more than one stage"),
    }
}
