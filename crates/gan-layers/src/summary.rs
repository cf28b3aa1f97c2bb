//! Shapes, parameters and multiply-adds, layer by layer.

use crate::{Layer, NormLayer, Sequence};
use candle_core::Result;
use gan_kernels::{Conv2d, ConvTranspose2d, PadMode};

/// One line of a [`Summary`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Path of the layer.
    pub path: String,
    /// Its kind, for example `Conv 7x7 s1`.
    pub kind: String,
    /// Channels, height and width of its output for one picture.
    pub output: (usize, usize, usize),
    /// Number of its parameters.
    pub params: usize,
    /// Multiply-adds for one picture.
    pub macs: u64,
}

/// What a network consists of, for one input size.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// The layers that do something, in order.
    pub rows: Vec<Row>,
}

impl Summary {
    /// Number of parameters.
    pub fn params(&self) -> usize {
        self.rows.iter().map(|r| r.params).sum()
    }

    /// Multiply-adds for one picture.
    pub fn macs(&self) -> u64 {
        self.rows.iter().map(|r| r.macs).sum()
    }

    /// Appends the layers of `seq` for an input of `(channels, height, width)` and returns the output's.
    pub fn add(&mut self, seq: &Sequence, input: (usize, usize, usize)) -> Result<(usize, usize, usize)> {
        let (mut c, mut h, mut w) = input;
        let mut pad: Option<(PadMode, usize)> = None;
        for node in seq.nodes() {
            let (kind, params, macs) = match &node.layer {
                Layer::Pad { mode, size } => {
                    pad = Some((*mode, *size));
                    continue;
                }
                Layer::Identity => continue,
                Layer::Conv(conv) => {
                    let (out, in_nc, kh, kw) = conv.weight.tensor().dims4()?;
                    let (pad_mode, padding) = pad.take().unwrap_or((PadMode::Zero, conv.padding));
                    (h, w) = Conv2d { stride: conv.stride, padding, pad_mode }.output_hw((kh, kw), (h, w))?;
                    c = out;
                    let params = out * in_nc * kh * kw + conv.bias.as_ref().map_or(0, |_| out);
                    (format!("Conv {kh}x{kw} s{}", conv.stride), params, (out * in_nc * kh * kw * h * w) as u64)
                }
                Layer::ConvTranspose(conv) => {
                    let (in_nc, out, kh, kw) = conv.weight.tensor().dims4()?;
                    let macs = (out * in_nc * kh * kw * h * w) as u64; // every input pixel meets the whole kernel once
                    let spec = ConvTranspose2d {
                        stride: conv.stride,
                        padding: conv.padding,
                        output_padding: conv.output_padding,
                    };
                    (h, w) = spec.output_hw((kh, kw), (h, w))?;
                    c = out;
                    let params = out * in_nc * kh * kw + conv.bias.as_ref().map_or(0, |_| out);
                    (format!("ConvT {kh}x{kw} s{}", conv.stride), params, macs)
                }
                Layer::Norm(NormLayer::Instance) => ("InstanceNorm".to_string(), 0, 0),
                Layer::Norm(NormLayer::Batch(_)) => ("BatchNorm".to_string(), 2 * c, 0),
                Layer::Act(act) => (format!("{act:?}"), 0, 0),
                Layer::Dropout { p } => (format!("Dropout {p}"), 0, 0),
                Layer::MaxPool2 => {
                    (h, w) = (h / 2, w / 2);
                    ("MaxPool 2x2".to_string(), 0, 0)
                }
                Layer::Nested(inner) => {
                    (c, h, w) = self.add(inner, (c, h, w))?;
                    continue;
                }
                Layer::Residual(inner) => {
                    (c, h, w) = self.add(inner, (c, h, w))?;
                    ("Sum".to_string(), 0, 0)
                }
                Layer::Skip(inner) => {
                    let (inner_c, ih, iw) = self.add(inner, (c, h, w))?;
                    (c, h, w) = (c + inner_c, ih, iw);
                    ("Concat".to_string(), 0, 0)
                }
            };
            self.rows.push(Row { path: node.path.clone(), kind, output: (c, h, w), params, macs });
        }
        Ok((c, h, w))
    }
}
