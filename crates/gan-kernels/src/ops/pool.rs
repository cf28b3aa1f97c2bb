//! Pooling.
use crate::cpu::pool as kernel;
use crate::cpu::real::by_dtype;
use crate::dispatch::on_cuda;
use crate::ops::storage::{plain, slices, tensor};
use candle_core::{Result, Tensor, bail};

fn dims(op: &str, x: &Tensor) -> Result<(usize, usize, usize, usize)> {
    match x.dims() {
        &[n, c, h, w] if h > 0 && w > 0 => Ok((n, c, h, w)),
        other => bail!("{op}: expected [N, C, H, W] with pixels, got {other:?}"),
    }
}

/// Max pooling 2x2, stride 2, floor: `[N, C, H, W]` → `[N, C, H/2, W/2]`.
///
/// # Errors
/// `x` is not four-dimensional, has a side shorter than 2, or has an unsupported element type.
pub fn max_pool2(x: &Tensor) -> Result<Tensor> {
    let (n, c, h, w) = dims("max_pool2", x)?;
    let (ho, wo) = (h / 2, w / 2);
    if ho * wo == 0 {
        bail!("max_pool2: {h}x{w} is smaller than the window")
    }
    on_cuda!(x, image::max_pool2(x));
    let x = plain(x)?;
    by_dtype!(x, T => {
        slices!(T; xs = x);
        tensor(kernel::max_pool2::<T>(xs, (h, w)), (n, c, ho, wo))
    })
}

/// Backward of [`max_pool2`]; the first maximum in row-major order takes the gradient.
///
/// # Errors
/// `dy` has another shape or element type than an output for `x`, or the type is unsupported.
pub fn max_pool2_backward(x: &Tensor, dy: &Tensor) -> Result<Tensor> {
    let (n, c, h, w) = dims("max_pool2_backward", x)?;
    let (ho, wo) = (h / 2, w / 2);
    if dy.dims() != [n, c, ho, wo] || dy.dtype() != x.dtype() || ho * wo == 0 {
        bail!("max_pool2_backward: a gradient {:?} does not fit the input {:?}", dy.dims(), x.dims())
    }
    on_cuda!(x, image::max_pool2_backward(x, dy));
    let (x, dy) = (plain(x)?, plain(dy)?);
    by_dtype!(x, T => {
        slices!(T; xs = x, ds = dy);
        tensor(kernel::max_pool2_backward::<T>(xs, ds, (h, w)), (n, c, h, w))
    })
}

/// Average pooling 3x3, stride 2, padding 1, padding not counted: `[N, C, H, W]` → `[N, C, ceil(H/2), ceil(W/2)]`.
///
/// # Errors
/// `x` is not four-dimensional, has no pixels, or has an unsupported element type.
pub fn avg_pool3s2(x: &Tensor) -> Result<Tensor> {
    let (n, c, h, w) = dims("avg_pool3s2", x)?;
    let (ho, wo) = (h.div_ceil(2), w.div_ceil(2));
    on_cuda!(x, image::avg_pool3s2(x));
    let x = plain(x)?;
    by_dtype!(x, T => {
        slices!(T; xs = x);
        tensor(kernel::avg_pool3s2::<T>(xs, (h, w)), (n, c, ho, wo))
    })
}

/// Backward of [`avg_pool3s2`] for an input of height and width `hw`.
///
/// # Errors
/// `dy` is not four-dimensional, is no output for an input of `hw`, or has an unsupported element type.
pub fn avg_pool3s2_backward(dy: &Tensor, hw: (usize, usize)) -> Result<Tensor> {
    let (n, c, ho, wo) = dims("avg_pool3s2_backward", dy)?;
    let (h, w) = hw;
    if (ho, wo) != (h.div_ceil(2), w.div_ceil(2)) {
        bail!("avg_pool3s2_backward: a gradient of {ho}x{wo} does not fit an input of {h}x{w}")
    }
    on_cuda!(dy, image::avg_pool3s2_backward(dy, hw));
    let dy = plain(dy)?;
    by_dtype!(dy, T => {
        slices!(T; ds = dy);
        tensor(kernel::avg_pool3s2_backward::<T>(ds, (h, w)), (n, c, h, w))
    })
}
