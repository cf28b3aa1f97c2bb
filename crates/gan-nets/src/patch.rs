//! The discriminators of pix2pix, CycleGAN and CUT: PatchGAN and pixel.

use crate::Discriminator;
use crate::blocks::conv;
use crate::bounds::{self, within};
use candle_core::Result;
use gan_layers::{Act, Builder, NormKind, SequenceBuilder};

/// N-layer PatchGAN (70x70 receptive field at `n_layers` 3); 4x4 convolutions, zero padding 1.
///
/// * input `[N, input_nc, H, W]`
/// * stages: after every leaky ReLU; the last is the score map of logits `[N, 1, H', W']` (30x30 for 256², 3 layers)
#[derive(Debug, Clone, PartialEq)]
pub struct PatchConfig {
    /// Channels of the input (pix2pix: input and output image together).
    pub input_nc: usize,
    /// Width of the first layer; the widest is `8 · ndf`.
    pub ndf: usize,
    /// Number of halvings.
    pub n_layers: usize,
    /// Normalization; inner convolutions have a bias exactly with instance norm.
    pub norm: NormKind,
    /// Halvings are a convolution with stride 1, an activation and a blur that takes every second sample, in place of a convolution with
    /// stride 2 (CUT).
    pub antialias: bool,
}

impl Default for PatchConfig {
    fn default() -> Self {
        PatchConfig { input_nc: 3, ndf: 64, n_layers: 3, norm: NormKind::Instance, antialias: false }
    }
}

impl PatchConfig {
    /// Writes the network down.
    ///
    /// # Errors
    /// For a number out of its range, and those of the builder's source.
    pub fn build<'a>(&self, at: impl Into<Builder<'a>>) -> Result<Discriminator> {
        within(&[(bounds::NDF, self.ndf), (bounds::N_LAYERS_D, self.n_layers)])?;
        let at = at.into().pp("model");
        let bias = self.norm.is_instance();
        let width = |i: usize| self.ndf * (1 << i.min(3));
        let (mut stages, mut index) = (Vec::new(), 0);
        for i in 0..=self.n_layers {
            let halves = i == 0 || i < self.n_layers;
            let stride = if halves && !self.antialias { 2 } else { 1 };
            let s = SequenceBuilder::starting_at(at.clone(), index);
            let s = if i == 0 {
                s.conv(conv(self.input_nc, self.ndf, 4, stride, 1, true))?
            } else {
                s.conv(conv(width(i - 1), width(i), 4, stride, 1, bias))?.norm(self.norm, width(i))?
            };
            let s = s.act(Act::LeakyRelu);
            let s = if halves && self.antialias { s.blur_pool(width(i))? } else { s };
            index = s.next_index();
            stages.push(s.finish());
        }
        let last = SequenceBuilder::starting_at(at, index).conv(conv(width(self.n_layers), 1, 4, 1, 1, true))?;
        stages.push(last.finish());
        Ok(Discriminator { scales: vec![stages] })
    }
}

/// 1x1 discriminator that classifies every pixel by itself; output size = input size.
#[derive(Debug, Clone, PartialEq)]
pub struct PixelConfig {
    /// Channels of the input.
    pub input_nc: usize,
    /// Width of the first layer.
    pub ndf: usize,
    /// Normalization; all but the first convolution have a bias exactly with instance norm.
    pub norm: NormKind,
}

impl PixelConfig {
    /// Writes the network down.
    ///
    /// # Errors
    /// For a number out of its range, and those of the builder's source.
    pub fn build<'a>(&self, at: impl Into<Builder<'a>>) -> Result<Discriminator> {
        within(&[(bounds::NDF, self.ndf)])?;
        let (ndf, bias) = (self.ndf, self.norm.is_instance());
        let s = SequenceBuilder::new(at.into().pp("net"))
            .conv(conv(self.input_nc, ndf, 1, 1, 0, true))?
            .act(Act::LeakyRelu);
        let s = s.conv(conv(ndf, 2 * ndf, 1, 1, 0, bias))?.norm(self.norm, 2 * ndf)?.act(Act::LeakyRelu);
        Ok(Discriminator { scales: vec![vec![s.conv(conv(2 * ndf, 1, 1, 1, 0, bias))?.finish()]] })
    }
}
