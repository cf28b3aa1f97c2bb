//! Tensor operators for image-to-image networks, forward and backward, on candle tensors.
//!
//! Plain functions without a graph: a forward returns its result, a backward is told which gradients are wanted and
//! adds parameter gradients into the caller's buffers. Tensors are contiguous `[N, C, H, W]` (others are copied), F32 or
//! F64. With the feature `cuda` they may lie on a CUDA device, and there be BF16 as well; what follows is about the CPU.
//! Errors are candle's, with the shapes that clash. An element type is unsupported where the operator has no kernel for it:
//! on the CPU all but F32 and F64. On CUDA every operator also passes on what the driver answers.
//!
//! # Promises
//!
//! - **Results do not depend on the number of threads**, bit for bit: work is cut by shape alone and sums have a fixed
//!   order. They do depend on the instruction set ([`instructions`]), because sums over lanes do.
//! - **F64 takes the portable path**, which the tests hold against definitions and central differences; every F32
//!   kernel on every instruction set is held against it ([`force`], [`force_instructions`], or `GAN_KERNELS` in the
//!   environment).
//! - **Memory is bounded**: padded and unfolded tensors are never made whole. Working buffers are reused; a thread keeps at
//!   most 32 MiB of them. A [`Weight`] that never changes keeps at most two packed forms of at most 40 MiB each, one for each
//!   direction, and all weights together 256 MiB; [`Weight::forget_packed`] frees them, [`Weight::keep_none`] does without.
//!   Weights in training keep none.
//!
//! - **Locks are short but real**: an accumulator's storage is locked while an operator adds to it. Do not call operators
//!   on one buffer from several tasks of rayon's pool at once.
//!
//! # Convolution
//!
//! A convolution and its transposed twin are one thing seen from two ends, so three kernels serve both: from the big
//! end to the small one, back, and the correlation of the two. `pixels` below counts those of the small end, all images.
//!
//! | family | how | when |
//! |---|---|---|
//! | [`Family::Winograd`] | minimal filtering with six points, F(4, 3) and F(3, 4), or for the phases of stride 2 with four, F(3, 2), or three, F(2, 2), by one engine: 36, 16 or 9 matrix products | 3x3 and 4x4 with stride 1: 32 channels and 128 pixels or more, weight gradient from 128 channels; 3x3 and 4x4 with stride 2: 64 channels and 900 pixels or more, unless transformed weights are more than 7000 values a pixel (weight gradients may be); 4x4 with stride 2, with three points: 64 channels and 144 pixels or more, at most 256 of them in an image and 1024 in all |
//! | [`Family::Stream`] | small im2col matrix, weights read once where they lie | at most 256 pixels (the inner half of a U-Net); weight gradient with 256 output channels or more up to 512 pixels |
//! | [`Family::Gemm`] | implicit matrix product: bands split into stride phases make every tap a constant offset | everything else: strided, transposed, 7x7, three channels at one side |
//! | [`Family::Portable`] | small tiles in plain Rust | F64, and when forced |
//!
//! One-hot label planes need no convolution: from 8 classes on, [`onehot_conv2d`] sums the weights of the label that each tap
//! sees, and the planes are never made ([`OneHot`]).
//!
//! Weights of many channels at few tiles (48, or 96 where transformed weights are more than 32 MiB, or with three points) are transformed piece
//! by piece in the cache of the thread that uses them: written to memory and read back, they would be most of the work. For the
//! same reason kernels ask for memory in advance where rows are short, and the first gradient of a step overwrites its
//! accumulator ([`Sums`]).
//!
//! Minimal filtering costs accuracy: outputs of whole networks err by 1.0 (U-Net) to 2.1 times (ResNet) as much as PyTorch's
//! (docs/benchmarks.md); [`precise`] keeps a thread from it. Padding of all three modes is part of the kernels.
//!
//! Kernels are written once over a small vector trait with one page for each instruction set: AVX-512, AVX2 with FMA,
//! and plain Rust. Another one (NEON, simd128) is another page, with its tile in `TileShape::of`.

mod act;
mod adam;
mod choice;
mod conv;
mod cpu;
#[cfg(feature = "cuda")]
mod cuda;
mod device;
mod dropout;
mod exchange;
mod graph;
mod isa;
mod join;
mod l1;
mod labels;
mod loss;
mod math_mode;
mod norm;
mod onehot;
mod pool;
mod real;
mod storage;
mod sums;
mod upload;
mod upsample;
mod watch;
mod weight;

pub use act::{Act, LEAKY_SLOPE, act, act_backward};
pub use adam::{AdamInputs, AdamStep, adam, adam_with, add_assign, all_finite, mark_non_finite, zero};
pub use choice::{Family, Guard, InstructionSet, force, force_instructions, instructions, precise};
pub use conv::{
    Conv2d, ConvGrads, ConvTranspose2d, PadMode, WeightGrad, conv_transpose2d, conv_transpose2d_act,
    conv_transpose2d_backward, conv2d, conv2d_act, conv2d_backward,
};
#[cfg(feature = "cuda")]
pub use cuda::take_storage;
pub use device::{
    DeviceError, device_name, graphs_leave_room, open_device, peak_memory, reset_peak_memory, test_device,
};
pub use dropout::{MaskKey, dropout};
pub use exchange::{Exchange, exchange};
pub use graph::{Capturable, Graph, GraphCache, GraphParams, WARMUP_STEPS, warm_up, with_dropout_key};
pub use join::{add, cat_channels, convert, narrow_channels};
pub use l1::{L1Term, l1_sum, l1_sum_backward};
pub use labels::{instance_edges, instance_mean, one_hot};
pub use math_mode::MathMode;
pub use loss::{bce_with_logits, l1, mean, scale, squared_error};
pub use norm::{
    Affine, Group, Moments, Norm, NormGrads, norm, norm_backward, norm_with, norm_with_backward, update_running,
};
pub use onehot::{OneHot, OneHotGrads, onehot_conv2d, onehot_conv2d_backward};
pub use pool::{avg_pool3s2, avg_pool3s2_backward, max_pool2, max_pool2_backward};
pub use storage::undefined;
pub use sums::Sums;
pub use upload::Uploader;
pub use upsample::{upsample_nearest, upsample_nearest_backward};
pub use watch::Watch;
pub use weight::{Version, Weight};

/// Runs the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
