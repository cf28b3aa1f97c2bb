//! The bias and its gradient.
use super::filter::CONV;
use crate::cuda::act::code;
use crate::cuda::launch::{BLOCK, Launch, size};
use crate::cuda::module::typed;
use crate::cuda::operand::{MemoryFormat, Operand, Output, accumulator};
use crate::spec::act::Act;
use candle_core::cuda::CudaDevice;
use candle_core::{DType, Result, Tensor, bail};

/// Threads of a block of the gradient's kernels, and the most parts in which they sum; as `conv.cu` has it.
const THREADS: usize = 256;
/// Elements that a thread sums at least.
const EACH: usize = 16;

/// The type of parameters and their gradients beside tensors of a type.
fn parameter(dtype: DType) -> DType {
    if dtype == DType::BF16 { DType::F32 } else { dtype }
}

/// The bias, which must be one number a channel of the wanted type.
pub(super) fn checked(op: &str, bias: &Tensor, channels: usize, wanted: DType) -> Result<Operand> {
    if bias.dims() != [channels] || bias.dtype() != wanted {
        bail!("{op}: the bias must be [{channels}] {wanted:?}, got {:?} {:?}", bias.dims(), bias.dtype())
    }
    Operand::new(bias)
}

/// Adds the bias to a finished convolution `[n, channels, h, w]` and applies the activation.
pub(super) fn add(
    op: &str,
    device: &CudaDevice,
    y: &Output,
    dtype: DType,
    [n, channels, h, w]: [usize; 4],
    bias: &Tensor,
    act: Act,
) -> Result<()> {
    let bias = checked(op, bias, channels, parameter(dtype))?;
    let inner = if super::order(dtype) == MemoryFormat::Nhwc { 1 } else { h * w };
    let len = n * channels * h * w;
    Launch::new(device, &CONV, typed!(dtype, "add_bias")?)?
        .arg(y.address)
        .arg(bias.address)
        .size(len)?
        .size(inner)?
        .size(channels)?
        .arg(code(act))
        .threads(len.div_ceil(16 / dtype.size_in_bytes()))
}

/// Adds Σ dy over images and pixels to a bias gradient `[channels]`, in two stages.
pub(crate) fn add_bias_gradient(dy: &Tensor, into: &Tensor) -> Result<()> {
    let (n, channels, h, w) = dy.dims4()?;
    let dy = Operand::new(dy)?;
    let wanted = parameter(dy.dtype());
    let into = accumulator(into, wanted)?;
    let count = n * h * w;
    if count == 0 {
        return Ok(());
    }
    // Elements of a channel that a block sums.
    let lanes = match dy.order {
        MemoryFormat::Nhwc => THREADS / channels.min(THREADS),
        MemoryFormat::Nchw => THREADS,
    };
    let each = (lanes * EACH).max(count.div_ceil(THREADS));
    let parts = count.div_ceil(each);
    let partial = Output::new(&dy.device, wanted, &[parts, channels], MemoryFormat::Nchw)?;
    match dy.order {
        MemoryFormat::Nhwc => Launch::new(&dy.device, &CONV, typed!(dy.dtype(), "bias_pixels")?)?
            .arg(dy.address)
            .arg(partial.address)
            .size(count)?
            .size(channels)?
            .size(each)?
            .grid((size(parts)?, size(channels.div_ceil(THREADS))?), BLOCK)?,
        MemoryFormat::Nchw => Launch::new(&dy.device, &CONV, typed!(dy.dtype(), "bias_planes")?)?
            .arg(dy.address)
            .arg(partial.address)
            .size(n)?
            .size(channels)?
            .size(h * w)?
            .size(each)?
            .grid((size(parts)?, size(channels)?), BLOCK)?,
    }
    Launch::new(&dy.device, &CONV, if wanted == DType::F64 { "add_parts_f64" } else { "add_parts_f32" })?
        .arg(partial.address)
        .arg(into)
        .size(parts)?
        .size(channels)?
        .grid((size(channels)?, 1), BLOCK)
}
