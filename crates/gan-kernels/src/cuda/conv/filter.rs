//! Weights as cuDNN takes them.
use super::operand;
use super::plan::Arithmetic;
use crate::cuda::launch::{BLOCK, Launch, size};
use crate::cuda::module::{Module, module};
use crate::cuda::operand::{MemoryFormat, Operand, Output, accumulator};
use crate::cuda::workspace::outside_capture;
use crate::spec::geometry::Geometry;
use crate::weight::DeviceForm;
use crate::weight::Weight;
use candle_core::cuda::CudaDevice;
use candle_core::{DType, Result, Tensor};

pub(super) const CONV: Module = module!("conv");

/// Input channels of a block of the two kernels, as `conv.cu` has it.
const CHANNELS: usize = 64;
/// Taps for which the two kernels have room.
const MOST_TAPS: usize = 49;

/// A weight, kept alive.
pub(super) enum Filter {
    /// As it is: `[co, ci, kh, kw]`.
    Own(Operand),
    /// The copy `[co, kh, kw, ci]` in BF16 and its address.
    Pixels { address: u64, _copy: Tensor },
}

impl Filter {
    /// The weight for this arithmetic, `None` if it cannot be brought there. The copy in BF16 is made at most once for each
    /// version of the weight.
    pub(super) fn of(w: &Weight, arithmetic: Arithmetic, g: &Geometry) -> Result<Option<Self>> {
        if arithmetic != Arithmetic::Bf16 {
            return Ok(Some(Filter::Own(operand(w.tensor())?)));
        }
        if !fits(g) {
            return Ok(None);
        }
        let copy = w.on_device(DeviceForm::Nhwc, |former| {
            let weight = Operand::ordered(w.tensor(), MemoryFormat::Nchw)?;
            // The former version's memory is used again: a captured graph keeps finding the copy there.
            let copy = match former {
                Some(copy) => copy,
                None => {
                    outside_capture(&weight.device, "the copy of a weight")?;
                    Output::new(&weight.device, DType::BF16, &[g.co * g.taps()], MemoryFormat::Nchw)?.tensor()
                }
            };
            Launch::new(&weight.device, &CONV, "filter_to_pixels")?
                .arg(weight.address)
                .arg(accumulator(&copy, DType::BF16)?)
                .size(g.ci)?
                .size(g.kh * g.kw)?
                .grid(grid(g)?, BLOCK)?;
            Ok(copy)
        })?;
        Ok(Some(Filter::Pixels { address: accumulator(&copy, DType::BF16)?, _copy: copy }))
    }

    pub(super) fn address(&self) -> u64 {
        match self {
            Filter::Own(weight) => weight.address,
            Filter::Pixels { address, .. } => *address,
        }
    }
}

/// Adds a gradient `[co, kh, kw, ci]` in BF16 to an accumulator `[co, ci, kh, kw]` in F32.
pub(super) fn add_from_pixels(device: &CudaDevice, gradient: u64, into: u64, g: &Geometry) -> Result<()> {
    Launch::new(device, &CONV, "add_filter_from_pixels")?
        .arg(gradient)
        .arg(into)
        .size(g.ci)?
        .size(g.kh * g.kw)?
        .grid(grid(g)?, BLOCK)
}

/// Whether the two kernels have room for the weight's taps.
pub(super) fn fits(g: &Geometry) -> bool {
    g.kh * g.kw <= MOST_TAPS
}

fn grid(g: &Geometry) -> Result<(u32, u32)> {
    Ok((size(g.ci.div_ceil(CHANNELS))?, size(g.co)?))
}
