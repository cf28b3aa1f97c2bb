//! A weighted sum of L1 distances, many pairs of tensors at a time.
use crate::cpu::loss;
use crate::cpu::real::{Real, by_dtype};
use crate::dispatch::on_cuda;
use crate::ops::storage::{plain, same_shape, slices, tensor};
pub use crate::spec::l1::L1Term;
use candle_core::{Result, Tensor, WithDType, bail};

fn check(op: &str, terms: &[L1Term]) -> Result<()> {
    let Some(first) = terms.first() else { bail!("{op}: a sum without terms") };
    for term in terms {
        same_shape(op, &term.x, &term.y)?;
        if term.x.elem_count() == 0 {
            bail!("{op}: the mean of no elements")
        }
        if term.x.dtype() != first.x.dtype() {
            bail!("{op}: element types differ, {:?} and {:?}", term.x.dtype(), first.x.dtype())
        }
    }
    Ok(())
}

/// Σ weight · mean |x − y|, added in F64: a scalar of the terms' type (of BF16, on CUDA: F32). On CUDA one launch for
/// up to 64 terms.
///
/// # Errors
/// No terms, or terms that do not fit.
pub fn l1_sum(terms: &[L1Term]) -> Result<Tensor> {
    check("l1_sum", terms)?;
    on_cuda!(terms[0].x, l1::sum(terms));
    by_dtype!(terms[0].x, T => {
        let mut sum = 0.0;
        for L1Term { x, y, weight } in terms {
            let (x, y) = (plain(x)?, plain(y)?);
            slices!(T; xs = x, ys = y);
            sum += weight * loss::l1_value::<T>(xs, ys);
        }
        tensor(vec![T::of(sum)], ())
    })
}

/// The gradients of [`l1_sum`] with respect to every `x`, for a gradient `upstream` (a scalar) of the sum; 0 where x is y.
///
/// # Errors
/// As [`l1_sum`].
pub fn l1_sum_backward(terms: &[L1Term], upstream: &Tensor) -> Result<Vec<Tensor>> {
    const OP: &str = "l1_sum_backward";
    check(OP, terms)?;
    if upstream.elem_count() != 1 {
        bail!("{OP}: the factor is a scalar, got {:?}", upstream.dims())
    }
    on_cuda!(terms[0].x, l1::backward(terms, upstream));
    by_dtype!(terms[0].x, T => {
        let upstream: T = upstream.detach().reshape(())?.to_dtype(T::DTYPE)?.to_scalar()?;
        let gradient = |L1Term { x, y, weight }: &L1Term| {
            let (x, y) = (plain(x)?, plain(y)?);
            slices!(T; xs = x, ys = y);
            let share = upstream * T::of(weight / xs.len() as f64);
            tensor(loss::l1_gradient::<T>(xs, ys, share), x.shape())
        };
        terms.iter().map(gradient).collect()
    })
}
