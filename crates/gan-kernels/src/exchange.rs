//! Exchanging pictures for stored ones (an image pool's work), with choices that are read on the device.
use crate::storage::on_cuda;
use crate::{GraphParams, storage::same_kind};
use candle_core::{Result, Tensor, bail};

/// What becomes of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exchange {
    /// It is handed out.
    Pass,
    /// It is stored at this place, and handed out.
    Keep(u32),
    /// It is stored at this place, and what was there is handed out.
    Swap(u32),
}

impl Exchange {
    /// As [`exchange`] reads it: the place, and above it the kind.
    pub fn word(self) -> u64 {
        match self {
            Exchange::Pass => 0,
            Exchange::Keep(place) => u64::from(place) | 1 << 32,
            Exchange::Swap(place) => u64::from(place) | 2 << 32,
        }
    }
}

/// Exchanges pictures `[N, C, H, W]`, one after the other, with a store `[K, C, H, W]`, which is changed, as the first `N` of
/// the words say. Returns what is handed out, `[N, C, H, W]`.
///
/// # Errors
/// Shapes and types that do not go together; CUDA's; tensors elsewhere than on a CUDA device.
pub fn exchange(pictures: &Tensor, store: &Tensor, choices: &GraphParams) -> Result<Tensor> {
    same_kind("exchange", pictures, store)?;
    let (given, held) = (pictures.dims4()?, store.dims4()?);
    if (given.1, given.2, given.3) != (held.1, held.2, held.3) {
        bail!("exchange: pictures {:?} and a store {:?}", pictures.dims(), store.dims())
    }
    if choices.tensor().elem_count() < given.0 {
        bail!("exchange: {} choices for {} pictures", choices.tensor().elem_count(), given.0)
    }
    on_cuda!(pictures, buffer::exchange(pictures, store, choices.tensor()));
    bail!("exchange: choices are read on CUDA devices, not on {:?}", pictures.device().location())
}
