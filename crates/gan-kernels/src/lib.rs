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
//!   order. They do depend on the instruction set ([`dispatch::instructions`]), because sums over lanes do.
//! - **F64 takes the portable path**, which the tests hold against definitions and central differences; every F32
//!   kernel on every instruction set is held against it ([`dispatch::force`], [`dispatch::force_instructions`], or
//!   `GAN_KERNELS` in the environment).
//! - **Memory is bounded**: padded and unfolded tensors are never made whole. Working buffers are reused; a thread keeps at
//!   most 32 MiB of them. A [`weight::Weight`] that never changes keeps at most two packed forms of at most 40 MiB each, one for each
//!   direction, and all weights together 288 MiB; [`weight::Weight::forget_packed`] frees them, [`weight::Weight::keep_none`] does without.
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
//! | [algorithm](dispatch::ConvAlgorithm) | how | when |
//! |---|---|---|
//! | `Winograd` | Winograd convolution by one engine: with six points F(4x4, 3x3) and F(3x3, 4x4), or for the phases of stride 2 with four F(3x3, 2x2), or three F(2x2, 2x2): 36, 16 or 9 matrix products | 3x3 and 4x4 with stride 1: 32 channels and 128 pixels or more, weight gradient from 64 channels; 3x3 and 4x4 with stride 2: 64 channels and 900 pixels or more, unless transformed weights are more than 7000 values a pixel (weight gradients may be); 4x4 with stride 2, with three points: 64 channels and 144 pixels or more, at most 256 of them in an image and 1024 in all |
//! | `Im2col` | small im2col matrix, weights read once, where they lie or in a kept order | at most 256 pixels (the inner half of a U-Net); weight gradient with 256 output channels or more up to 512 pixels |
//! | `ImplicitGemm` | implicit matrix product: bands split into stride phases make every tap a constant offset | everything else: strided, transposed, 7x7, three channels at one side |
//! | `Portable` | small tiles in plain Rust | F64, and when forced |
//!
//! These rules are fixed, so that all processors with the same vector instructions compute the same bits. [`tuning`] measures instead, where a program asks for it.
//!
//! A one-hot tensor need not be materialized for a convolution: from 8 classes on, [`onehot::onehot_conv2d`] sums the weights
//! of the label that each tap sees ([`onehot::OneHot`]).
//!
//! Weights of many channels at few tiles (48, or 96 where transformed weights are more than 32 MiB, or with three points) are transformed piece
//! by piece in the cache of the thread that uses them: written to memory and read back, they would be most of the work. For the
//! same reason kernels prefetch where rows are short, and the first gradient of a step overwrites its
//! accumulator ([`grad::GradState`]).
//!
//! Winograd convolution costs accuracy: outputs of whole networks err by 1.0 (U-Net) to 2.1 times (ResNet) as much as PyTorch's
//! (docs/benchmarks.md); [`dispatch::precise`] keeps a thread from it. Padding of all three modes is part of the kernels.
//!
//! Kernels are written once over a small vector trait with one page for each instruction set: AVX-512, AVX2 with FMA,
//! and plain Rust. Another one (NEON, simd128) is another page, with its tile in `TileShape::of`.
//!
//! # Modules
//!
//! The public modules are operators, each with its parameters. Inside, the crate has floors, and a module uses only those
//! below its own: `spec` (shapes, geometry, parameters), then [`dispatch`], [`tuning`], [`weight`] and working memory, then the kernels
//! of `cpu` and of `cuda`, which do not know each other, then [`device`], [`graph`] and [`upload`], then `ops`.

mod cpu;
#[cfg(feature = "cuda")]
mod cuda;
pub mod device;
pub mod dispatch;
pub mod graph;
mod isa;
mod ops;
mod scratch;
mod spec;
pub mod tuning;
pub mod upload;
pub mod weight;

pub use ops::{
    act, augment, bands, blur, bytes, concat, conv, dropout, elementwise, grad, image_pool, labels, loss, norm, onehot,
    optim, patches, pool, storage, upsample,
};
pub use spec::math_mode;

/// Runs the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
