//! The U-Net generator of pix2pix.

use crate::blocks::conv;
use crate::bounds::{self, within};
use crate::padding::Padding;
use crate::unet_layout::UnetLayout;
use crate::upsample::Upsample;
use candle_core::{Result, bail};
use gan_layers::{Act, Builder, NormKind, Sequence, SequenceBuilder};

/// U-Net: `num_downs` halvings by 4x4 convolutions and as many doublings, each joined to the features of its size.
///
/// * input `[N, input_nc, H, W]` in [-1, 1], both sides divisible by `2^num_downs`
/// * output `[N, output_nc, H, W]` in [-1, 1]
///
/// `unet_128` has 7 halvings, `unet_256` 8. Keys are those of pytorch-CycleGAN-and-pix2pix. The reference's skip carries
/// LeakyReLU(x) where ours carries x; a ReLU follows in both cases, so results and gradients are equal. Other [layouts](UnetLayout) are
/// those of reimplementations.
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
    /// What stands around the convolutions.
    pub layout: UnetLayout,
    /// Padding of the halvings but the innermost, which sees two pixels and pads zeros.
    pub down_padding: Padding,
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
            layout: UnetLayout::Reference,
            down_padding: Padding::Zero,
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
        if self.layout.resizes_last() && self.upsample != Upsample::Deconv {
            bail!("unet_layout = {} says how the last stage doubles the size: leave upsample out", self.layout.name())
        }
        let s = SequenceBuilder::new(at.pp("model.model"));
        let s = self.down(s, self.input_nc, self.ngf, self.end_bias(), self.down_padding)?;
        let s = self.behind(s, Act::LeakyRelu).skip("model", |s| self.level(s, 1))?;
        let s = self.before(s, Act::Relu);
        let s = if self.layout.resizes_last() {
            s.conv_transpose(conv(2 * self.ngf, self.output_nc, 6, 2, 2, true), 0)?
        } else {
            self.upsample.double(s, conv(2 * self.ngf, self.output_nc, 4, 2, 1, true), 0)?
        };
        Ok(s.act(Act::Tanh).finish())
    }

    /// The block at a depth, 1 below the outermost.
    fn level<'a>(&self, s: SequenceBuilder<'a>, depth: usize) -> Result<SequenceBuilder<'a>> {
        let width = |depth: usize| self.ngf * (1 << depth.min(3));
        let (outer, inner) = (width(depth - 1), width(depth));
        let bias = self.norm.is_instance();
        let s = self.before(s, Act::LeakyRelu);
        let innermost = depth == self.num_downs - 1;
        let s = if innermost {
            // No norm behind the innermost halving, it would see a single pixel.
            let s = self.down(s, outer, inner, self.end_bias(), Padding::Zero)?;
            // An empty place, so that the keys tell this layout.
            let s = if self.layout == UnetLayout::PostActivationRelu { s.norm(NormKind::None, inner)? } else { s };
            let s = self.before(self.behind(s, self.layout.innermost()), Act::Relu);
            self.upsample.double(s, conv(inner, outer, 4, 2, 1, bias), 0)?
        } else {
            let s = self.down(s, outer, inner, bias, self.down_padding)?.norm(self.norm, inner)?;
            let s = self.behind(s, Act::LeakyRelu).skip("model", |s| self.level(s, depth + 1))?;
            self.upsample.double(self.before(s, Act::Relu), conv(2 * inner, outer, 4, 2, 1, bias), 0)?
        };
        let s = self.behind(s.norm(self.norm, outer)?, Act::Relu);
        let drops = self.dropout && depth >= 4 && !innermost;
        Ok(if drops { s.dropout(0.5) } else { s })
    }

    /// A convolution that halves the size.
    fn down<'a>(
        &self,
        s: SequenceBuilder<'a>,
        from: usize,
        to: usize,
        bias: bool,
        padding: Padding,
    ) -> Result<SequenceBuilder<'a>> {
        let (s, zeros) = match padding.layer() {
            Some(mode) => (s.pad(mode, 1), 0),
            None => (s, 1),
        };
        s.conv(conv(from, to, 4, 2, zeros, bias))
    }

    /// Whether convolutions with no norm behind them have a bias.
    fn end_bias(&self) -> bool {
        self.norm.is_instance() || self.layout != UnetLayout::Reference
    }

    /// An activation that this layout has in front of a convolution.
    fn before<'a>(&self, s: SequenceBuilder<'a>, act: Act) -> SequenceBuilder<'a> {
        if self.layout.activates_behind() { s } else { s.act(act) }
    }

    /// An activation that this layout has behind a convolution and its norm.
    fn behind<'a>(&self, s: SequenceBuilder<'a>, act: Act) -> SequenceBuilder<'a> {
        if self.layout.activates_behind() { s.act(act) } else { s }
    }
}
