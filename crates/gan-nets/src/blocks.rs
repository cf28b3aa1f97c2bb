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
