//! What image-to-image networks are made of.
//!
//! * A network is one or more [`Sequence`]s of [`Layer`]s, written down once in the order of the paper and built by a
//!   [`SequenceBuilder`], whose paths are the PyTorch state-dict keys. Forward, backward, initialization and the
//!   [`Summary`] are walks over the same sequence. Each kind of layer is a file of [`layers`].
//! * A forward pass takes a [`Ctx`]: what normalization, dropout and the weights do is visible at the call.
//! * In training a whole sequence is *one* candle operator (a segment, see [`Sequence::forward`]): it keeps its own
//!   tape, adds weight gradients straight into the [`ParamStore`] and frees activations on its way.
//! * Parameters come from a [`Builder`]: out of a [`ParamStore`] for training, or out of a candle `VarBuilder` (for
//!   example memory-mapped safetensors) for translation.

mod autograd;
mod average;
mod backward;
pub mod bands;
mod builder;
mod conv_grads;
mod ctx;
mod fold;
mod forward;
mod grad;
mod gradients;
mod init;
mod input;
mod jvp;
mod kind;
mod layer;
pub mod layers;
mod misfit;
mod multi_input_grad;
mod norm_jvp;
mod norm_statistics;
mod operators;
mod optimizer;
mod plan;
mod running_statistics;
mod samples;
mod segment;
mod sequence;
mod store;
mod summary;
mod tape;
mod taps;

pub use autograd::{avg_pool3s2, custom_grad, halves, instance_mean};
pub use average::MovingAverage;
pub use builder::{Builder, Counter, MAX_PARAMS, Param, Role, Source};
pub use ctx::{Ctx, Dropout, NormMode, Precision, Weights};
pub use grad::Grad;
pub use gradients::{BackwardHook, Gradients};
pub use init::{BiasInit, Init, InitType};
pub use input::Input;
pub use layer::Layer;
pub use layers::conv::{Conv, ConvSpec, RectConvSpec};
pub use layers::conv_transpose::ConvTranspose;
pub use layers::linear::Linear;
pub use layers::norm::{BatchNorm, NormKind, NormLayer};
pub use misfit::Misfit;
pub use multi_input_grad::multi_input_grad;
pub use norm_statistics::{ChannelMoments, NormObserver, NormStatistics};
pub use operators::{Constant, Operator, OperatorGraph, OperatorNode, OperatorValue};
pub use optimizer::{Optimizer, UpdateError};
pub use running_statistics::{RunningStatistics, Seen};
pub use samples::Samples;
pub use sequence::{Node, Sequence, SequenceBuilder};
pub use store::{Missing, ParamStore, Tensors, copy_of};
pub use summary::{Row, Summary};

pub use gan_kernels::act::Act;
pub use gan_kernels::conv::PadMode;
pub use gan_kernels::math_mode::MathMode;
pub use gan_kernels::onehot::OneHot;
pub use gan_kernels::optim::Skipped;
pub use gan_kernels::pool::Pool2d;

/// Runs the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
