//! What a method is to the trainer: the [`Method`] trait.

use crate::Result;
use crate::augmentation::Augmentation;
use crate::pool::ImagePool;
use candle_core::Tensor;
use gan_data::Batch;
use gan_layers::Optimizer;
use gan_rng::{Key, Purpose};

/// Named scalar losses of a step, in logging order. They stay on the device until somebody reads them.
pub type Losses = Vec<(&'static str, Tensor)>;

/// Labelled images `[N, 3, H, W]` in [-1, 1].
pub type Panels = Vec<(String, Tensor)>;

/// Where in the run a step happens. All randomness of a step comes from here.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepContext {
    /// Epoch, from 1.
    pub epoch: u64,
    /// Batches done before this one in the whole run. A step takes one, or with `train.accumulate` several.
    pub step: u64,
    /// Updates done before this step in the whole run; the same for all batches of one.
    pub update: u64,
    /// Learning rate.
    pub lr: f64,
    /// Seed of the run.
    pub seed: u64,
}

impl StepContext {
    /// The random sequence of this batch for a purpose.
    pub fn key(&self, purpose: Purpose) -> Key {
        Key::new(self.seed, purpose).at(self.step)
    }
}

/// An image-to-image translation method: networks, losses and the order of updates.
///
/// A method owns its networks and optimizers. The trainer owns everything else (data, clock, checkpoints, events) and
/// never looks inside.
pub trait Method: Send {
    /// One optimisation step on one batch.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) if the batch lacks an image that the method needs, [`Error::Tensor`](crate::Error::Tensor) if the networks do not
    /// take its shapes. [`Error::Diverged`](crate::Error::Diverged) if a gradient is not finite; on CUDA [`Optimizer::check`] tells that
    /// later.
    fn step(&mut self, batch: &Batch, cx: &StepContext) -> Result<Losses>;

    /// How often the micro-batches of a step pass where an update is made of several (`train.accumulate`): 1, or 2 where a second loss
    /// sees networks that the first one has updated. `None`, the default, for a method that takes one batch a step.
    fn passes(&self) -> Option<usize> {
        None
    }

    /// The gradients of one micro-batch in a pass, counted from 0. As [`Method::step`], which it is by default, but calls of
    /// [`Optimizer::update`], one an optimizer at most, add the gradients to a total. All updates of a pass are made at its end.
    /// What an earlier pass computed is computed again with the same keys.
    ///
    /// # Errors
    /// As [`Method::step`].
    fn pass(&mut self, _pass: usize, batch: &Batch, cx: &StepContext) -> Result<Losses> {
        self.step(batch, cx)
    }

    /// Images that show what the networks do to a batch.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) if the batch lacks an image that the method needs, [`Error::Tensor`](crate::Error::Tensor) if the networks do not
    /// take its shapes.
    fn preview(&self, batch: &Batch) -> Result<Panels>;

    /// Gives up device memory that only makes steps faster, where others need it. Called before work that is no step.
    fn make_room(&self) {}

    /// What makes up its state.
    fn state(&mut self) -> MethodState<'_>;

    /// Cache key of the captured CUDA graph; `None`, the default, for a step that is never captured.
    ///
    /// Two steps, or two calls of [`Method::pass`] for the last pass, with equal keys and batches of equal shapes must issue identical kernels: every branch that a step takes on
    /// the host has to show in the key. What differs beside the batch is the learning rate, the masks of dropout and the
    /// choices of the pools in [`Method::state`]; other numbers that the host computes are repeated as they were captured.
    /// A step with a key keeps no tensor that it has allocated.
    fn graph_key(&self, _cx: &StepContext) -> Option<u64> {
        None
    }

    /// What has come up in the last step and is to be shown as a warning.
    fn take_warning(&mut self) -> Option<String> {
        None
    }

    /// Lines to show before training: what was loaded, what was left out.
    fn startup_notes(&self) -> &[String] {
        &[]
    }
}

/// The state of a method: what a checkpoint holds.
#[derive(Default)]
pub struct MethodState<'a> {
    /// Optimizers by name, each with the names of the networks in its store. A network is saved in a file of its name.
    pub optimizers: Vec<(&'static str, &'a mut Optimizer, Vec<&'static str>)>,
    /// Image pools by name.
    pub pools: Vec<(&'static str, &'a mut ImagePool)>,
    /// What changes the inputs of discriminators.
    pub augmentations: Vec<&'a Augmentation>,
}
