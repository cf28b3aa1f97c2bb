//! Adam on a flat parameter store.

use crate::{Error, Result, WayBack};
use candle_core::{Tensor, Var};
use gan_kernels::{AdamStep, GraphParams, Watch};
use gan_layers::ParamStore;
use std::ops::Range;

/// Adam (Kingma & Ba, 2015) as all three references use it: no weight decay, β2 0.999, ε 1e-8.
#[derive(Debug)]
pub struct Optimizer {
    store: ParamStore,
    beta1: f64,
    range: Range<usize>,
    updates: u64,
    watch: Watch,
    /// Updates that are known to have been made of finite gradients.
    checked: u64,
    captured: Option<Captured>,
}

/// An update that is, or is going to be, part of a captured step.
#[derive(Debug)]
struct Captured {
    /// [`AdamStep::factors`] of the next launch.
    factors: GraphParams,
    /// The capture is under way.
    open: bool,
    /// The step makes an update.
    used: bool,
}

impl Optimizer {
    /// Of all parameters of a store.
    ///
    /// # Errors
    /// [`Error::Tensor`] if the device fails.
    pub fn new(store: ParamStore, beta1: f64) -> Result<Self> {
        let range = 0..store.len();
        let watch = Watch::new(store.device())?;
        Ok(Optimizer { store, beta1, range, updates: 0, watch, checked: 0, captured: None })
    }

    /// The parameters.
    pub fn store(&self) -> &ParamStore {
        &self.store
    }

    /// How many updates were made since the moments were zero.
    pub fn updates(&self) -> u64 {
        self.updates
    }

    /// The parameters that are updated, as positions in the flat store.
    pub fn range(&self) -> Range<usize> {
        self.range.clone()
    }

    /// Restores the counters of a checkpoint.
    pub(crate) fn restore(&mut self, updates: u64, range: Range<usize>) {
        (self.updates, self.checked) = (updates, updates);
        self.range = range;
    }

    /// Updates these parameters from now on. A change starts Adam afresh, as a new optimizer in the reference does.
    ///
    /// # Errors
    /// [`Error::Diverged`] if a gradient was not finite at an earlier update; [`Error::Tensor`] if the device fails.
    pub fn select(&mut self, range: Range<usize>) -> Result<()> {
        if range != self.range {
            self.check_here("")?; // while the count still tells when it was
            self.checked = 0;
            self.store.reset_moments()?;
            self.updates = 0;
            self.range = range;
        }
        Ok(())
    }

    /// Forgets the gradients.
    ///
    /// # Errors
    /// [`Error::Tensor`] if the device fails.
    pub fn zero_grad(&self) -> Result<()> {
        Ok(self.store.zero_grad()?)
    }

    /// Updates the parameters from the gathered gradients. Refused, with nothing changed, if a gradient is not finite. On
    /// a CUDA device nothing changes any more from then on, and [`Optimizer::check`] tells.
    ///
    /// # Errors
    /// [`Error::Diverged`] on the CPU if a gradient is not finite. [`Error::Tensor`] if a step that is being captured
    /// makes a second update, or if the device fails.
    pub fn update(&mut self, lr: f64) -> Result<()> {
        let step = self.adam_step(lr);
        if let Some(captured) = self.captured.as_mut().filter(|c| c.open) {
            if std::mem::replace(&mut captured.used, true) {
                return Err(not_captured("a captured step makes at most one update of an optimizer"));
            }
            let factors = captured.factors.tensor();
            return Ok(self.store.captured_adam(self.range.clone(), &step, &self.watch, factors)?);
        }
        self.updates += 1;
        self.store.watched_adam(self.range.clone(), &step, &self.watch)?;
        if self.store.device().is_cpu() { self.check_here("") } else { Ok(()) }
    }

    /// The numbers of the next update.
    fn adam_step(&self, lr: f64) -> AdamStep {
        AdamStep { lr, beta1: self.beta1, beta2: 0.999, eps: 1e-8, step: self.updates + 1 }
    }

    /// From now on, an update is part of a step that is being captured: nothing is updated or counted yet.
    pub(crate) fn begin_capture(&mut self) -> Result<()> {
        let factors = GraphParams::new(self.store.device(), 2)?;
        self.captured = Some(Captured { factors, open: true, used: false });
        Ok(())
    }

    /// The capture is over.
    pub(crate) fn end_capture(&mut self) {
        if let Some(captured) = &mut self.captured {
            captured.open = false;
        }
    }

    /// The captured step is launched next, with this learning rate.
    pub(crate) fn before_launch(&mut self, lr: f64) -> Result<()> {
        let step = self.adam_step(lr);
        if let Some(captured) = self.captured.as_ref().filter(|c| c.used) {
            captured.factors.write(&step.factors().map(f64::to_bits))?;
            self.updates += 1;
            self.store.touch();
        }
        Ok(())
    }

    /// Refuses to go on if a gradient was not finite at some update so far. Waits for the device. `step` is the number of
    /// steps done, an update each.
    ///
    /// # Errors
    /// [`Error::Diverged`].
    pub fn check(&mut self, step: u64) -> Result<()> {
        let unchecked = self.updates - self.checked.min(self.updates);
        self.check_here(&match unchecked {
            0 | 1 => format!(" in step {step}"),
            n => format!(" in one of the steps {} to {step}", (step + 1).saturating_sub(n)),
        })
    }

    fn check_here(&mut self, when: &str) -> Result<()> {
        if self.watch.saw_non_finite()? {
            // Later batches may have had finite gradients.
            let parameter = self.store.first_non_finite_grad()?;
            let parameter = parameter.map_or("a gradient".into(), |name| format!("the gradient of {name}"));
            return Err(Error::Diverged { what: parameter + when, way_back: WayBack::Unknown });
        }
        self.checked = self.updates;
        Ok(())
    }
}

/// Why a step cannot be captured.
pub(crate) fn not_captured(why: &str) -> Error {
    candle_core::Error::Msg(why.to_owned()).into()
}

/// Walks back from a loss; parameter gradients are added to their stores. The graph is gone afterwards.
pub(crate) fn backward(loss: &Tensor) -> Result<()> {
    loss.backward()?;
    Ok(())
}

/// A tensor whose losses are walked back one after the other, so that the graph of one need not be there beside that of the
/// next; their gradients are added up, and passed on at last.
pub(crate) struct Junction<'a> {
    of: &'a Tensor,
    leaf: Var,
    gradient: Option<Tensor>,
}

impl<'a> Junction<'a> {
    pub(crate) fn new(of: &'a Tensor) -> Result<Self> {
        Ok(Junction { of, leaf: Var::from_tensor(&of.detach())?, gradient: None })
    }

    /// Takes the tensor's place in the losses.
    pub(crate) fn leaf(&self) -> &Tensor {
        &self.leaf
    }

    /// Walks back from a loss to the leaf.
    pub(crate) fn backward(&mut self, loss: &Tensor) -> Result<()> {
        let new = loss.backward()?.remove(&self.leaf);
        self.gradient = match (self.gradient.take(), new) {
            (Some(sum), Some(new)) => Some((sum + new)?),
            (sum, new) => sum.or(new),
        };
        Ok(())
    }

    /// Walks back from the tensor.
    pub(crate) fn pass_on(self) -> Result<()> {
        match self.gradient {
            Some(gradient) => backward(&(self.of * gradient.detach())?.sum_all()?),
            None => Ok(()),
        }
    }
}
