//! Padding of all four sides, and its adjoint.
use crate::PadMode;
use crate::cuda::launch::Launch;
use crate::cuda::module::{Module, module, typed};
use crate::cuda::operand::{Operand, Order, Output};
use candle_core::{Result, Tensor, bail};

const PAD: Module = module!("pad");

/// The number by which kernels know a mode.
fn code(mode: PadMode) -> i32 {
    match mode {
        PadMode::Zero => 0,
        PadMode::Reflect => 1,
        PadMode::Replicate => 2,
    }
}

/// Channels of a cell: a picture in pixels has them side by side, one in planes has pictures of one channel.
fn cell(order: Order, channels: usize) -> usize {
    match order {
        Order::Pixels => channels,
        Order::Planes => 1,
    }
}

/// A size or a coordinate as `int`.
fn int(n: usize) -> Result<i32> {
    match i32::try_from(n) {
        Ok(n) => Ok(n),
        Err(_) => bail!("CUDA kernels take pictures of at most 2^31 - 1 pixels, not {n}"),
    }
}

fn fits(mode: PadMode, amount: usize, (h, w): (usize, usize)) -> Result<()> {
    if mode == PadMode::Reflect && amount >= h.min(w) {
        bail!("pad: a reflection of {amount} pixels needs a larger picture than {h}x{w}")
    }
    Ok(())
}

/// `[N, C, H, W]` → `[N, C, H + 2 amount, W + 2 amount]`.
pub(crate) fn pad(x: &Tensor, mode: PadMode, amount: usize) -> Result<Tensor> {
    let (n, c, h, w) = x.dims4()?;
    fits(mode, amount, (h, w))?;
    let x = Operand::new(x)?;
    let y = Output::like(&x, &[n, c, h + 2 * amount, w + 2 * amount])?;
    let cell = cell(x.order, c) * x.dtype().size_in_bytes();
    let fits = |unit: usize| cell.is_multiple_of(unit) && (x.address | y.address).is_multiple_of(unit as u64);
    let (unit, name) = match () {
        () if fits(16) => (16, "pad_16"),
        () if fits(8) => (8, "pad_8"),
        () if fits(4) => (4, "pad_4"),
        () => (2, "pad_2"),
    };
    let units = n * c * (h + 2 * amount) * (w + 2 * amount) * x.dtype().size_in_bytes() / unit;
    Launch::new(&x.device, &PAD, name)?
        .arg(x.address)
        .arg(y.address)
        .size(units)?
        .size(cell / unit)?
        .arg(int(h)?)
        .arg(int(w)?)
        .arg(int(amount)?)
        .arg(code(mode))
        .threads(units)?;
    Ok(y.tensor())
}

/// The gradient of [`pad`]'s input `[N, C, H, W]` from that of its output.
pub(crate) fn pad_backward(dy: &Tensor, mode: PadMode, amount: usize, (h, w): (usize, usize)) -> Result<Tensor> {
    let (n, c, wide_h, wide_w) = dy.dims4()?;
    if (wide_h, wide_w) != (h + 2 * amount, w + 2 * amount) {
        bail!("pad_backward: {:?} is no picture of {h}x{w} padded by {amount}", dy.dims())
    }
    fits(mode, amount, (h, w))?;
    let dy = Operand::new(dy)?;
    let dx = Output::like(&dy, &[n, c, h, w])?;
    let cell = cell(dy.order, c);
    let lanes = 16 / dy.dtype().size_in_bytes();
    let packed = cell.is_multiple_of(lanes) && (dy.address | dx.address).is_multiple_of(16);
    let (name, lanes) = if packed {
        (typed!(dy.dtype(), "pad_backward_packs")?, lanes)
    } else {
        (typed!(dy.dtype(), "pad_backward")?, 1)
    };
    let threads = n * c * h * w / lanes;
    Launch::new(&dy.device, &PAD, name)?
        .arg(dy.address)
        .arg(dx.address)
        .size(threads)?
        .size(cell)?
        .arg(int(h)?)
        .arg(int(w)?)
        .arg(int(amount)?)
        .arg(code(mode))
        .threads(threads)?;
    Ok(dx.tensor())
}
