//! Tensor operators for image-to-image networks, forward and backward, on candle tensors.
//!
//! Plain functions without a graph: a forward returns its result, a backward is told which gradients are wanted and
//! adds parameter gradients into the caller's buffers. Tensors are contiguous `[N, C, H, W]`, F32 or F64, on the CPU
//! (or, with the feature `cuda`, on a GPU). F64 takes the portable path, which is the reference for all others.

mod act;
mod adam;
mod choice;
mod conv;
mod cpu;
mod dropout;
mod isa;
mod labels;
mod loss;
mod norm;
mod pool;
mod real;
mod storage;
mod upsample;
mod weight;

pub use act::{Act, LEAKY_SLOPE, act, act_backward};
pub use adam::{AdamStep, adam, add_assign, all_finite, zero};
pub use choice::{Family, Guard, InstructionSet, force, force_instructions, instructions, precise};
pub use conv::{
    Conv2d, ConvGrads, ConvTranspose2d, PadMode, WeightGrad, conv_transpose2d, conv_transpose2d_backward, conv2d,
    conv2d_backward,
};
pub use dropout::dropout;
pub use labels::{instance_edges, instance_mean, one_hot};
pub use loss::{bce_with_logits, l1, mean, squared_error};
pub use norm::{
    Affine, Group, Moments, Norm, NormGrads, norm, norm_backward, norm_with, norm_with_backward, update_running,
};
pub use pool::{avg_pool3s2, avg_pool3s2_backward, max_pool2, max_pool2_backward};
pub use upsample::{upsample_nearest, upsample_nearest_backward};
pub use weight::{Version, Weight};
