//! Operators on label and instance maps.

use crate::cuda::launch::Launch;
use crate::cuda::module::{Module, module};
use crate::cuda::operand::{MemoryFormat, Operand, Output, Scratch};
use candle_core::{DType, Result, Tensor, bail};

const LABELS: Module = module!("labels");

/// Pixels that one thread of the instance kernels walks over.
const RUN: usize = 16;

/// The kernel's name for a type of ids and one of planes.
macro_rules! pair {
    ($ids:expr, $planes:expr, $name:literal) => {
        match ($ids, $planes) {
            (DType::U8, DType::F32) => concat!($name, "_u8_f32"),
            (DType::U8, DType::F64) => concat!($name, "_u8_f64"),
            (DType::U32, DType::F32) => concat!($name, "_u32_f32"),
            (DType::U32, DType::F64) => concat!($name, "_u32_f64"),
            (_, other) => bail!("planes are F32 or F64, not {other:?}"),
        }
    };
}

/// Ids of a checked map `[N, 1, H, W]`. What they are is not looked at, which would mean to wait for the device.
pub(crate) fn one_hot(labels: &Tensor, classes: usize, dtype: DType) -> Result<Tensor> {
    let ids = Operand::new(labels)?;
    let [n, _, h, w] = ids.dims4()?;
    let y = Output::new(&ids.device, dtype, &[n, classes, h, w], MemoryFormat::Nchw)?;
    Launch::new(&ids.device, &LABELS, pair!(ids.dtype(), dtype, "one_hot"))?
        .arg(ids.address)
        .arg(y.address)
        .size(ids.len())?
        .size(h * w)?
        .size(classes)?
        .threads(ids.len())?;
    Ok(y.tensor())
}

pub(crate) fn instance_edges(inst: &Tensor, dtype: DType) -> Result<Tensor> {
    let ids = Operand::new(inst)?;
    let [.., h, w] = ids.dims4()?;
    let y = Output::new(&ids.device, dtype, ids.dims(), MemoryFormat::Nchw)?;
    Launch::new(&ids.device, &LABELS, pair!(ids.dtype(), dtype, "instance_edges"))?
        .arg(ids.address)
        .arg(y.address)
        .size(ids.len())?
        .size(h)?
        .size(w)?
        .threads(ids.len())?;
    Ok(y.tensor())
}

/// Sums are of integers, so their order does not matter (see the kernels).
pub(crate) fn instance_mean(x: &Tensor, inst: &Tensor) -> Result<Tensor> {
    let x = Operand::new(x)?;
    let ids = Operand::new(inst)?;
    let [n, c, h, w] = x.dims4()?;
    let hw = h * w;
    let (largest, sums, means) = match x.dtype() {
        DType::F32 => ("instance_largest_f32", "instance_sums_f32", "instance_means_f32"),
        DType::F64 => ("instance_largest_f64", "instance_sums_f64", "instance_means_f64"),
        other => bail!("instance_mean: features are F32 or F64, not {other:?}"),
    };
    let slots = if ids.dtype() == DType::U8 { "instance_slots_u8" } else { "instance_slots_u32" };
    let y = Output::like(&x, x.dims())?;
    // At most half of an image's table is in use.
    let size = (2 * hw).next_power_of_two();
    let (device, entries) = (&x.device, n * size);
    let table = Scratch::zeroed(device, entries * size_of::<u64>())?;
    let counts = Scratch::zeroed(device, entries * size_of::<u32>())?;
    let slot = Scratch::new(device, n * hw * size_of::<u32>())?;
    let most = Scratch::zeroed(device, n * c * size_of::<u64>())?;
    let total = Scratch::zeroed(device, entries * c * size_of::<u64>())?;
    Launch::new(device, &LABELS, slots)?
        .arg(ids.address)
        .arg(table.address)
        .arg(counts.address)
        .arg(slot.address)
        .size(n * hw)?
        .size(hw)?
        .size(size)?
        .threads((n * hw).div_ceil(RUN))?;
    Launch::new(device, &LABELS, largest)?
        .arg(x.address)
        .arg(most.address)
        .size(x.len())?
        .size(hw)?
        .threads(x.len().div_ceil(RUN))?;
    Launch::new(device, &LABELS, sums)?
        .arg(x.address)
        .arg(slot.address)
        .arg(most.address)
        .arg(total.address)
        .size(x.len())?
        .size(c)?
        .size(hw)?
        .threads(x.len().div_ceil(RUN))?;
    Launch::new(device, &LABELS, means)?
        .arg(y.address)
        .arg(slot.address)
        .arg(counts.address)
        .arg(most.address)
        .arg(total.address)
        .size(x.len())?
        .size(c)?
        .size(hw)?
        .threads(x.len())?;
    Ok(y.tensor())
}
