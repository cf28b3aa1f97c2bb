//! Activations.
use crate::cpu::elementwise;
use crate::cpu::real::by_dtype;
use crate::dispatch::{isa, on_cuda};
use crate::ops::storage::{plain, same_shape, slices, tensor};
pub use crate::spec::act::{Act, LEAKY_SLOPE};
use candle_core::{Result, Tensor};

/// Applies the activation, any shape.
///
/// # Errors
/// `x` has an unsupported element type.
pub fn act(x: &Tensor, a: Act) -> Result<Tensor> {
    on_cuda!(x, act::act(x, a));
    let (x, isa) = (plain(x)?, isa());
    by_dtype!(x, T => {
        slices!(T; xs = x);
        tensor(elementwise::map(xs, |xs, out| elementwise::act(isa, xs, out, a)), x.shape())
    })
}

/// Gradient with respect to the activation's input, from its *output* `y` (all of them allow that).
///
/// # Errors
/// `y` and `dy` differ in shape or element type, or the type is unsupported.
pub fn act_backward(y: &Tensor, dy: &Tensor, a: Act) -> Result<Tensor> {
    same_shape("act_backward", y, dy)?;
    on_cuda!(y, act::act_backward(y, dy, a));
    let (y, dy, isa) = (plain(y)?, plain(dy)?, isa());
    by_dtype!(y, T => {
        slices!(T; ys = y, ds = dy);
        tensor(elementwise::zip(ys, ds, |ys, ds, out| elementwise::act_backward(isa, ys, ds, out, a)), y.shape())
    })
}
