//! The `[train]` table.

use crate::checkpointing::Checkpointing;
use crate::schedule::{LrPolicy, Schedule};
use gan_layers::Precision;
use gan_range::{Range, documented};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

documented! {
    /// Options of the training loop that all methods share. Frequencies count images, as in the references; they fire when
    /// the count crosses a multiple, whatever the batch size. 0 turns one off.
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    pub struct TrainConfig {
        /// Seed of everything random.
        pub seed: u64,
        /// Learning rate of Adam.
        pub lr: f64,
        /// That of the generators and of what is trained with them (encoder, feature head); without it, `lr`.
        pub lr_g: Option<f64>,
        /// That of the discriminators; without it, `lr`.
        pub lr_d: Option<f64>,
        /// Decay of Adam's first moment.
        pub beta1: f64,
        /// Epochs at the full learning rate.
        pub n_epochs: u32,
        /// Epochs over which the learning rate falls to zero.
        pub n_epochs_decay: u32,
        /// How the learning rate falls.
        pub lr_policy: LrPolicy,
        /// Epochs between the falls of `lr_policy = "step"`.
        pub lr_decay_iters: u32,
        /// Stop after this many steps; 0 = after the last epoch.
        pub max_steps: u64,
        /// Batches that make up one update: their gradients are added up, as those of one batch of all their images. A step is an
        /// update. The last step of an epoch takes what is left.
        pub accumulate: u64,
        /// How several processes add up the gradients of an update: `"ordered"`, after each of their batches, leaves the bits of
        /// one process; `"once"`, at the end of the update, is faster where `accumulate` is above 1, and equal up to rounding.
        pub reduce: Reduce,
        /// Images kept per image pool.
        pub pool_size: usize,
        /// Losses are logged once in so many images.
        pub print_freq: u64,
        /// Images between previews in the gallery. A slow run shows one every five minutes as well; 0 leaves all but the first and
        /// the last out.
        pub display_freq: u64,
        /// Write event files for TensorBoard: losses, metrics, previews and settings in `RUN/tensorboard`.
        pub tensorboard: bool,
        /// Write losses and metrics as a table as well: `RUN/events.csv`.
        pub csv: bool,
        /// Images between checkpoints.
        pub save_latest_freq: u64,
        /// Minutes between checkpoints.
        pub save_minutes: f64,
        /// Epochs between checkpoints.
        pub save_epoch_freq: u64,
        /// Checkpoints kept; 0 keeps all.
        pub keep: usize,
        /// Decay of an exponential moving average of the weights that translate, for example 0.999; 0 keeps none. The decay of
        /// update t, counted from 0, is `min(ema, (1 + t) / (10 + t))`. Checkpoints then hold the averages as well, and
        /// validation, previews and translation take them.
        pub ema: f64,
        /// What becomes of gradients and losses that are not finite.
        pub on_nonfinite: OnNonfinite,
        /// Updates that may be skipped in a row, or how often a run may be rewound, before it ends all the same.
        pub nonfinite_limit: u64,
        /// Recompute the activations of residual blocks in the backward pass: less memory, more time. `"auto"` chooses by the
        /// memory at hand when training begins.
        pub checkpointing: Checkpointing,
        /// Element type of activations and their gradients: f32, or bf16 on CUDA devices. Weights, optimizer, statistics of
        /// norms and losses are f32 either way.
        pub precision: Precision,
        /// Let convolutions of f32 tensors multiply with TF32's 10 bits of mantissa on CUDA devices, as PyTorch's do unless
        /// told otherwise. Without effect on the CPU.
        pub tf32: bool,
        /// On CUDA devices, use only algorithms that give the same bits in every run on the same GPU model: slower. The CPU
        /// always does.
        pub deterministic: bool,
        /// On CUDA devices, record a training step once and launch it as a whole from then on, where batches have one shape:
        /// small images then do not wait for the host. Results are the same. Without effect on the CPU.
        pub cuda_graphs: bool,
        /// Keeps fresh values where the weights of `init` do not fit, instead of refusing them.
        pub init_partial: bool,
        /// Where networks start from, by their names in a checkpoint: a weight file, a run, a checkpoint, a folder of a model or
        /// of the references. A resumed run does not read it again.
        pub init: BTreeMap<String, PathBuf>,
        /// Layers that are not trained, by network: paths, and ranges of numbers in them, as in `"model.1..model.10,model.13"`.
        /// Running statistics of their norms go on following the images.
        pub freeze: BTreeMap<String, String>,
    }
}

/// How often several ranks add up their gradients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reduce {
    /// After every round of micro-batches, one of each rank: the sum has the bits that one process gets.
    #[default]
    Ordered,
    /// Once an update, after each rank has added up its own micro-batches: less traffic, and equal up to rounding. With one
    /// micro-batch a rank the bits are those of `ordered`.
    Once,
}

/// What becomes of gradients and losses that are not finite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnNonfinite {
    /// Training ends, and says from which checkpoint it can go on.
    #[default]
    Stop,
    /// The update is left out and counted, and so are the losses of its step. What else is not finite, running statistics
    /// for example, ends training.
    Skip,
    /// Training goes back to the newest checkpoint with sound weights, and on from there with the images in another order.
    Rewind,
}

impl Default for TrainConfig {
    fn default() -> Self {
        TrainConfig {
            seed: 0,
            lr: 2e-4,
            lr_g: None,
            lr_d: None,
            beta1: 0.5,
            n_epochs: 100,
            n_epochs_decay: 100,
            lr_policy: LrPolicy::Linear,
            lr_decay_iters: 50,
            max_steps: 0,
            accumulate: 1,
            reduce: Reduce::Ordered,
            pool_size: 0,
            print_freq: 100,
            display_freq: 400,
            tensorboard: false,
            csv: false,
            save_latest_freq: 5000,
            save_minutes: 10.0,
            save_epoch_freq: 5,
            keep: 3,
            ema: 0.0,
            on_nonfinite: OnNonfinite::Stop,
            nonfinite_limit: 5,
            checkpointing: Checkpointing::Off,
            precision: Precision::F32,
            tf32: true,
            deterministic: false,
            cuda_graphs: true,
            init_partial: false,
            init: BTreeMap::new(),
            freeze: BTreeMap::new(),
        }
    }
}

/// Most steps, images or epochs that anything is counted in.
const COUNT: u64 = 1_000_000_000_000;
/// Most batches of an update.
pub(crate) const ACCUMULATE: u64 = 65_536;
/// Most epochs of a schedule.
const EPOCHS: u64 = 1_000_000_000;

impl TrainConfig {
    /// The ranges of the numeric keys.
    pub const RANGES: &'static [Range] = &[
        Range::whole("seed", 0, i64::MAX as u64),
        Range::positive("lr", f64::MAX),
        Range::positive("lr_g", 1e6),
        Range::positive("lr_d", 1e6),
        Range::below("beta1", 0.0, 1.0),
        Range::whole("n_epochs", 0, EPOCHS),
        Range::whole("n_epochs_decay", 0, EPOCHS),
        Range::whole("lr_decay_iters", 1, EPOCHS),
        Range::whole("max_steps", 0, COUNT),
        Range::whole("accumulate", 1, ACCUMULATE),
        Range::whole("pool_size", 0, 1_000_000),
        Range::whole("print_freq", 0, COUNT),
        Range::whole("display_freq", 0, COUNT),
        Range::whole("save_latest_freq", 0, COUNT),
        Range::real("save_minutes", 0.0, 1e6),
        Range::whole("save_epoch_freq", 0, COUNT),
        Range::whole("keep", 0, 1_000_000),
        Range::below("ema", 0.0, 1.0),
        Range::whole("nonfinite_limit", 1, 1_000_000),
    ];

    /// The learning rate of an optimizer at the start of the schedule, by the optimizer's name in
    /// [`MethodState`](crate::MethodState): `d` is that of the discriminators.
    pub fn lr_of(&self, optimizer: &str) -> f64 {
        let own = if optimizer == "d" { self.lr_d } else { self.lr_g };
        own.unwrap_or(self.lr)
    }

    /// The learning-rate schedule.
    pub fn schedule(&self) -> Schedule {
        Schedule {
            lr_policy: self.lr_policy,
            n_epochs: self.n_epochs,
            n_epochs_decay: self.n_epochs_decay,
            lr_decay_iters: self.lr_decay_iters,
            ..Schedule::default()
        }
    }
}
