//! What is drawn at random for a step of CUT.

use super::LossConfig;
use crate::Result;
use crate::method::StepContext;
use candle_core::{Device, Tensor};
use gan_kernels::dropout::MaskKey;
use gan_kernels::patches::positions;
use gan_rng::Purpose;

/// The random choices of a step.
#[derive(Debug, Clone)]
pub struct Draws {
    /// Whether the generator gets mirrored images.
    pub flip: bool,
    /// For each of `nce_layers`, U32 `[P]`: the positions `y · W + x` at which features of domain A are compared.
    pub a: Vec<Tensor>,
    /// The same of domain B; not used without `nce_idt`.
    pub b: Vec<Tensor>,
}

impl Draws {
    /// Those of a step, for feature maps of these sizes `(channels, height, width)`. Positions are drawn under the key of the step's masks of dropout,
    /// which a captured step finds anew at every launch.
    pub(super) fn new(
        loss: &LossConfig,
        cx: &StepContext,
        sizes: [&[(usize, usize, usize)]; 2],
        device: &Device,
    ) -> Result<Self> {
        let key = cx.key(Purpose::Dropout);
        let [a, b] = [("a", sizes[0]), ("b", sizes[1])].map(|(domain, sizes)| {
            let of_layer = |(i, &(_, h, w)): (usize, &(usize, usize, usize))| {
                let key = MaskKey::named(key, &format!("patches.{domain}.{i}"));
                Ok(positions(device, key, h * w, loss.num_patches)?)
            };
            sizes.iter().enumerate().map(of_layer).collect::<Result<Vec<_>>>()
        });
        Ok(Draws { flip: flips(loss, cx), a: a?, b: b? })
    }
}

/// Whether a step mirrors.
pub(super) fn flips(loss: &LossConfig, cx: &StepContext) -> bool {
    loss.flip_equivariance && cx.key(Purpose::Dropout).at_name("flip").stream().bool()
}
