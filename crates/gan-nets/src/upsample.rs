//! How the second half of a generator doubles the size.

use crate::blocks::conv;
use candle_core::Result;
use gan_layers::{Act, ConvSpec, NormKind, PadMode, SequenceBuilder};
use serde::{Deserialize, Serialize};

/// How a generator doubles the size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Upsample {
    /// A transposed convolution of stride 2, as the references have it.
    #[default]
    Deconv,
    /// Nearest upsampling and a 3x3 convolution with reflection padding, which makes no checkerboards (Odena et al., 2016).
    Resize,
    /// The same with zero padding, as PyTorch-GAN has it.
    ResizeZero,
}

impl Upsample {
    /// The name in a configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Upsample::Deconv => "deconv",
            Upsample::Resize => "resize",
            Upsample::ResizeZero => "resize_zero",
        }
    }

    /// Place of the convolution among the layers of [`Upsample::double`], of which it is the last.
    pub(crate) fn conv_index(self) -> usize {
        match self {
            Upsample::Deconv => 0,
            Upsample::ResizeZero => 1,
            Upsample::Resize => 2,
        }
    }

    /// Layers of a stage of a ResNet: norm and ReLU follow the convolution.
    pub(crate) fn stage_len(self) -> usize {
        3 + self.conv_index()
    }

    /// Doubles the size by the transposed convolution `deconv`, or by what stands for it here:
    /// `[N, in_nc, H, W]` → `[N, out_nc, 2H, 2W]`.
    pub(crate) fn double<'a>(
        self,
        s: SequenceBuilder<'a>,
        deconv: ConvSpec,
        output_padding: usize,
    ) -> Result<SequenceBuilder<'a>> {
        let (s, zeros) = match self {
            Upsample::Deconv => return s.conv_transpose(deconv, output_padding),
            Upsample::Resize => (s.upsample_nearest(2).pad(PadMode::Reflect, 1), 0),
            Upsample::ResizeZero => (s.upsample_nearest(2), 1),
        };
        s.conv(conv(deconv.in_nc, deconv.out_nc, 3, 1, zeros, deconv.bias))
    }

    /// Halves the channels and doubles the size: 3x3 convolution with a bias, norm, ReLU.
    pub(crate) fn stage(self, s: SequenceBuilder<'_>, channels: usize, norm: NormKind) -> Result<SequenceBuilder<'_>> {
        let deconv = conv(channels, channels / 2, 3, 2, 1, true);
        Ok(self.double(s, deconv, 1)?.norm(norm, channels / 2)?.act(Act::Relu))
    }
}
