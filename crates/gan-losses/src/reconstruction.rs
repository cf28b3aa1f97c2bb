//! Reconstruction losses.

use candle_core::{Result, Tensor};
use gan_kernels::loss::{L1Term, l1_sum, l1_sum_backward};
use gan_layers::{custom_grad, multi_input_grad};

/// mean |x − target|, equal shapes; the target is a constant.
///
/// # Errors
/// The tensors differ in shape or element type, have no elements, or the type is unsupported.
pub fn l1(x: &Tensor, target: &Tensor) -> Result<Tensor> {
    let (value, grad) = gan_kernels::loss::l1(&x.detach(), &target.detach())?;
    custom_grad(x, value, move |dy| gan_kernels::loss::scale(&grad, dy))
}

/// Σ weight · mean |x − target| over `(x, target, weight)`; the targets are constants.
pub(crate) fn weighted_l1(terms: &[(&Tensor, &Tensor, f64)]) -> Result<Tensor> {
    let xs: Vec<Tensor> = terms.iter().map(|(x, ..)| (*x).clone()).collect();
    let plain = |&(x, target, weight): &(&Tensor, &Tensor, f64)| L1Term { x: x.detach(), y: target.detach(), weight };
    let terms: Vec<L1Term> = terms.iter().map(plain).collect();
    let value = l1_sum(&terms)?;
    multi_input_grad(&xs, value, move |dy| l1_sum_backward(&terms, dy))
}
