//! Folding of batch norms into the convolutions in front of them.

use crate::layers::conv::Conv;
use crate::layers::norm::{BatchNorm, NormLayer};
use crate::{Node, Param, Sequence};
use candle_core::{DType, Result, Tensor, bail};
use gan_kernels::weight::Weight;

impl Sequence {
    /// The same network for [`NormMode::Running`](crate::NormMode) alone: a batch norm behind a convolution becomes part of its weight and
    /// bias, and costs nothing any longer. Computed in F64, so that each folded weight is rounded once. Later changes of the running statistics have no effect.
    ///
    /// # Errors
    /// The network was built over a [`ParamStore`](crate::ParamStore): its weights may change.
    pub fn folded(&self) -> Result<Sequence> {
        if self.is_trainable() {
            bail!(
                "batch norms are folded into the convolutions of a network built for translation, not of a trainable one"
            )
        }
        let mut nodes: Vec<Node> = Vec::with_capacity(self.nodes().len());
        for node in self.nodes() {
            if let Some(NormLayer::Batch(norm)) = node.layer.get()
                && let Some(front) = nodes.last_mut()
                && let Some(conv) = front.layer.get::<Conv>()
            {
                front.layer = crate::Layer::new(conv.with_norm(norm)?);
                continue;
            }
            let layer = node.layer.kind().with_inner(&Sequence::folded)?.unwrap_or_else(|| node.layer.clone());
            nodes.push(Node { path: node.path.clone(), layer });
        }
        Ok(Sequence::of(nodes))
    }
}

impl Conv {
    /// `norm(conv(x))` as one convolution: `w · s` and `(b − mean) · s + shift` with `s = scale / sqrt(var + eps)`.
    fn with_norm(&self, norm: &BatchNorm) -> Result<Conv> {
        let f64 = |t: &Tensor| t.to_dtype(DType::F64);
        let dtype = self.weight.tensor().dtype();
        let param =
            |t: Tensor| -> Result<Param> { Ok(Param { weight: Weight::constant(t.to_dtype(dtype)?), grad: None }) };
        let scale = (f64(norm.weight.tensor())? / (f64(&norm.running.var)? + norm.eps)?.sqrt()?)?;
        let mean = f64(&norm.running.mean)?;
        let centred = match &self.bias {
            Some(bias) => (f64(bias.tensor())? - mean)?,
            None => mean.neg()?,
        };
        let shift = ((centred * &scale)? + f64(norm.bias.tensor())?)?;
        let weight = f64(self.weight.tensor())?.broadcast_mul(&scale.reshape(((), 1, 1, 1))?)?;
        Ok(Conv { weight: param(weight)?, bias: Some(param(shift)?), stride: self.stride, padding: self.padding })
    }
}
