//! Where a captured step finds the key of its dropout masks.

use crate::cuda::operand::accumulator;
use crate::spec::dropout::MaskKey;
use candle_core::{DType, Error, Result, Tensor, bail};
use gan_rng::Key;
use std::cell::Cell;

thread_local! {
    /// The key that a captured step uses, and the address of the one to be used at a launch.
    static LIVE: Cell<Option<(Key, u64)>> = const { Cell::new(None) };
}

/// Does work during which masks named under `key` are drawn under the key whose number is in `word`.
pub(crate) fn with<T, E: From<Error>>(
    key: Key,
    word: &Tensor,
    work: impl FnOnce() -> std::result::Result<T, E>,
) -> std::result::Result<T, E> {
    let address = accumulator(word, DType::F64)?;
    LIVE.set(Some((key, address)));
    let done = work();
    LIVE.set(None);
    done
}

/// Where a mask's key is found when a captured launch runs, and the index of the mask's sequence under it; `None` unless
/// a step is being captured.
pub(crate) fn dropout_key(mask: MaskKey) -> Result<Option<(u64, u64)>> {
    match (LIVE.get(), mask.index) {
        (None, _) => Ok(None),
        (Some((key, address)), Some(index)) if key == mask.key => Ok(Some((address, index))),
        _ => bail!("dropout: a captured step draws its masks by names under the step's own key"),
    }
}
