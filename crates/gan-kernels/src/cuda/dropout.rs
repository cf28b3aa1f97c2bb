//! Dropout.

use crate::cuda::launch::{Arg, Launch};
use crate::cuda::module::{Module, module, typed};
use crate::cuda::operand::{Operand, Order, Output};
use candle_core::{Result, Tensor};
use gan_rng::Key;

const DROPOUT: Module = module!("dropout");

pub(crate) fn dropout(x: &Tensor, p: f64, key: Key) -> Result<Tensor> {
    let x = Operand::new(x)?;
    let y = Output::like(&x, x.dims())?;
    let [low, high] = key.words();
    let name = match x.order {
        Order::Planes => typed!(x.dtype(), "dropout")?,
        Order::Pixels => "dropout_pixels_bf16",
    };
    let launch = Launch::new(&x.device, &DROPOUT, name)?
        .arg(x.address)
        .arg(y.address)
        .size(x.len())?
        .arg(low)
        .arg(high)
        // Compared as integers: `word >= ceil(p · 2^32)` is `word >= p · 2^32`.
        .arg(Arg::U64((p * 4_294_967_296.0).ceil() as u64))
        .arg(1.0 / (1.0 - p));
    match x.order {
        Order::Planes => launch.threads(x.len().div_ceil(4))?,
        Order::Pixels => {
            let [_, c, h, w] = x.dims4()?;
            launch.size(c)?.size(h * w)?.threads(x.len())?;
        }
    }
    Ok(y.tensor())
}
