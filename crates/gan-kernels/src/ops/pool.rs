//! Pooling.
use crate::cpu::pool as kernel;
use crate::cpu::real::by_dtype;
use crate::dispatch::on_cuda;
use crate::ops::storage::{plain, slices, tensor};
pub use crate::spec::pool::Pool2d;
use candle_core::{Result, Tensor, bail};

fn dims(op: &str, x: &Tensor) -> Result<(usize, usize, usize, usize)> {
    match x.dims() {
        &[n, c, h, w] if h > 0 && w > 0 => Ok((n, c, h, w)),
        other => bail!("{op}: expected [N, C, H, W] with pixels, got {other:?}"),
    }
}

/// The size of the output, which the gradient `dy` must have.
fn checked(op: &str, dy: &Tensor, (h, w): (usize, usize), spec: &Pool2d) -> Result<(usize, usize)> {
    let (_, _, ho, wo) = dims(op, dy)?;
    if spec.output_hw((h, w))? != (ho, wo) {
        bail!("{op}: a gradient of {ho}x{wo} does not fit an input of {h}x{w}")
    }
    Ok((ho, wo))
}

/// The maximum of each window, `[N, C, H, W]` → `[N, C, H', W']` ([`Pool2d::output_hw`]).
///
/// # Errors
/// `x` is not four-dimensional, no window fits, or the element type is unsupported.
pub fn max_pool(x: &Tensor, spec: &Pool2d) -> Result<Tensor> {
    let (n, c, h, w) = dims("max_pool", x)?;
    let (ho, wo) = spec.output_hw((h, w))?;
    on_cuda!(x, image::max_pool(x, spec, (ho, wo)));
    let x = plain(x)?;
    by_dtype!(x, T => {
        slices!(T; xs = x);
        tensor(kernel::max_pool::<T>(xs, (h, w), spec, (ho, wo)), (n, c, ho, wo))
    })
}

/// Backward of [`max_pool`]; the first maximum of a window in row-major order takes its gradient.
///
/// # Errors
/// `dy` has another shape or element type than an output for `x`, or the type is unsupported.
pub fn max_pool_backward(x: &Tensor, dy: &Tensor, spec: &Pool2d) -> Result<Tensor> {
    let (n, c, h, w) = dims("max_pool_backward", x)?;
    let size = checked("max_pool_backward", dy, (h, w), spec)?;
    if dy.dims()[..2] != [n, c] || dy.dtype() != x.dtype() {
        bail!("max_pool_backward: a gradient {:?} does not fit the input {:?}", dy.dims(), x.dims())
    }
    on_cuda!(x, image::max_pool_backward(x, dy, spec));
    let (x, dy) = (plain(x)?, plain(dy)?);
    by_dtype!(x, T => {
        slices!(T; xs = x, ds = dy);
        tensor(kernel::max_pool_backward::<T>(xs, ds, (h, w), spec, size), (n, c, h, w))
    })
}

/// The average of each window's pixels, `[N, C, H, W]` → `[N, C, H', W']` ([`Pool2d::output_hw`]); padding is not counted.
///
/// # Errors
/// `x` is not four-dimensional, no window fits, or the element type is unsupported.
pub fn avg_pool(x: &Tensor, spec: &Pool2d) -> Result<Tensor> {
    let (n, c, h, w) = dims("avg_pool", x)?;
    let (ho, wo) = spec.output_hw((h, w))?;
    on_cuda!(x, image::avg_pool(x, spec, (ho, wo)));
    let x = plain(x)?;
    by_dtype!(x, T => {
        slices!(T; xs = x);
        tensor(kernel::avg_pool::<T>(xs, (h, w), spec, (ho, wo)), (n, c, ho, wo))
    })
}

/// Backward of [`avg_pool`] for an input of height and width `hw`.
///
/// # Errors
/// `dy` is not four-dimensional, is no output for an input of `hw`, or has an unsupported element type.
pub fn avg_pool_backward(dy: &Tensor, hw: (usize, usize), spec: &Pool2d) -> Result<Tensor> {
    let size = checked("avg_pool_backward", dy, hw, spec)?;
    on_cuda!(dy, image::avg_pool_backward(dy, hw, spec));
    let (n, c, ..) = dims("avg_pool_backward", dy)?;
    let dy = plain(dy)?;
    by_dtype!(dy, T => {
        slices!(T; ds = dy);
        tensor(kernel::avg_pool_backward::<T>(ds, hw, spec, size), (n, c, hw.0, hw.1))
    })
}
