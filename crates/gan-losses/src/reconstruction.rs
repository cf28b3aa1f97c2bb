//! Reconstruction losses.

use candle_core::{Result, Tensor};
use gan_layers::with_backward;

/// mean |x − target|, equal shapes; the target is a constant.
pub fn l1(x: &Tensor, target: &Tensor) -> Result<Tensor> {
    let (value, grad) = gan_kernels::l1(&x.detach(), &target.detach())?;
    with_backward(x, value, move |dy| gan_kernels::scale(&grad, dy))
}
