//! pix2pixHD's multi-scale discriminators.

use crate::Discriminator;
use crate::blocks::conv;
use crate::bounds::{self, within};
use candle_core::Result;
use gan_layers::{Act, Builder, NormKind, Sequence, SequenceBuilder};

/// `num_d` PatchGANs on a pyramid of the input; 4x4 convolutions, zero padding 2, widths up to 512.
///
/// * input `[N, input_nc, H, W]` (condition and image)
/// * stages: finest scale first, each scale's list ends with its score map
///
/// Keys `scale{i}_layer{j}`: index `num_d − 1` sees the full resolution, 0 the coarsest. Without `feature_stages` each
/// scale is one flat `Sequential` with keys `layer{i}`, as the reference has it when feature matching is off.
#[derive(Debug, Clone, PartialEq)]
pub struct MultiscaleConfig {
    /// Channels of the input.
    pub input_nc: usize,
    /// Width of the first layer.
    pub ndf: usize,
    /// Number of stride-2 convolutions.
    pub n_layers: usize,
    /// Number of scales.
    pub num_d: usize,
    /// Normalization (every convolution has a bias in any case).
    pub norm: NormKind,
    /// Keys by stage (feature matching) or flat.
    pub feature_stages: bool,
}

impl Default for MultiscaleConfig {
    fn default() -> Self {
        MultiscaleConfig {
            input_nc: 39,
            ndf: 64,
            n_layers: 3,
            num_d: 3,
            norm: NormKind::Instance,
            feature_stages: true,
        }
    }
}

impl MultiscaleConfig {
    /// Writes the discriminators down, coarsest first as in the state dict.
    ///
    /// # Errors
    /// For a number out of its range, and those of the builder's source.
    pub fn build<'a>(&self, at: impl Into<Builder<'a>>) -> Result<Discriminator> {
        within(&[(bounds::NDF, self.ndf), (bounds::N_LAYERS_D, self.n_layers), (bounds::NUM_D, self.num_d)])?;
        let at = at.into();
        let mut scales = (0..self.num_d).map(|i| self.scale(&at, i)).collect::<Result<Vec<_>>>()?;
        scales.reverse();
        Ok(Discriminator { scales })
    }

    fn scale(&self, at: &Builder<'_>, i: usize) -> Result<Vec<Sequence>> {
        let mut index = 0;
        let mut stages = Vec::new();
        let (mut c, mut in_nc) = (self.ndf, self.input_nc);
        for j in 0..=self.n_layers + 1 {
            let mut s = if self.feature_stages {
                SequenceBuilder::new(at.pp(format!("scale{i}_layer{j}")))
            } else {
                SequenceBuilder::starting_at(at.pp(format!("layer{i}")), index)
            };
            let stride = if j < self.n_layers { 2 } else { 1 };
            let out = if j == self.n_layers + 1 { 1 } else { c };
            s = s.conv(conv(in_nc, out, 4, stride, 2, true))?;
            if (1..=self.n_layers).contains(&j) {
                s = s.norm(self.norm, out)?;
            }
            if j <= self.n_layers {
                s = s.act(Act::LeakyRelu);
            }
            index = s.next_index();
            stages.push(s.finish());
            (in_nc, c) = (out, (2 * c).min(512));
        }
        Ok(stages)
    }
}
