//! Dropout.

use crate::cuda::dropout_key::dropout_key;
use crate::cuda::launch::{Arg, Launch};
use crate::cuda::module::{Module, module, typed};
use crate::cuda::operand::{MemoryFormat, Operand, Output};
use crate::spec::dropout::MaskKey;
use candle_core::{Result, Tensor};

const DROPOUT: Module = module!("dropout");

pub(crate) fn dropout(x: &Tensor, p: f64, key: MaskKey) -> Result<Tensor> {
    let x = Operand::new(x)?;
    let y = Output::like(&x, x.dims())?;
    // In a captured step: where the key is found, and the index of the sequence under it.
    let live = dropout_key(key)?;
    let [low, high] = match live {
        Some((_, index)) => [index as u32, (index >> 32) as u32],
        None => key.sequence().words(),
    };
    let name = match x.order {
        MemoryFormat::Nchw => typed!(x.dtype(), "dropout")?,
        MemoryFormat::Nhwc => "dropout_pixels_bf16",
    };
    let launch = Launch::new(&x.device, &DROPOUT, name)?
        .arg(x.address)
        .arg(y.address)
        .size(x.len())?
        .arg(low)
        .arg(high)
        // Compared as integers: `word >= ceil(p · 2^32)` is `word >= p · 2^32`.
        .arg(Arg::U64((p * 4_294_967_296.0).ceil() as u64))
        .arg(1.0 / (1.0 - p))
        .arg(live.map(|(address, _)| address));
    match x.order {
        MemoryFormat::Nchw => launch.threads(x.len().div_ceil(4))?,
        MemoryFormat::Nhwc => {
            let [_, c, h, w] = x.dims4()?;
            launch.size(c)?.size(h * w)?.threads(x.len())?;
        }
    }
    Ok(y.tensor())
}
