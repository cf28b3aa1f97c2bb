//! Forward-mode differentiation of a sequence. Its result can be backpropagated, which gives second derivatives.

use crate::kind::{Jvp, Kind};
use crate::{Ctx, Layer, Node, Sequence};
use candle_core::{Result, Tensor};

impl Sequence {
    /// The layers at `x`, and their derivative along `dx` (a Jacobian-vector product), for `x` and `dx` of one shape `[N, C, H, W]`.
    ///
    /// Both are differentiable: the backward pass of the derivative adds second derivatives of the weights to the
    /// [`ParamStore`](crate::ParamStore). They are exact, and zero across the edge of a ReLU, as PyTorch's double backward has them
    /// (Pearlmutter, 1994). Layers run one by one here, not fused.
    ///
    /// # Errors
    /// As [`Sequence::forward`]; a layer that no discriminator has.
    pub fn jvp(&self, x: &Tensor, dx: &Tensor, ctx: &Ctx) -> Result<(Tensor, Tensor)> {
        let mut at = (x.clone(), dx.clone());
        for step in self.steps() {
            let pass = Jvp { ctx, path: step.path, fused: &step.fused, anchor: &self.anchor };
            at = step.op.jvp(at, &pass)?;
        }
        Ok(at)
    }
}

impl Jvp<'_> {
    /// A layer by itself, as an operator of candle's graph.
    pub(crate) fn run(&self, layer: impl Kind, x: &Tensor) -> Result<Tensor> {
        let mut alone = Sequence::of(vec![Node { path: self.path.to_owned(), layer: Layer::new(layer) }]);
        alone.anchor.clone_from(self.anchor);
        alone.forward(x, self.ctx)
    }
}
