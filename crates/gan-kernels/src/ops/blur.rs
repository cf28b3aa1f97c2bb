//! Anti-aliased halving and doubling: binomial filters before every second sample is taken, and after zeros are put between samples
//! (Zhang, "Making Convolutional Networks Shift-Invariant Again", 2019; as in CUT's networks).
use crate::cpu::blur as kernel;
use crate::cpu::real::by_dtype;
use crate::dispatch::on_cuda;
use crate::ops::storage::{plain, slices, tensor};
use candle_core::{Result, Tensor, bail};

fn dims(op: &str, x: &Tensor, least: usize) -> Result<(usize, usize, usize, usize)> {
    match x.dims() {
        &[n, c, h, w] if h >= least && w >= least => Ok((n, c, h, w)),
        other => bail!("{op}: expected [N, C, H, W] with sides of {least} or more, got {other:?}"),
    }
}

/// The filter `[1, 2, 1]` ⊗ `[1, 2, 1]` / 16 with stride 2 behind a reflection padding of 1: `[N, C, H, W]` → `[N, C, ⌈H/2⌉, ⌈W/2⌉]`.
///
/// # Errors
/// `x` is not four-dimensional, has a side shorter than 2, or has an unsupported element type.
pub fn blur_pool(x: &Tensor) -> Result<Tensor> {
    let (n, c, h, w) = dims("blur_pool", x, 2)?;
    on_cuda!(x, image::blur_pool(x));
    let x = plain(x)?;
    by_dtype!(x, T => {
        slices!(T; xs = x);
        tensor(kernel::blur_pool::<T>(xs, (h, w)), (n, c, h.div_ceil(2), w.div_ceil(2)))
    })
}

/// Backward of [`blur_pool`] for an input of height and width `hw`.
///
/// # Errors
/// `dy` is not four-dimensional, is no output for an input of `hw`, or has an unsupported element type.
pub fn blur_pool_backward(dy: &Tensor, hw: (usize, usize)) -> Result<Tensor> {
    let (n, c, ho, wo) = dims("blur_pool_backward", dy, 1)?;
    let (h, w) = hw;
    if (ho, wo) != (h.div_ceil(2), w.div_ceil(2)) || h.min(w) < 2 {
        bail!("blur_pool_backward: a gradient of {ho}x{wo} does not fit an input of {h}x{w}")
    }
    on_cuda!(dy, image::blur_pool_backward(dy, hw));
    let dy = plain(dy)?;
    by_dtype!(dy, T => {
        slices!(T; ds = dy);
        tensor(kernel::blur_pool_backward::<T>(ds, hw), (n, c, h, w))
    })
}

/// Exact doubling: the transposed filter `[1, 3, 3, 1]` ⊗ `[1, 3, 3, 1]` / 16 with stride 2 behind a replication padding of 1, cropped. Each
/// output is a mix of 9/16, 3/16, 3/16 and 1/16 of four inputs: `[N, C, H, W]` → `[N, C, 2·H, 2·W]`.
///
/// # Errors
/// `x` is not four-dimensional, has no pixels, or has an unsupported element type.
pub fn blur_upsample(x: &Tensor) -> Result<Tensor> {
    let (n, c, h, w) = dims("blur_upsample", x, 1)?;
    on_cuda!(x, image::blur_upsample(x));
    let x = plain(x)?;
    by_dtype!(x, T => {
        slices!(T; xs = x);
        tensor(kernel::blur_upsample::<T>(xs, (h, w)), (n, c, 2 * h, 2 * w))
    })
}

/// Backward of [`blur_upsample`].
///
/// # Errors
/// `dy` is not four-dimensional, has an odd side or no pixels, or has an unsupported element type.
pub fn blur_upsample_backward(dy: &Tensor) -> Result<Tensor> {
    let (n, c, ho, wo) = dims("blur_upsample_backward", dy, 2)?;
    if ho % 2 + wo % 2 != 0 {
        bail!("blur_upsample_backward: {ho}x{wo} is no doubled size")
    }
    let (h, w) = (ho / 2, wo / 2);
    on_cuda!(dy, image::blur_upsample_backward(dy));
    let dy = plain(dy)?;
    by_dtype!(dy, T => {
        slices!(T; ds = dy);
        tensor(kernel::blur_upsample_backward::<T>(ds, (h, w)), (n, c, h, w))
    })
}
