//! Dropout with a mask that is a pure function of its key.
use crate::cpu;
use crate::cpu::real::by_dtype;
use crate::dispatch::on_cuda;
use crate::ops::storage::{plain, slices, tensor};
pub use crate::spec::dropout::MaskKey;
use candle_core::{Result, Tensor, bail};

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
