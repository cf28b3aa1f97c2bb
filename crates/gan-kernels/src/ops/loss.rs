//! Loss reductions: the mean over all elements and its gradient in one pass, accumulated in F64 over chunks fixed by the shape.
//!
//! Each returns (scalar value, gradient with respect to the first argument for an upstream gradient of 1), both in the
//! dtype of `x` (of BF16, on CUDA: the value in F32).
use crate::cpu::loss;
use crate::cpu::real::by_dtype;
use crate::dispatch::on_cuda;
pub use crate::ops::l1::{L1Term, l1_sum, l1_sum_backward};
use crate::ops::storage::{plain, same_shape, slices, tensor};
use candle_core::{Result, Tensor, bail};

fn not_empty(op: &str, x: &Tensor) -> Result<()> {
    if x.elem_count() == 0 { bail!("{op}: the mean of no elements") } else { Ok(()) }
}

/// mean (x − target)².
///
/// # Errors
/// `x` has no elements or an unsupported element type.
pub fn squared_error(x: &Tensor, target: f64) -> Result<(Tensor, Tensor)> {
    not_empty("squared_error", x)?;
    on_cuda!(x, loss::squared_error(x, target));
    let x = plain(x)?;
    by_dtype!(x, T => {
        slices!(T; xs = x);
        let (value, gradient) = loss::squared_error::<T>(xs, target);
        Ok((tensor(vec![value], ())?, tensor(gradient, x.shape())?))
    })
}

/// mean BCE-with-logits(x, target), the numerically stable form.
///
/// # Errors
/// `x` has no elements or an unsupported element type.
pub fn bce_with_logits(x: &Tensor, target: f64) -> Result<(Tensor, Tensor)> {
    not_empty("bce_with_logits", x)?;
    on_cuda!(x, loss::bce_with_logits(x, target));
    let x = plain(x)?;
    by_dtype!(x, T => {
        slices!(T; xs = x);
        let (value, gradient) = loss::bce_with_logits::<T>(xs, target);
        Ok((tensor(vec![value], ())?, tensor(gradient, x.shape())?))
    })
}

/// mean max(0, 1 − sign · x), the hinge loss; the gradient at the edge is 0.
///
/// # Errors
/// `x` has no elements or an unsupported element type.
pub fn hinge(x: &Tensor, sign: f64) -> Result<(Tensor, Tensor)> {
    not_empty("hinge", x)?;
    on_cuda!(x, loss::hinge(x, sign));
    let x = plain(x)?;
    by_dtype!(x, T => {
        slices!(T; xs = x);
        let (value, gradient) = loss::hinge::<T>(xs, sign);
        Ok((tensor(vec![value], ())?, tensor(gradient, x.shape())?))
    })
}

/// scale · mean x.
///
/// # Errors
/// `x` has no elements or an unsupported element type.
pub fn mean(x: &Tensor, scale: f64) -> Result<(Tensor, Tensor)> {
    not_empty("mean", x)?;
    on_cuda!(x, loss::mean(x, scale));
    let x = plain(x)?;
    by_dtype!(x, T => {
        slices!(T; xs = x);
        let (value, gradient) = loss::mean::<T>(xs, scale);
        Ok((tensor(vec![value], ())?, tensor(gradient, x.shape())?))
    })
}

/// mean |x − y|; the gradient at equality is 0.
///
/// # Errors
/// The tensors differ in shape or element type, have no elements, or the type is unsupported.
pub fn l1(x: &Tensor, y: &Tensor) -> Result<(Tensor, Tensor)> {
    same_shape("l1", x, y)?;
    not_empty("l1", x)?;
    on_cuda!(x, loss::l1(x, y));
    let (x, y) = (plain(x)?, plain(y)?);
    by_dtype!(x, T => {
        slices!(T; xs = x, ys = y);
        let (value, gradient) = loss::l1::<T>(xs, ys);
        Ok((tensor(vec![value], ())?, tensor(gradient, x.shape())?))
    })
}

/// The gradient of a loss times what comes from above: `gradient` of any shape, `upstream` a scalar, both on one device.
///
/// # Errors
/// `upstream` has more or fewer elements than one, or another element type than `gradient`.
pub fn scale(gradient: &Tensor, upstream: &Tensor) -> Result<Tensor> {
    if upstream.elem_count() != 1 {
        bail!("scale: the factor is a scalar, got {:?}", upstream.dims())
    }
    on_cuda!(gradient, scale::scale(gradient, upstream));
    gradient.detach().broadcast_mul(&upstream.detach().reshape(())?)
}
