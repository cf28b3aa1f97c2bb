//! How the second half of a ResNet doubles the size.

use crate::blocks::{conv, up};
use candle_core::Result;
use gan_layers::{Act, NormKind, PadMode, SequenceBuilder};
use serde::{Deserialize, Serialize};

/// How a ResNet generator doubles the size.
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
    /// Layers of a stage. They end in norm and ReLU; the convolution is at [`Upsample::conv_index`].
    pub(crate) fn stage_len(self) -> usize {
        3 + self.conv_index()
    }

    /// Place of the convolution in a stage.
    pub(crate) fn conv_index(self) -> usize {
        match self {
            Upsample::Deconv => 0,
            Upsample::ResizeZero => 1,
            Upsample::Resize => 2,
        }
    }

    /// Halves the channels and doubles the size, `[N, channels, H, W]` → `[N, channels / 2, 2H, 2W]`; with norm and ReLU.
    pub(crate) fn stage(
        self,
        s: SequenceBuilder<'_>,
        channels: usize,
        norm: NormKind,
        bias: bool,
    ) -> Result<SequenceBuilder<'_>> {
        let (s, zeros) = match self {
            Upsample::Deconv => return up(s, channels, norm, bias),
            Upsample::Resize => (s.upsample_nearest(2).pad(PadMode::Reflect, 1), 0),
            Upsample::ResizeZero => (s.upsample_nearest(2), 1),
        };
        let s = s.conv(conv(channels, channels / 2, 3, 1, zeros, bias))?;
        Ok(s.norm(norm, channels / 2)?.act(Act::Relu))
    }
}
