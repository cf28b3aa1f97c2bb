//! Groups of layers that several networks share.

use crate::padding::Padding;
use candle_core::Result;
use gan_layers::{Act, ConvSpec, NormKind, SequenceBuilder};

/// A convolution's shape.
pub(crate) fn conv(in_nc: usize, out_nc: usize, kernel: usize, stride: usize, padding: usize, bias: bool) -> ConvSpec {
    ConvSpec { in_nc, out_nc, kernel, stride, padding, bias }
}

/// `x + norm(conv(relu(norm(conv(x)))))`, no activation behind the sum; with dropout behind the ReLU.
pub(crate) fn residual_block<'a>(
    s: SequenceBuilder<'a>,
    channels: usize,
    norm: NormKind,
    padding: Padding,
    dropout: bool,
    bias: bool,
) -> Result<SequenceBuilder<'a>> {
    let half = |s: SequenceBuilder<'a>| {
        let (s, zeros) = match padding.layer() {
            Some(mode) => (s.pad(mode, 1), 0),
            None => (s, 1),
        };
        s.conv(conv(channels, channels, 3, 1, zeros, bias))?.norm(norm, channels)
    };
    s.residual("conv_block", |s| {
        let s = half(s)?.act(Act::Relu);
        half(if dropout { s.dropout(0.5) } else { s })
    })
}

/// Halves the channels and doubles the size: blurred doubling, 3x3 convolution, norm, ReLU.
pub(crate) fn blur_up(
    s: SequenceBuilder<'_>,
    channels: usize,
    norm: NormKind,
    bias: bool,
) -> Result<SequenceBuilder<'_>> {
    let s = s.blur_upsample(channels)?.conv(conv(channels, channels / 2, 3, 1, 1, bias))?;
    Ok(s.norm(norm, channels / 2)?.act(Act::Relu))
}

/// Halves the channels and doubles the size: 3x3 transposed convolution, norm, ReLU.
pub(crate) fn up(s: SequenceBuilder<'_>, channels: usize, norm: NormKind, bias: bool) -> Result<SequenceBuilder<'_>> {
    Ok(s.conv_transpose(conv(channels, channels / 2, 3, 2, 1, bias), 1)?.norm(norm, channels / 2)?.act(Act::Relu))
}
