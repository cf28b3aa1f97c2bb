//! Sums, channel ranges and element types: what joins the parts of a network.
use crate::storage::{on_cuda, same_shape};
use candle_core::{DType, Result, Tensor};

/// `x + y`, equal shapes; lies in memory as `x` does.
///
/// # Errors
/// The tensors differ in shape or element type.
pub fn add(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    same_shape("add", x, y)?;
    on_cuda!(x, buffer::add(x, y));
    x.detach() + y.detach()
}

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

/// `x` as another element type. On CUDA, BF16 pictures `[N, C, H, W]` come with their channels last in memory, F32 ones
/// row-major; both changes are one pass.
///
/// # Errors
/// There is no conversion from the type of `x` to `dtype` on its device.
pub fn convert(x: &Tensor, dtype: DType) -> Result<Tensor> {
    on_cuda!(x, layout::convert(x, dtype));
    x.detach().to_dtype(dtype)
}
