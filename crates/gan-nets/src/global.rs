//! pix2pixHD's global generator and feature encoder.

use crate::blocks::{conv, residual_block};
use crate::bounds::{self, Factor, within};
use crate::padding::Padding;
use crate::upsample::Upsample;
use candle_core::Result;
use gan_layers::{Act, Builder, NormKind, PadMode, Sequence, SequenceBuilder};
use gan_range::Range;
use serde::{Deserialize, Serialize};

/// The coarse generator of pix2pixHD: ResNet with `n_downsample` halvings.
///
/// * input `[N, input_nc, H, W]` (one-hot labels, edges, features), sides divisible by `2^n_downsample`
/// * output `[N, output_nc, H, W]` in [-1, 1]
#[derive(Debug, Clone, PartialEq)]
pub struct GlobalConfig {
    /// Channels of the input.
    pub input_nc: usize,
    /// Channels of the output.
    pub output_nc: usize,
    /// Width of the first layer.
    pub ngf: usize,
    /// Number of halvings.
    pub n_downsample: usize,
    /// Residual blocks.
    pub n_blocks: usize,
    /// Normalization (every convolution has a bias in any case).
    pub norm: NormKind,
    /// How the second half doubles the size.
    pub upsample: Upsample,
}

impl Default for GlobalConfig {
    fn default() -> Self {
        GlobalConfig {
            input_nc: 36,
            output_nc: 3,
            ngf: 64,
            n_downsample: 4,
            n_blocks: 9,
            norm: NormKind::Instance,
            upsample: Upsample::Deconv,
        }
    }
}

impl GlobalConfig {
    pub(crate) fn layers(&self, at: Builder<'_>) -> Result<Sequence> {
        within(&[
            (bounds::INPUT_NC, self.input_nc),
            (bounds::OUTPUT_NC, self.output_nc),
            (bounds::NGF, self.ngf),
            (bounds::N_DOWNSAMPLE_GLOBAL, self.n_downsample),
            (bounds::N_BLOCKS_GLOBAL, self.n_blocks),
        ])?;
        let s = self.trunk(SequenceBuilder::new(at.pp("model")))?;
        head(s, self.ngf, self.output_nc).map(SequenceBuilder::finish)
    }

    /// All but the last pad, convolution and tanh: what an enhancer embeds. Emits `ngf` channels.
    pub(crate) fn trunk<'a>(&self, s: SequenceBuilder<'a>) -> Result<SequenceBuilder<'a>> {
        let mut s = down(s, self.input_nc, self.ngf, self.n_downsample, self.norm)?;
        for _ in 0..self.n_blocks {
            s = residual_block(s, self.ngf << self.n_downsample, self.norm, Padding::Reflect, false, true)?;
        }
        for i in (1..=self.n_downsample).rev() {
            s = self.upsample.stage(s, self.ngf << i, self.norm)?;
        }
        Ok(s)
    }
}

/// 7x7 convolution to `width` channels, then `n` times halving the size and doubling the channels.
pub(crate) fn down<'a>(
    s: SequenceBuilder<'a>,
    in_nc: usize,
    width: usize,
    n: usize,
    norm: NormKind,
) -> Result<SequenceBuilder<'a>> {
    let mut s = s.pad(PadMode::Reflect, 3).conv(conv(in_nc, width, 7, 1, 0, true))?.norm(norm, width)?.act(Act::Relu);
    for i in 0..n {
        let c = width << i;
        s = s.conv(conv(c, 2 * c, 3, 2, 1, true))?.norm(norm, 2 * c)?.act(Act::Relu);
    }
    Ok(s)
}

/// The last 7x7 convolution and tanh.
pub(crate) fn head(s: SequenceBuilder<'_>, width: usize, out_nc: usize) -> Result<SequenceBuilder<'_>> {
    Ok(s.pad(PadMode::Reflect, 3).conv(conv(width, out_nc, 7, 1, 0, true))?.act(Act::Tanh))
}

/// pix2pixHD's instance feature encoder: down, up and tanh; [`gan_layers::instance_mean`] pools its output.
///
/// * input `[N, 3, H, W]` image in [-1, 1]; output `[N, feat_num, H, W]` in [-1, 1]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EncoderConfig {
    /// Channels of the image.
    pub input_nc: usize,
    /// Channels of the features.
    pub feat_num: usize,
    /// Width of the first layer.
    pub nef: usize,
    /// Number of halvings.
    pub n_downsample: usize,
    /// Normalization.
    pub norm: NormKind,
}

impl Default for EncoderConfig {
    fn default() -> Self {
        EncoderConfig { input_nc: 3, feat_num: 3, nef: 16, n_downsample: 4, norm: NormKind::Instance }
    }
}

impl EncoderConfig {
    /// The ranges of the numbers, under the names of the configuration's keys.
    pub const RANGES: [Range; 3] = [bounds::FEAT_NUM, bounds::NEF, bounds::N_DOWNSAMPLE_E];

    /// As [`GeneratorConfig::validate`](crate::GeneratorConfig::validate).
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange), [`Error::TooLarge`](crate::Error::TooLarge).
    pub fn validate(&self) -> crate::Result<()> {
        let numbers = [self.feat_num, self.nef, self.n_downsample];
        for (range, number) in Self::RANGES.iter().zip(numbers) {
            range.check_whole(number as u64)?;
        }
        let d = Self::default();
        let factors = [
            Factor::linear("feat_num", self.feat_num, d.feat_num),
            Factor::linear("nef", self.nef, d.nef),
            Factor::doubling("n_downsample_e", self.n_downsample, d.n_downsample),
        ];
        bounds::check_size(&factors, |at| self.build(at))
    }

    /// Writes the layers down.
    ///
    /// # Errors
    /// For a number out of its range, and those of the builder's source.
    pub fn build<'a>(&self, at: impl Into<Builder<'a>>) -> Result<Sequence> {
        within(&[
            (bounds::INPUT_NC, self.input_nc),
            (bounds::FEAT_NUM, self.feat_num),
            (bounds::NEF, self.nef),
            (bounds::N_DOWNSAMPLE_E, self.n_downsample),
        ])?;
        let mut s =
            down(SequenceBuilder::new(at.into().pp("model")), self.input_nc, self.nef, self.n_downsample, self.norm)?;
        for i in (1..=self.n_downsample).rev() {
            s = Upsample::Deconv.stage(s, self.nef << i, self.norm)?;
        }
        head(s, self.nef, self.feat_num).map(SequenceBuilder::finish)
    }
}
