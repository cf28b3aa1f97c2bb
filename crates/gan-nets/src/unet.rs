//! The U-Net generator of pix2pix.

use crate::blocks::conv;
use crate::bounds::{self, within};
use crate::upsample::Upsample;
use candle_core::Result;
use gan_layers::{Act, Builder, NormKind, Sequence, SequenceBuilder};

/// U-Net: `num_downs` halvings by 4x4 convolutions and as many doublings, each joined to the features of its size.
///
/// * input `[N, input_nc, H, W]` in [-1, 1], both sides divisible by `2^num_downs`
/// * output `[N, output_nc, H, W]` in [-1, 1]
///
/// `unet_128` has 7 halvings, `unet_256` 8. Keys are those of pytorch-CycleGAN-and-pix2pix. The reference's skip carries
/// LeakyReLU(x) where ours carries x; a ReLU follows in both cases, so results and gradients are equal.
#[derive(Debug, Clone, PartialEq)]
pub struct UnetConfig {
    /// Channels of the input.
    pub input_nc: usize,
    /// Channels of the output.
    pub output_nc: usize,
    /// Width of the first layer; the widest is `8 · ngf`.
    pub ngf: usize,
    /// Number of halvings, from 5 to 16.
    pub num_downs: usize,
    /// Normalization; convolutions have a bias exactly with instance norm.
    pub norm: NormKind,
    /// Dropout in the `num_downs − 5` blocks of width `8 · ngf`.
    pub dropout: bool,
    /// How the second half doubles the size.
    pub upsample: Upsample,
}

impl Default for UnetConfig {
    fn default() -> Self {
        UnetConfig {
            input_nc: 3,
            output_nc: 3,
            ngf: 64,
            num_downs: 8,
            norm: NormKind::Batch,
            dropout: true,
            upsample: Upsample::Deconv,
        }
    }
}

impl UnetConfig {
    pub(crate) fn layers(&self, at: Builder<'_>) -> Result<Sequence> {
        within(&[
            (bounds::INPUT_NC, self.input_nc),
            (bounds::OUTPUT_NC, self.output_nc),
            (bounds::NGF, self.ngf),
            (bounds::NUM_DOWNS, self.num_downs),
        ])?;
        let (ngf, bias) = (self.ngf, self.norm.is_instance());
        let s = SequenceBuilder::new(at.pp("model.model"));
        let s = s.conv(conv(self.input_nc, ngf, 4, 2, 1, bias))?.skip("model", |s| self.level(s, 1))?;
        let s = self.upsample.double(s.act(Act::Relu), conv(2 * ngf, self.output_nc, 4, 2, 1, true), 0)?;
        Ok(s.act(Act::Tanh).finish())
    }

    /// The block at a depth, 1 below the outermost.
    fn level<'a>(&self, s: SequenceBuilder<'a>, depth: usize) -> Result<SequenceBuilder<'a>> {
        let width = |depth: usize| self.ngf * (1 << depth.min(3));
        let (outer, inner) = (width(depth - 1), width(depth));
        let bias = self.norm.is_instance();
        let s = s.act(Act::LeakyRelu).conv(conv(outer, inner, 4, 2, 1, bias))?;
        if depth == self.num_downs - 1 {
            // Innermost: no norm behind the down convolution, it would see a single pixel.
            let s = self.upsample.double(s.act(Act::Relu), conv(inner, outer, 4, 2, 1, bias), 0)?;
            return s.norm(self.norm, outer);
        }
        let s = s.norm(self.norm, inner)?.skip("model", |s| self.level(s, depth + 1))?;
        let s = self.upsample.double(s.act(Act::Relu), conv(2 * inner, outer, 4, 2, 1, bias), 0)?;
        let s = s.norm(self.norm, outer)?;
        let widest_middle = depth >= 4;
        Ok(if self.dropout && widest_middle { s.dropout(0.5) } else { s })
    }
}
