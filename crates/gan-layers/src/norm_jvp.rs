//! The derivative of a normalization along a direction, and its gradient.

use crate::autograd::custom_grad2;
use crate::kind::Jvp;
use crate::layers::norm::NormLayer;
use crate::{NormMode, Weights};
use candle_core::{D, Result, Tensor, bail};
use gan_kernels as k;
use gan_kernels::act::Act;
use gan_kernels::norm::{Affine, Group, NormGrads};

impl NormLayer {
    /// Along `u`, without the activation, as a function of `x`, `u` and the scale in candle's graph.
    ///
    /// With the normalized value x̂ and σ² = var + eps it is J u = (u − mean u − x̂ · mean(x̂ u)) / σ, times the scale. J is symmetric,
    /// so the norm's backward pass computes it. The gradient of w · J u by `x` is
    /// −(x̂ · mean(u · J w) + mean(x̂ w) · J u + mean(x̂ u) · J w) / σ.
    pub(crate) fn derivative(&self, x: &Tensor, u: &Tensor, pass: &Jvp<'_>) -> Result<Tensor> {
        if pass.ctx.norm == NormMode::Running && matches!(self, NormLayer::Batch(_)) {
            bail!("{}: second derivatives are there for a batch's own statistics, not for running ones", pass.path)
        }
        let (norm, spec, train) = (self.clone(), self.spec(Act::Identity), pass.ctx.weights == Weights::Train);
        let (value, along) = (x.detach(), u.detach());
        let (_, moments) = k::norm::norm(&value, &spec, None, None)?;
        // J u, with the scale or without.
        let jacobian = {
            let (value, moments) = (value.clone(), moments.clone());
            move |u: &Tensor, affine: Option<Affine<'_>>| {
                let grads = NormGrads { input: true, affine: None };
                let product = k::norm::norm_backward(&value, &moments, u, &spec, affine, grads)?;
                product.ok_or_else(|| candle_core::Error::Msg("a norm without the gradient of its input".into()))
            }
        };
        let y = jacobian(&along, self.affine())?;
        custom_grad2(x, u, y, move |dy| {
            let (n, c, h, w) = value.dims4()?;
            let planes = |t: &Tensor| t.reshape((n, c, h * w));
            let mean = |t: Tensor| {
                let of_planes = planes(&t)?.mean_keepdim(D::Minus1)?;
                if spec.group == Group::Batch { of_planes.mean_keepdim(0) } else { Ok(of_planes) }
            };
            let (j_u, j_w) = (jacobian(&along, None)?, jacobian(dy, norm.affine())?);
            let normalized = k::norm::norm_with(&value, &moments, &spec, None, None)?;
            let mut with_w = mean((&normalized * dy)?)?;
            if let Some((scale, _)) = norm.params() {
                if train {
                    let gradient = planes(&(dy * &j_u)?)?.sum(D::Minus1)?.sum(0)?;
                    k::elementwise::add_assign(&scale.accumulator()?, &gradient)?;
                }
                with_w = with_w.broadcast_mul(&scale.tensor().detach().reshape((1, c, 1))?)?;
            }
            let with_u = mean((&normalized * &along)?)?;
            let of_products = mean((&along * &j_w)?)?;
            let terms = [(&normalized, of_products), (&j_u, with_w), (&j_w, with_u)];
            let [a, b, d] = terms.map(|(t, factor)| planes(t)?.broadcast_mul(&factor));
            let inverse = (&moments.var + spec.eps)?.sqrt()?.recip()?.reshape(((), c, 1))?;
            let dx = ((a? + b?)? + d?)?.broadcast_mul(&inverse)?.neg()?.reshape(value.shape())?;
            Ok((dx, j_w))
        })
    }
}
