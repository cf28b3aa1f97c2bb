//! Gradients times what comes from above.

use crate::cuda::launch::Launch;
use crate::cuda::module::{Module, module, typed};
use crate::cuda::operand::{Operand, Output, statistics};
use candle_core::{Result, Tensor};

const SCALE: Module = module!("scale");

/// `x` times the only element of `factor`, which stays where it is.
pub(crate) fn scale(x: &Tensor, factor: &Tensor) -> Result<Tensor> {
    let x = Operand::new(x)?;
    let factor = Operand::new(&factor.to_dtype(statistics(x.dtype()))?)?;
    let y = Output::like(&x, x.dims())?;
    Launch::new(&x.device, &SCALE, typed!(x.dtype(), "scale")?)?
        .arg(x.address)
        .arg(factor.address)
        .arg(y.address)
        .size(x.len())?
        .threads(x.len().div_ceil(x.pack()))?;
    Ok(y.tensor())
}
