//! The forward context.

use gan_kernels::math_mode::MathMode;
use gan_rng::Key;
use serde::{Deserialize, Serialize};

/// Which statistics batch normalization uses. (Instance normalization always uses the image's own.)
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NormMode {
    /// The batch's own statistics; `update` moves the running statistics.
    Batch {
        /// Whether this pass moves the running statistics.
        update: bool,
    },
    /// The running statistics, as constants (PyTorch's `eval()`).
    Running,
}

/// What dropout does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dropout {
    /// Nothing.
    Off,
    /// Drops by masks that depend on this key and the layer only.
    Keyed(Key),
}

/// What happens to the weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weights {
    /// Their gradients are wanted.
    Train,
    /// They are constants. Gradients still flow to the input if it is tracked.
    Frozen,
}

/// Element type of activations and their gradients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// That of the parameters.
    #[default]
    F32,
    /// BF16, on CUDA devices only. Parameters, their gradients, statistics of norms and losses stay F32.
    Bf16,
}

/// How a forward pass is to be done. Passed by value at every call, so that the classic trap of image-to-image
/// networks, a forgotten train / eval switch, is visible where it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ctx {
    /// Statistics of batch normalization.
    pub norm: NormMode,
    /// Dropout.
    pub dropout: Dropout,
    /// Weights.
    pub weights: Weights,
    /// Recompute the activations of residual blocks in the backward pass instead of keeping them.
    pub checkpointing: bool,
    /// Element type of activations.
    pub precision: Precision,
    /// What convolutions may trade for speed on CUDA devices; the backward pass keeps to what the forward pass was told.
    pub math: MathMode,
}

impl Ctx {
    /// A training pass: batch statistics (updating the running ones), dropout by `key`, weight gradients.
    pub fn train(key: Key) -> Self {
        Ctx {
            norm: NormMode::Batch { update: true },
            dropout: Dropout::Keyed(key),
            weights: Weights::Train,
            checkpointing: false,
            precision: Precision::F32,
            math: MathMode::default(),
        }
    }

    /// A pass in which this network is not being trained: as [`Ctx::train`], but its weights are constants. Batch-norm
    /// statistics still move, as those of a PyTorch network whose parameters do not require gradients.
    pub fn frozen(key: Key) -> Self {
        Ctx { weights: Weights::Frozen, ..Ctx::train(key) }
    }

    /// Translation as the references' test scripts do it by default: batch statistics, nothing is updated; dropout off.
    pub fn translate() -> Self {
        Ctx {
            norm: NormMode::Batch { update: false },
            dropout: Dropout::Off,
            weights: Weights::Frozen,
            checkpointing: false,
            precision: Precision::F32,
            math: MathMode::default(),
        }
    }

    /// Translation with running statistics and without dropout (PyTorch's `eval()`).
    pub fn eval() -> Self {
        Ctx { norm: NormMode::Running, ..Ctx::translate() }
    }
}
