//! Dropout with a mask that is a pure function of its key.
use crate::cpu;
use crate::real::by_dtype;
use crate::storage::{on_cuda, plain, slices, tensor};
use candle_core::{Result, Tensor, bail};
use gan_rng::Key;

/// The sequence that a mask is drawn from: a key's own, or the one that a name has under a key. The latter is what a
/// captured step can find anew at every launch (see [`with_dropout_key`](crate::with_dropout_key)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaskKey {
    pub(crate) key: Key,
    pub(crate) index: Option<u64>,
}

impl MaskKey {
    /// The sequence `key.at_name(name)`.
    pub fn named(key: Key, name: &str) -> Self {
        MaskKey { key, index: Some(Key::index_of(name)) }
    }

    /// The key of the sequence.
    pub(crate) fn sequence(self) -> Key {
        self.index.map_or(self.key, |index| self.key.at(index))
    }
}

impl From<Key> for MaskKey {
    fn from(key: Key) -> Self {
        MaskKey { key, index: None }
    }
}

/// Zeroes an element with probability `p` and scales the rest by `1 / (1 − p)`. Element `i` (row-major) is kept iff word
/// `i % 4` of the key's `block(i / 4)` is at least `p · 2^32`. `p` is in `[0, 1)`.
///
/// Its own backward: apply it to the gradient with the same key.
///
/// # Errors
/// `p` is not in `[0, 1)`, or `x` has an unsupported element type.
pub fn dropout(x: &Tensor, p: f64, key: impl Into<MaskKey>) -> Result<Tensor> {
    if !(0.0..1.0).contains(&p) {
        bail!("dropout: the probability must be in [0, 1), got {p}")
    }
    let key = key.into();
    on_cuda!(x, dropout::dropout(x, p, key));
    let (x, key) = (plain(x)?, key.sequence());
    by_dtype!(x, T => {
        slices!(T; xs = x);
        tensor(cpu::dropout::dropout(xs, p, key), x.shape())
    })
}
