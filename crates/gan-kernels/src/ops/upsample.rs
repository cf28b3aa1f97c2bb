//! Nearest upsampling.
use crate::cpu::real::by_dtype;
use crate::cpu::upsample as kernel;
use crate::dispatch::on_cuda;
use crate::ops::storage::{plain, slices, tensor};
use candle_core::{Result, Tensor, bail};

fn dims(op: &str, x: &Tensor, factor: usize) -> Result<(usize, usize, usize, usize)> {
    match x.dims() {
        _ if factor == 0 => bail!("{op}: the factor must be at least 1"),
        &[n, c, h, w] if h * w > 0 => Ok((n, c, h, w)),
        other => bail!("{op}: expected [N, C, H, W] with pixels, got {other:?}"),
    }
}

/// Repeats every pixel `factor` × `factor` times: `[N, C, H, W]` → `[N, C, factor·H, factor·W]`.
///
/// # Errors
/// `factor` is 0, or `x` is not four-dimensional, has no pixels, or has an unsupported element type.
pub fn upsample_nearest(x: &Tensor, factor: usize) -> Result<Tensor> {
    let (n, c, h, w) = dims("upsample_nearest", x, factor)?;
    on_cuda!(x, image::upsample_nearest(x, factor));
    let x = plain(x)?;
    by_dtype!(x, T => {
        slices!(T; xs = x);
        tensor(kernel::upsample_nearest::<T>(xs, (h, w), factor), (n, c, h * factor, w * factor))
    })
}

/// Backward of [`upsample_nearest`]: sums each block.
///
/// # Errors
/// `factor` is 0 or does not divide both sides, or `dy` is not four-dimensional, has no pixels, or has an unsupported
/// element type.
pub fn upsample_nearest_backward(dy: &Tensor, factor: usize) -> Result<Tensor> {
    let (n, c, hf, wf) = dims("upsample_nearest_backward", dy, factor)?;
    if hf % factor != 0 || wf % factor != 0 {
        bail!("upsample_nearest_backward: {hf}x{wf} is no multiple of the factor {factor}")
    }
    let (h, w) = (hf / factor, wf / factor);
    on_cuda!(dy, image::upsample_nearest_backward(dy, factor));
    let dy = plain(dy)?;
    by_dtype!(dy, T => {
        slices!(T; ds = dy);
        tensor(kernel::upsample_nearest_backward::<T>(ds, (h, w), factor), (n, c, h, w))
    })
}
