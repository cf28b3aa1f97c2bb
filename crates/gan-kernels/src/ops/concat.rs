//! Joining and cutting tensors along their channels.
use crate::dispatch::on_cuda;
use candle_core::{Result, Tensor};

/// The channels of `x` `[N, A, H, W]`, then those of `y` `[N, B, H, W]`: `[N, A + B, H, W]`.
///
/// # Errors
/// The tensors differ in anything but their channels: in images, height, width or element type.
pub fn cat_channels(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    on_cuda!(x, layout::cat_channels(x, y));
    Tensor::cat(&[x.detach(), y.detach()], 1)
}

/// The channels `from .. from + count` of `x` `[N, C, H, W]`, dense: `[N, count, H, W]`.
///
/// # Errors
/// `x` has fewer than `from + count` channels.
pub fn narrow_channels(x: &Tensor, from: usize, count: usize) -> Result<Tensor> {
    on_cuda!(x, layout::narrow_channels(x, from, count));
    x.detach().narrow(1, from, count)?.contiguous()
}
