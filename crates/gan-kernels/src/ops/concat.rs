//! Joining and cutting tensors along their channels.
use crate::dispatch::on_cuda;
use candle_core::{Result, Tensor, bail};

/// The channels of all parts `[N, C_i, H, W]`, one part after the other: `[N, Σ C_i, H, W]`.
///
/// # Errors
/// There is no part, or they differ in anything but their channels: in images, height, width or element type.
pub fn cat_channels(parts: &[&Tensor]) -> Result<Tensor> {
    if parts.is_empty() {
        bail!("cat_channels: no tensors")
    }
    on_cuda!(parts[0], layout::cat_channels(parts));
    let parts: Vec<Tensor> = parts.iter().map(|part| part.detach()).collect();
    Tensor::cat(&parts, 1)
}

/// The channels `from .. from + count` of `x` `[N, C, H, W]`, dense: `[N, count, H, W]`.
///
/// # Errors
/// `x` has fewer than `from + count` channels.
pub fn narrow_channels(x: &Tensor, from: usize, count: usize) -> Result<Tensor> {
    on_cuda!(x, layout::narrow_channels(x, from, count));
    x.detach().narrow(1, from, count)?.contiguous()
}
