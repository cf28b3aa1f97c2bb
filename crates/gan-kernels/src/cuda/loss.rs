//! Loss reductions: value and gradient in one launch.

use crate::cuda::launch::{BLOCK, Launch, size};
use crate::cuda::module::{Module, module, typed};
use crate::cuda::operand::{MemoryFormat, Operand, Output, statistics};
use crate::cuda::workspace::Workspace;
use candle_core::{Result, Tensor};

const LOSS: Module = module!("loss");

/// Which mean; the numbers are the kernel's.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Mean = 0,
    SquaredError = 1,
    Bce = 2,
    L1 = 3,
    Hinge = 4,
}

/// The mean times `scale`, and the gradient, whose common factor is `share`.
fn reduce(x: &Tensor, y: Option<&Tensor>, kind: Kind, target: f64, scale: f64, slope: f64) -> Result<(Tensor, Tensor)> {
    let x = Operand::new(x)?;
    let y = y.map(|y| Operand::ordered(y, x.order)).transpose()?;
    let gradient = Output::like(&x, x.dims())?;
    let value = Output::new(&x.device, statistics(x.dtype()), &[], MemoryFormat::Nchw)?;
    let n = x.len();
    // Four packs a thread, up to a thousand blocks.
    let blocks = n.div_ceil(BLOCK as usize * x.pack() * 4).clamp(1, 1024);
    let room = Workspace::of(&x.device, 1, blocks * size_of::<f64>())?;
    Launch::new(&x.device, &LOSS, typed!(x.dtype(), "loss")?)?
        .arg(x.address)
        .arg(y.as_ref().map(|y| y.address))
        .arg(gradient.address)
        .arg(room.parts)
        .arg(room.counters)
        .arg(value.address)
        .size(n)?
        .arg(kind as i32)
        .arg(target)
        .arg(slope / n as f64)
        .arg(scale / n as f64)
        .grid((size(blocks)?, 1), BLOCK)?;
    Ok((value.tensor(), gradient.tensor()))
}

pub(crate) fn squared_error(x: &Tensor, target: f64) -> Result<(Tensor, Tensor)> {
    reduce(x, None, Kind::SquaredError, target, 1.0, 2.0)
}

pub(crate) fn bce_with_logits(x: &Tensor, target: f64) -> Result<(Tensor, Tensor)> {
    reduce(x, None, Kind::Bce, target, 1.0, 1.0)
}

pub(crate) fn hinge(x: &Tensor, sign: f64) -> Result<(Tensor, Tensor)> {
    reduce(x, None, Kind::Hinge, sign, 1.0, -sign)
}

pub(crate) fn mean(x: &Tensor, scale: f64) -> Result<(Tensor, Tensor)> {
    reduce(x, None, Kind::Mean, 0.0, scale, scale)
}

pub(crate) fn l1(x: &Tensor, y: &Tensor) -> Result<(Tensor, Tensor)> {
    reduce(x, Some(y), Kind::L1, 0.0, 1.0, 1.0)
}
