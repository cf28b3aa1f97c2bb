//! Changes of element type and of place in memory.
use crate::storage::on_cuda;
use candle_core::{DType, Result, Tensor, bail};

/// Activations `[N, C, H, W]` in F32 as BF16 with the channels last (the same shape, other strides), as tensor cores take
/// them. CUDA devices only. BF16 is returned as it is.
pub fn to_bf16(x: &Tensor) -> Result<Tensor> {
    x.dims4()?;
    match x.dtype() {
        DType::BF16 => return Ok(x.detach()),
        DType::F32 => {}
        other => bail!("to_bf16: expected F32, got {other:?}"),
    }
    on_cuda!(x, layout::to_bf16(x));
    bail!("to_bf16: BF16 is for CUDA devices, the tensor is on {:?}", x.device().location())
}

/// The way back from [`to_bf16`]: contiguous F32. F32 is returned as it is.
pub fn to_f32(x: &Tensor) -> Result<Tensor> {
    x.dims4()?;
    match x.dtype() {
        DType::F32 => return Ok(x.detach()),
        DType::BF16 => {}
        other => bail!("to_f32: expected BF16, got {other:?}"),
    }
    on_cuda!(x, layout::to_f32(x));
    x.detach().to_dtype(DType::F32)?.contiguous()
}

/// `[N, A, H, W]` and `[N, B, H, W]` → `[N, A + B, H, W]`.
pub fn concat_channels(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let ((n, _, h, w), (bn, _, bh, bw)) = (a.dims4()?, b.dims4()?);
    if (n, h, w) != (bn, bh, bw) || a.dtype() != b.dtype() {
        let (a, b) = ((a.dims(), a.dtype()), (b.dims(), b.dtype()));
        bail!("concat_channels: {a:?} and {b:?} do not fit together")
    }
    on_cuda!(a, layout::concat_channels(a, b));
    Tensor::cat(&[&a.detach(), &b.detach()], 1)
}

/// The first `channels` channels of `[N, C, H, W]`, and the others.
pub fn split_channels(x: &Tensor, channels: usize) -> Result<(Tensor, Tensor)> {
    let (_, c, _, _) = x.dims4()?;
    if channels > c {
        bail!("split_channels: {channels} channels of {:?}", x.dims())
    }
    on_cuda!(x, layout::split_channels(x, channels));
    let x = x.detach();
    Ok((x.narrow(1, 0, channels)?.contiguous()?, x.narrow(1, channels, c - channels)?.contiguous()?))
}
