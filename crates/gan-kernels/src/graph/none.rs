//! Without CUDA.

use candle_core::{Device, Error, Result, Tensor};
use gan_rng::Key;

/// There is none.
pub(super) enum Graph {}

impl Graph {
    pub(super) fn launch(&self) -> Result<()> {
        match *self {}
    }
}

pub(super) fn capture<T, E: From<Error>>(
    device: &Device,
    _: impl FnOnce() -> std::result::Result<T, E>,
) -> std::result::Result<(Graph, T), E> {
    let place = device.location();
    Err(Error::Msg(format!("graphs are captured of work for CUDA devices, not for {place:?}")).into())
}

pub(super) fn warm_up<T>(_: &Device, work: impl FnOnce() -> T) -> T {
    work()
}

pub(super) fn with_dropout_key<T, E: From<Error>>(
    _: Key,
    _: &Tensor,
    work: impl FnOnce() -> std::result::Result<T, E>,
) -> std::result::Result<T, E> {
    work()
}
