//! Groups of layers that several networks share.

use crate::padding::Padding;
use crate::upsample::Upsample;
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

/// Halves the channels and doubles the size: 3x3 convolution (with a bias), norm, ReLU.
pub(crate) fn up(
    s: SequenceBuilder<'_>,
    channels: usize,
    norm: NormKind,
    upsample: Upsample,
) -> Result<SequenceBuilder<'_>> {
    let deconv = conv(channels, channels / 2, 3, 2, 1, true);
    Ok(upsample.double(s, deconv, 1)?.norm(norm, channels / 2)?.act(Act::Relu))
}
