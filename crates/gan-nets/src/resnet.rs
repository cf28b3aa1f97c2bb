//! The ResNet generator of CycleGAN, pix2pix and CUT (after Johnson et al., 2016).

use crate::blocks::{conv, residual_block};
use crate::bounds::{self, within};
use crate::padding::Padding;
use crate::upsample::Upsample;
use candle_core::{Result, bail};
use gan_layers::{Act, Builder, NormKind, PadMode, Sequence, SequenceBuilder};

/// `c7s1-64, d128, d256, R256 × n_blocks, u128, u64, c7s1-3, tanh`.
///
/// * input `[N, input_nc, H, W]` in [-1, 1]
/// * output `[N, output_nc, 4⌈H/4⌉, 4⌈W/4⌉]` in [-1, 1]
///
/// Keys are those of pytorch-CycleGAN-and-pix2pix; with anti-aliasing those of contrastive-unpaired-translation (CUT), whose layers also have
/// the constants `filt`.
#[derive(Debug, Clone, PartialEq)]
pub struct ResnetConfig {
    /// Channels of the input.
    pub input_nc: usize,
    /// Channels of the output.
    pub output_nc: usize,
    /// Width of the first layer.
    pub ngf: usize,
    /// Residual blocks: 9 for 256² and larger images, 6 for 128².
    pub n_blocks: usize,
    /// Normalization; convolutions have a bias exactly with instance norm.
    pub norm: NormKind,
    /// Dropout inside the blocks.
    pub dropout: bool,
    /// Padding inside the blocks (the 7x7 ends always reflect).
    pub padding: Padding,
    /// Padding of the halvings.
    pub down_padding: Padding,
    /// How the second half doubles the size.
    pub upsample: Upsample,
    /// Halvings are a convolution with stride 1 and a blur that takes every second sample, in place of a convolution with stride 2 (CUT).
    pub antialias: bool,
    /// Doublings are a blurred doubling and a convolution, in place of a transposed convolution (CUT).
    pub antialias_up: bool,
}

impl Default for ResnetConfig {
    fn default() -> Self {
        ResnetConfig {
            input_nc: 3,
            output_nc: 3,
            ngf: 64,
            n_blocks: 9,
            norm: NormKind::Instance,
            dropout: false,
            padding: Padding::Reflect,
            down_padding: Padding::Zero,
            upsample: Upsample::Deconv,
            antialias: false,
            antialias_up: false,
        }
    }
}

impl ResnetConfig {
    pub(crate) fn layers(&self, at: Builder<'_>) -> Result<Sequence> {
        within(&[
            (bounds::INPUT_NC, self.input_nc),
            (bounds::OUTPUT_NC, self.output_nc),
            (bounds::NGF, self.ngf),
            (bounds::N_BLOCKS, self.n_blocks),
        ])?;
        let (ngf, norm) = (self.ngf, self.norm);
        let bias = norm.is_instance();
        let mut s = SequenceBuilder::new(at.pp("model"));
        s = s.pad(PadMode::Reflect, 3).conv(conv(self.input_nc, ngf, 7, 1, 0, bias))?.norm(norm, ngf)?.act(Act::Relu);
        for c in [ngf, 2 * ngf] {
            let stride = if self.antialias { 1 } else { 2 };
            let zeros = match self.down_padding.layer() {
                Some(mode) => {
                    s = s.pad(mode, 1);
                    0
                }
                None => 1,
            };
            s = s.conv(conv(c, 2 * c, 3, stride, zeros, bias))?.norm(norm, 2 * c)?.act(Act::Relu);
            if self.antialias {
                s = s.blur_pool(2 * c)?;
            }
        }
        for _ in 0..self.n_blocks {
            s = residual_block(s, 4 * ngf, norm, self.padding, self.dropout, bias)?;
        }
        if self.antialias_up && self.upsample != Upsample::Deconv {
            bail!(
                "antialias_up and upsample are two ways to double the size: leave upsample out, or set antialias_up = false"
            )
        }
        for c in [4 * ngf, 2 * ngf] {
            s = if self.antialias_up {
                s.blur_upsample(c)?.conv(conv(c, c / 2, 3, 1, 1, bias))?
            } else {
                self.upsample.double(s, conv(c, c / 2, 3, 2, 1, bias), 1)?
            };
            s = s.norm(norm, c / 2)?.act(Act::Relu);
        }
        Ok(s.pad(PadMode::Reflect, 3).conv(conv(ngf, self.output_nc, 7, 1, 0, true))?.act(Act::Tanh).finish())
    }
}
