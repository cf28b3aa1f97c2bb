//! Outputs of single layers beside that of the sequence.

use crate::{Ctx, Input, Sequence};
use candle_core::{Result, Tensor, bail};

impl Sequence {
    /// As [`Sequence::forward`], and returns the outputs of the layers at `taps` (positions in [`Sequence::nodes`]) in the order
    /// asked for: features for a perceptual or contrastive loss.
    ///
    /// A tap is a tensor of candle's graph. Gradients through taps and output add up as in one graph, but all losses have to be
    /// summed before `backward`, which a graph allows once. What would run as one kernel across a tap runs as two, so that a
    /// tap is the layer's true output: padded, with its bias, before the activation behind it.
    ///
    /// ```
    /// # fn main() -> candle_core::Result<()> {
    /// use candle_core::{DType, Device, Tensor};
    /// use gan_layers::{Act, Builder, ConvSpec, Ctx, ParamStore, SequenceBuilder};
    /// let conv = ConvSpec { in_nc: 3, out_nc: 8, kernel: 3, stride: 1, padding: 1, bias: true };
    /// let build = |b: &Builder<'_>| Ok(SequenceBuilder::new(b.clone()).conv(conv)?.act(Act::Relu).finish());
    /// let (_, net) = ParamStore::build(DType::F32, &Device::Cpu, build)?;
    /// let x = Tensor::zeros((1, 3, 16, 16), DType::F32, &Device::Cpu)?;
    /// let (y, taps) = net.forward_with_taps(&x, &Ctx::translate(), &[0])?;
    /// assert_eq!((y.dims(), taps[0].dims()), (&[1, 8, 16, 16][..], &[1, 8, 16, 16][..]));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// A tap behind the last layer; those of [`Sequence::forward`].
    pub fn forward_with_taps<'a>(
        &self,
        x: impl Into<Input<'a>>,
        ctx: &Ctx,
        taps: &[usize],
    ) -> Result<(Tensor, Vec<Tensor>)> {
        let layers = self.nodes().len();
        if let Some(tap) = taps.iter().find(|tap| **tap >= layers) {
            bail!("a sequence of {layers} layers has no layer {tap} to tap");
        }
        let mut cuts = taps.to_vec();
        cuts.sort_unstable();
        cuts.dedup();
        // Each tap ends a segment of its own: candle's graph adds up what flows back to it.
        let input = x.into();
        let (mut rest, mut done) = (self.clone(), 0);
        let mut outputs: Vec<Tensor> = Vec::new();
        for &cut in &cuts {
            let (front, back) = rest.split(cut + 1 - done)?;
            outputs.push(front.forward(outputs.last().map_or(input, Input::from), ctx)?);
            (rest, done) = (back, cut + 1);
        }
        let y = match outputs.last() {
            Some(last) if rest.nodes().is_empty() => last.clone(),
            last => rest.forward(last.map_or(input, Input::from), ctx)?,
        };
        let tapped = taps.iter().filter_map(|tap| cuts.binary_search(tap).ok()).map(|i| outputs[i].clone()).collect();
        Ok((y, tapped))
    }
}
