//! Activations.

use crate::cuda::launch::Launch;
use crate::cuda::module::{Module, module, typed};
use crate::cuda::operand::{Operand, Output};
use crate::spec::act::Act;
use candle_core::{Result, Tensor};

const ACT: Module = module!("act");

/// The number by which kernels know an activation.
pub(crate) fn code(a: Act) -> i32 {
    match a {
        Act::Identity => 0,
        Act::Relu => 1,
        Act::LeakyRelu => 2,
        Act::Tanh => 3,
    }
}

pub(crate) fn act(x: &Tensor, a: Act) -> Result<Tensor> {
    let x = Operand::new(x)?;
    let y = Output::like(&x, x.dims())?;
    Launch::new(&x.device, &ACT, typed!(x.dtype(), "act")?)?
        .arg(x.address)
        .arg(y.address)
        .size(x.len())?
        .arg(code(a))
        .threads(x.len().div_ceil(x.pack()))?;
    Ok(y.tensor())
}

pub(crate) fn act_backward(y: &Tensor, dy: &Tensor, a: Act) -> Result<Tensor> {
    let y = Operand::new(y)?;
    let dy = Operand::ordered(dy, y.order)?;
    let dx = Output::like(&y, y.dims())?;
    Launch::new(&y.device, &ACT, typed!(y.dtype(), "act_backward")?)?
        .arg(y.address)
        .arg(dy.address)
        .arg(dx.address)
        .size(y.len())?
        .arg(code(a))
        .threads(y.len().div_ceil(y.pack()))?;
    Ok(dx.tensor())
}
