//! Exchanging images for stored ones (an image pool's work), with choices that are read on the device.
use crate::dispatch::on_cuda;
use crate::graph::GraphParams;
use crate::ops::storage::same_kind;
use candle_core::{Result, Tensor, bail};

/// What becomes of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PoolAction {
    /// It is handed out.
    Pass,
    /// It is stored at this place, and handed out.
    Keep(u32),
    /// It is stored at this place, and what was there is handed out.
    Swap(u32),
}

impl PoolAction {
    /// As [`exchange`] reads it: the place, and above it the kind.
    pub fn word(self) -> u64 {
        match self {
            PoolAction::Pass => 0,
            PoolAction::Keep(place) => u64::from(place) | 1 << 32,
            PoolAction::Swap(place) => u64::from(place) | 2 << 32,
        }
    }
}

/// Exchanges images `[N, C, H, W]`, one after the other, with a store `[K, C, H, W]`, which is changed, as the first `N` of
/// the words say. Returns what is handed out, `[N, C, H, W]`.
///
/// # Errors
/// Shapes and types that do not go together; CUDA's; tensors elsewhere than on a CUDA device.
pub fn exchange(images: &Tensor, store: &Tensor, choices: &GraphParams) -> Result<Tensor> {
    same_kind("exchange", images, store)?;
    let (given, held) = (images.dims4()?, store.dims4()?);
    if (given.1, given.2, given.3) != (held.1, held.2, held.3) {
        bail!("exchange: images {:?} and a store {:?}", images.dims(), store.dims())
    }
    if choices.tensor().elem_count() < given.0 {
        bail!("exchange: {} choices for {} images", choices.tensor().elem_count(), given.0)
    }
    on_cuda!(images, buffer::exchange(images, store, choices.tensor()));
    bail!("exchange: choices are read on CUDA devices, not on {:?}", images.device().location())
}
