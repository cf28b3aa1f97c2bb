//! How much memory training takes, from the shapes of its networks.

use crate::method_config::{MethodConfig, demands};
use crate::{DeviceConfig, Result};
use gan_layers::Precision;

/// Bytes that training takes at its peak, about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Estimate {
    /// With activations that are kept.
    pub kept: u64,
    /// With those of residual blocks computed again.
    pub recomputed: u64,
}

/// Memory of the program, its threads, images and working memory.
pub(super) const PROGRAM: u64 = 100 << 20;

/// Walks the networks of a configuration at the size that it gives. A step holds parameters with two moments, a gradient and
/// perhaps an average, and the activations of all passes that are alive at one time ([`MethodConfig::passes`]). `None` where the
/// images decide the size.
///
/// # Errors
/// Networks that cannot be built, or that do not take this size.
pub fn estimate(config: &dyn MethodConfig, device_config: &DeviceConfig) -> Result<Option<Estimate>> {
    let (data, train) = (config.data(), config.train());
    let Some((_, side)) = data.side() else { return Ok(None) };
    let of_activation = match train.precision {
        Precision::F32 => device_config.dtype.size_in_bytes(),
        Precision::Bf16 => 2,
    };
    let batch = (data.batch_size * of_activation) as u64;
    let (mut params, mut kept, mut recomputed, mut largest) = (0, 0, 0, 0);
    for (summary, passes) in demands(config)?.summaries((side, side))?.iter().zip(config.passes()) {
        params += (summary.params() * passes.networks * device_config.dtype.size_in_bytes()) as u64;
        let alive = |checkpointing| batch * summary.activations(checkpointing) * passes.alive as u64;
        (kept, recomputed) = (kept + alive(false), recomputed + alive(true));
        largest = largest.max(batch * summary.largest());
    }
    let state = params * (4 + u64::from(train.ema > 0.0));
    // A backward pass holds two gradients of the largest output beside the activations.
    let peak = |activations| PROGRAM + state + activations + 2 * largest;
    Ok(Some(Estimate { kept: peak(kept), recomputed: peak(recomputed) }))
}
