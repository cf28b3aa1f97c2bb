//! Features at single pixels.

use crate::cuda::dropout_key::dropout_key;
use crate::cuda::launch::Launch;
use crate::cuda::module::{Module, module, typed};
use crate::cuda::operand::{MemoryFormat, Operand, Output, accumulator, statistics};
use crate::spec::dropout::MaskKey;
use candle_core::cuda::CudaDevice;
use candle_core::{DType, Result, Tensor};

const PATCHES: Module = module!("patches");

pub(crate) fn positions(device: &CudaDevice, key: MaskKey, pixels: usize, count: usize) -> Result<Tensor> {
    let at = Output::new(device, DType::U32, &[count], MemoryFormat::Nchw)?;
    // In a captured step: where the key is found, and the index of the sequence under it.
    let live = dropout_key(key)?;
    let [low, high] = match live {
        Some((_, index)) => [index as u32, (index >> 32) as u32],
        None => key.sequence().words(),
    };
    Launch::new(device, &PATCHES, "positions")?
        .arg(at.address)
        .size(count)?
        .size(pixels)?
        .arg(low)
        .arg(high)
        .arg(live.map(|(address, _)| address))
        .threads(count)?;
    Ok(at.tensor())
}

pub(crate) fn mirrored(positions: &Tensor, width: usize) -> Result<Tensor> {
    let at = Operand::ordered(positions, MemoryFormat::Nchw)?;
    let to = Output::like(&at, at.dims())?;
    Launch::new(&at.device, &PATCHES, "mirrored")?
        .arg(at.address)
        .arg(to.address)
        .size(at.len())?
        .size(width)?
        .threads(at.len())?;
    Ok(to.tensor())
}

pub(crate) fn mirrored_images(x: &Tensor) -> Result<Tensor> {
    let x = Operand::new(x)?;
    let y = Output::like(&x, x.dims())?;
    let [_, c, _, w] = x.dims4()?;
    // Elements of a pixel that lie side by side.
    let inner = if x.order == MemoryFormat::Nhwc { c } else { 1 };
    Launch::new(&x.device, &PATCHES, typed!(x.dtype(), "mirrored_images")?)?
        .arg(x.address)
        .arg(y.address)
        .size(x.len())?
        .size(w)?
        .size(inner)?
        .threads(x.len())?;
    Ok(y.tensor())
}

/// The kernel's arguments behind the addresses: images, channels, pixels, positions, and the steps from pixel to pixel and from channel to
/// channel.
fn layout<'a>(launch: Launch<'a>, order: MemoryFormat, [n, c, h, w]: [usize; 4], count: usize) -> Result<Launch<'a>> {
    let (pixel, channel) = match order {
        MemoryFormat::Nchw => (1, h * w),
        MemoryFormat::Nhwc => (c, 1),
    };
    launch.size(n)?.size(c)?.size(h * w)?.size(count)?.size(pixel)?.size(channel)
}

pub(crate) fn gather(x: &Tensor, positions: &Tensor) -> Result<Tensor> {
    let x = Operand::new(x)?;
    let at = Operand::ordered(positions, MemoryFormat::Nchw)?;
    let [n, c, ..] = x.dims4()?;
    let rows = Output::new(&x.device, statistics(x.dtype()), &[n * at.len(), c], MemoryFormat::Nchw)?;
    let launch = Launch::new(&x.device, &PATCHES, typed!(x.dtype(), "gather")?)?;
    let launch = launch.arg(x.address).arg(at.address).arg(rows.address);
    layout(launch, x.order, x.dims4()?, at.len())?.threads(n * at.len() * c)?;
    Ok(rows.tensor())
}

pub(crate) fn gather_backward(rows: &Tensor, positions: &Tensor, into: &Tensor) -> Result<()> {
    let order = if into.is_contiguous() { MemoryFormat::Nchw } else { MemoryFormat::Nhwc };
    let dims: [usize; 4] = into.dims4()?.into();
    // A view of its elements in the order of memory.
    let flat = if order == MemoryFormat::Nhwc { into.permute((0, 2, 3, 1))? } else { into.clone() };
    let address = accumulator(&flat, into.dtype())?;
    let rows = Operand::ordered(&rows.to_dtype(statistics(into.dtype()))?, MemoryFormat::Nchw)?;
    let at = Operand::ordered(positions, MemoryFormat::Nchw)?;
    let launch = Launch::new(&rows.device, &PATCHES, typed!(into.dtype(), "gather_backward")?)?;
    let launch = launch.arg(rows.address).arg(at.address).arg(address);
    layout(launch, order, dims, at.len())?.threads(rows.len())
}
