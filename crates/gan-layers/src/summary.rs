//! Shapes, parameters and multiply-adds, layer by layer.

use crate::{Layer, NormLayer, Sequence};
use candle_core::{Result, bail};
use gan_kernels::{Conv2d, ConvTranspose2d, PadMode};

/// Longest side that shapes are computed for.
const MAX_SIDE: usize = 1 << 24;

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
        self.rows.iter().fold(0, |sum: u64, row| sum.saturating_add(row.macs))
    }

    /// `(height, width)` of what the last layer puts out for one image, if there is a layer.
    pub fn output_hw(&self) -> Option<(usize, usize)> {
        self.rows.last().map(|row| (row.output.1, row.output.2))
    }

    /// Appends the layers of `seq` for an input of `(channels, height, width)` and returns the output's.
    ///
    /// # Errors
    /// Where a layer does not take the size that reaches it, or the two sides of a sum or a concatenation differ in size.
    pub fn add(&mut self, seq: &Sequence, input: (usize, usize, usize)) -> Result<(usize, usize, usize)> {
        let (mut c, mut h, mut w) = input;
        if h.max(w) > MAX_SIDE {
            bail!("images of {h} x {w} pixels are too large");
        }
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
                    (format!("Conv {kh}x{kw} s{}", conv.stride), params, macs(&[out, in_nc, kh, kw, h, w]))
                }
                Layer::ConvTranspose(conv) => {
                    let (in_nc, out, kh, kw) = conv.weight.tensor().dims4()?;
                    let macs = macs(&[out, in_nc, kh, kw, h, w]); // every input pixel meets the whole kernel once
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
                    same_size(&node.path, (h, w), self.add(inner, (c, h, w))?)?;
                    ("Sum".to_string(), 0, 0)
                }
                Layer::Skip(inner) => {
                    let inside = self.add(inner, (c, h, w))?;
                    same_size(&node.path, (h, w), inside)?;
                    c += inside.0;
                    ("Concat".to_string(), 0, 0)
                }
            };
            self.rows.push(Row { path: node.path.clone(), kind, output: (c, h, w), params, macs });
        }
        Ok((c, h, w))
    }
}

/// Multiply-adds, as far as they can be counted.
fn macs(factors: &[usize]) -> u64 {
    factors.iter().fold(1, |product: u64, &factor| product.saturating_mul(factor as u64))
}

fn same_size(path: &str, outside: (usize, usize), (_, h, w): (usize, usize, usize)) -> Result<()> {
    if outside == (h, w) {
        return Ok(());
    }
    bail!("{path}: what passes by is {} x {}, what passes through becomes {h} x {w}", outside.0, outside.1)
}
