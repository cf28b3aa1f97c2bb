//! Dropout with a mask that is a pure function of its key.
use crate::cpu;
use crate::real::by_dtype;
use crate::storage::{on_cuda, plain, slices, tensor};
use candle_core::{Result, Tensor, bail};
use gan_rng::Key;

/// Zeroes an element with probability `p` and scales the rest by `1 / (1 − p)`. Element `i` (row-major) is kept iff word
/// `i % 4` of `key.block(i / 4)` is at least `p · 2^32`. `p` is in `[0, 1)`.
///
/// Its own backward: apply it to the gradient with the same key.
pub fn dropout(x: &Tensor, p: f64, key: Key) -> Result<Tensor> {
    if !(0.0..1.0).contains(&p) {
        bail!("dropout: the probability must be in [0, 1), got {p}")
    }
    on_cuda!(x, dropout::dropout(x, p, key));
    let x = plain(x)?;
    by_dtype!(x, T => {
        slices!(T; xs = x);
        tensor(cpu::dropout::dropout(xs, p, key), x.shape())
    })
}
