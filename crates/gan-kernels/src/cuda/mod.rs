//! The operators on CUDA: same functions, same checks, own kernels (and cuDNN for convolutions).
//!
//! - **Element types**: F32 and F64 as on the CPU, and BF16 for activations and their gradients; parameters, statistics,
//!   accumulators and loss values are then F32. Sums are accumulated in F32 or better.
//! - **Memory format**: F32 and F64 lie in planes (contiguous `[N, C, H, W]`). BF16 lies in pixels (channels last: the same
//!   shape, with the strides of a contiguous `[N, H, W, C]`) or in planes; a result lies as its first operand does.
//! - **Results are reproducible**: every sum has an order that depends on the shape alone, and no kernel adds floats atomically.
//! - **Nothing waits**: operators put work into the device's one stream and return. Only [`all_finite`](crate::elementwise::all_finite)
//!   asks for an answer. (`Device::new_cuda_with_stream` makes such a device. One of `Device::new_cuda` has a stream for
//!   every thread, and must be used by a single one.)

pub(crate) mod act;
pub(crate) mod augment;
pub(crate) mod buffer;
pub(crate) mod conv;
pub(crate) mod dropout;
pub(crate) mod dropout_key;
pub(crate) mod image;
pub(crate) mod into_storage;
pub(crate) mod l1;
pub(crate) mod labels;
pub(crate) mod launch;
pub(crate) mod layout;
pub(crate) mod loss;
pub(crate) mod module;
pub(crate) mod norm;
pub(crate) mod onehot;
pub(crate) mod operand;
pub(crate) mod patches;
pub(crate) mod scale;
mod workspace;
