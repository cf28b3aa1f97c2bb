//! Changes of element type and order, and copies of channel ranges.

use crate::cuda::launch::{BLOCK, Launch, size};
use crate::cuda::module::{Module, module, typed};
use crate::cuda::operand::{MemoryFormat, Operand, Output};
use candle_core::{DType, Result, Tensor, bail};

const LAYOUT: Module = module!("layout");

/// Channels up to which one thread moves a whole pixel.
const THIN: usize = 8;

/// The kernel's name for a pair of element types.
macro_rules! pair {
    ($from:expr, $to:expr, $name:literal) => {
        match ($from, $to) {
            (DType::F32, DType::F32) => Ok(concat!($name, "_f32_f32")),
            (DType::F64, DType::F64) => Ok(concat!($name, "_f64_f64")),
            (DType::BF16, DType::BF16) => Ok(concat!($name, "_bf16_bf16")),
            (DType::F32, DType::BF16) => Ok(concat!($name, "_f32_bf16")),
            (DType::BF16, DType::F32) => Ok(concat!($name, "_bf16_f32")),
            (from, to) => Err(candle_core::Error::Msg(format!("no conversion from {from:?} to {to:?} on CUDA"))),
        }
    };
}

/// BF16 in pixels (four dimensions), F32 and F64 in planes; one launch.
pub(crate) fn convert(x: &Tensor, dtype: DType) -> Result<Tensor> {
    let pixels = dtype == DType::BF16 && x.dims().len() == 4;
    let x = Operand::new(x)?;
    if x.dtype() == dtype && pixels == (x.order == MemoryFormat::Nhwc) {
        return Ok(x.tensor());
    }
    moved(&x, dtype, if pixels { MemoryFormat::Nhwc } else { MemoryFormat::Nchw })
}

/// The elements of a dense operand as another type, in another order, or both.
pub(crate) fn moved(x: &Operand, dtype: DType, order: MemoryFormat) -> Result<Tensor> {
    let y = Output::new(&x.device, dtype, x.dims(), order)?;
    if x.order == order {
        Launch::new(&x.device, &LAYOUT, pair!(x.dtype(), dtype, "convert")?)?
            .arg(x.address)
            .arg(y.address)
            .size(x.len())?
            .threads(x.len())?;
        return Ok(y.tensor());
    }
    let [n, c, h, w] = x.dims4()?;
    let hw = h * w;
    if c <= THIN {
        Launch::new(&x.device, &LAYOUT, pair!(x.dtype(), dtype, "thin_transpose")?)?
            .arg(x.address)
            .arg(y.address)
            .size(n * hw)?
            .size(c)?
            .size(hw)?
            .arg(order == MemoryFormat::Nhwc)
            .threads(n * hw)?;
        return Ok(y.tensor());
    }
    let (rows, cols) = if order == MemoryFormat::Nhwc { (c, hw) } else { (hw, c) };
    let (row_tiles, col_tiles) = (rows.div_ceil(32), cols.div_ceil(32));
    Launch::new(&x.device, &LAYOUT, pair!(x.dtype(), dtype, "transpose")?)?
        .arg(x.address)
        .arg(y.address)
        .size(rows)?
        .size(cols)?
        .size(row_tiles)?
        .size(col_tiles)?
        .grid((size(n * row_tiles * col_tiles)?, 1), BLOCK)?;
    Ok(y.tensor())
}

/// Rows of contiguous elements in which channels lie side by side, and the elements of a channel in a row.
fn rows(x: &Operand) -> Result<(usize, usize)> {
    let [n, _, h, w] = x.dims4()?;
    Ok(match x.order {
        MemoryFormat::Nchw => (n, h * w),
        MemoryFormat::Nhwc => (n * h * w, 1),
    })
}

/// Copies `count` channels of `x`, from number `from`, to the channels of a tensor of `to_channels` from number `to`.
fn copy_channels(x: &Operand, from: usize, count: usize, into: u64, to_channels: usize, to: usize) -> Result<()> {
    let [_, c, ..] = x.dims4()?;
    let (rows, each) = rows(x)?;
    Launch::new(&x.device, &LAYOUT, typed!(x.dtype(), "copy_columns")?)?
        .arg(x.address)
        .arg(into)
        .size(rows)?
        .size(count * each)?
        .size(c * each)?
        .size(from * each)?
        .size(to_channels * each)?
        .size(to * each)?
        .threads(rows * (count * each).div_ceil(x.pack()))
}

/// The result lies in memory as the first part does; there is one.
pub(crate) fn cat_channels(parts: &[&Tensor]) -> Result<Tensor> {
    let first = Operand::new(parts[0])?;
    let [n, _, h, w] = first.dims4()?;
    let mut operands = Vec::with_capacity(parts.len());
    let mut channels = 0;
    for part in parts {
        let part = Operand::ordered(part, first.order)?;
        let [images, c, height, width] = part.dims4()?;
        if (images, height, width) != (n, h, w) || part.dtype() != first.dtype() {
            let (a, b) = (first.dims(), part.dims());
            bail!("cat_channels: {a:?} {:?} and {b:?} {:?} do not fit", first.dtype(), part.dtype())
        }
        operands.push((part, c, channels));
        channels += c;
    }
    let out = Output::like(&first, &[n, channels, h, w])?;
    for (part, c, to) in &operands {
        copy_channels(part, 0, *c, out.address, channels, *to)?;
    }
    Ok(out.tensor())
}

pub(crate) fn narrow_channels(x: &Tensor, from: usize, count: usize) -> Result<Tensor> {
    let x = Operand::new(x)?;
    let [n, c, h, w] = x.dims4()?;
    if from + count > c {
        bail!("narrow_channels: {:?} has no channels {from}..{}", x.dims(), from + count)
    }
    let out = Output::like(&x, &[n, count, h, w])?;
    copy_channels(&x, from, count, out.address, count, 0)?;
    Ok(out.tensor())
}
