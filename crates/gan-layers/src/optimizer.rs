//! Adam on a flat parameter store.

use crate::ParamStore;
use candle_core::Error;
use gan_kernels::graph::GraphParams;
use gan_kernels::optim::{AdamStep, NonFiniteGuard};
use std::fmt;
use std::ops::Range;

type Result<T, E = Error> = std::result::Result<T, E>;

/// Why an [`Optimizer`] makes no update.
#[derive(Debug)]
#[non_exhaustive]
pub enum UpdateError {
    /// A gradient was not finite.
    NonFinite {
        /// The first parameter that has such a gradient now; later steps may have had finite ones.
        parameter: Option<String>,
        /// The gradient was one of so many updates, the last ones.
        updates: u64,
    },
    /// A tensor operation failed.
    Tensor(Error),
}

impl fmt::Display for UpdateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UpdateError::NonFinite { parameter: Some(name), updates } => {
                write!(f, "the gradient of {name} is not finite ({updates} updates since the last check)")
            }
            UpdateError::NonFinite { parameter: None, updates } => {
                write!(f, "a gradient was not finite ({updates} updates since the last check)")
            }
            UpdateError::Tensor(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for UpdateError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            UpdateError::NonFinite { .. } => None,
            UpdateError::Tensor(error) => error.source(),
        }
    }
}

impl From<Error> for UpdateError {
    fn from(error: Error) -> Self {
        UpdateError::Tensor(error)
    }
}

/// Adam (Kingma & Ba, 2015) as all three references use it: no weight decay, β2 0.999, ε 1e-8.
#[derive(Debug)]
pub struct Optimizer {
    store: ParamStore,
    beta1: f64,
    range: Range<usize>,
    /// Parts of the store that no update changes, ascending.
    frozen: Vec<Range<usize>>,
    lr_scale: f64,
    updates: u64,
    guard: NonFiniteGuard,
    /// Updates that are known to have been made of finite gradients.
    checked: u64,
    captured: Option<CapturedUpdate>,
}

/// An update that is, or is going to be, part of a captured step.
#[derive(Debug)]
struct CapturedUpdate {
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
    /// The device's.
    pub fn new(store: ParamStore, beta1: f64) -> Result<Self> {
        let range = 0..store.len();
        let guard = NonFiniteGuard::new(store.device())?;
        let frozen = Vec::new();
        Ok(Optimizer { store, beta1, range, frozen, lr_scale: 1.0, updates: 0, guard, checked: 0, captured: None })
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

    /// Restores the counters of a checkpoint; the moments are the store's.
    pub fn restore(&mut self, updates: u64, range: Range<usize>) {
        (self.updates, self.checked) = (updates, updates);
        self.range = range;
    }

    /// Updates these parameters from now on. A change starts Adam afresh, as a new optimizer in the reference does.
    ///
    /// # Errors
    /// As [`Optimizer::check`].
    pub fn select(&mut self, range: Range<usize>) -> Result<(), UpdateError> {
        if range != self.range {
            self.check()?; // while the count still tells when it was
            self.checked = 0;
            self.store.reset_moments()?;
            self.updates = 0;
            self.range = range;
        }
        Ok(())
    }

    /// Changes these parameters (see [`ParamStore::ranges`]) no more, whatever is selected. Their moments stay as they are.
    pub fn freeze(&mut self, frozen: Vec<Range<usize>>) {
        self.frozen = frozen;
    }

    /// Multiplies the learning rate of every update by this from now on: optimizers that follow one schedule may learn at
    /// different rates.
    pub fn scale_lr(&mut self, scale: f64) {
        self.lr_scale = scale;
    }

    /// The selected parameters without the frozen ones; one empty range where all are frozen, so that an update still looks
    /// at the gradients.
    fn trained(&self) -> Vec<Range<usize>> {
        let end = self.range.end;
        let (mut trained, mut from) = (Vec::new(), self.range.start);
        for frozen in &self.frozen {
            let to = frozen.start.min(end);
            if from < to {
                trained.push(from..to);
            }
            from = from.max(frozen.end).min(end);
        }
        if from < end || trained.is_empty() {
            trained.push(from..end);
        }
        trained
    }

    /// Forgets the gradients.
    ///
    /// # Errors
    /// The device's.
    pub fn zero_grad(&self) -> Result<()> {
        self.store.zero_grad()
    }

    /// Updates the parameters from the gathered gradients. Refused, with nothing changed, if a gradient is not finite. On
    /// a CUDA device nothing changes any more from then on, and [`Optimizer::check`] tells.
    ///
    /// # Errors
    /// [`UpdateError::NonFinite`]; [`UpdateError::Tensor`] for a second update in a captured step.
    pub fn update(&mut self, lr: f64) -> Result<(), UpdateError> {
        let (step, trained) = (self.adam_step(lr), self.trained());
        if let Some(captured) = self.captured.as_mut().filter(|c| c.open) {
            if std::mem::replace(&mut captured.used, true) {
                let reason = "a captured step makes at most one update of an optimizer";
                return Err(Error::Msg(reason.to_owned()).into());
            }
            let factors = captured.factors.tensor();
            for range in trained {
                self.store.captured_adam(range, &step, &self.guard, factors)?;
            }
            return Ok(());
        }
        self.updates += 1;
        for range in trained {
            self.store.guarded_adam(range, &step, &self.guard)?;
        }
        if self.store.device().is_cpu() { self.check() } else { Ok(()) }
    }

    /// The numbers of the next update.
    fn adam_step(&self, lr: f64) -> AdamStep {
        AdamStep { lr: lr * self.lr_scale, beta1: self.beta1, beta2: 0.999, eps: 1e-8, step: self.updates + 1 }
    }

    /// From now on, an update is part of a step that is being captured: nothing is updated or counted yet.
    ///
    /// # Errors
    /// The device's.
    pub fn begin_capture(&mut self) -> Result<()> {
        let factors = GraphParams::new(self.store.device(), 2)?;
        self.captured = Some(CapturedUpdate { factors, open: true, used: false });
        Ok(())
    }

    /// The capture is over.
    pub fn end_capture(&mut self) {
        if let Some(captured) = &mut self.captured {
            captured.open = false;
        }
    }

    /// The captured step is launched next, with this learning rate.
    ///
    /// # Errors
    /// The device's.
    pub fn before_launch(&mut self, lr: f64) -> Result<()> {
        let step = self.adam_step(lr);
        if let Some(captured) = self.captured.as_ref().filter(|c| c.used) {
            captured.factors.write(&step.factors().map(f64::to_bits))?;
            self.updates += 1;
            self.store.touch();
        }
        Ok(())
    }

    /// Refuses to go on if a gradient was not finite at some update so far. Waits for the device.
    ///
    /// # Errors
    /// [`UpdateError::NonFinite`].
    pub fn check(&mut self) -> Result<(), UpdateError> {
        if self.guard.saw_non_finite()? {
            // Later batches may have had finite gradients.
            let parameter = self.store.first_non_finite_grad()?;
            let updates = self.updates - self.checked.min(self.updates);
            return Err(UpdateError::NonFinite { parameter, updates });
        }
        self.checked = self.updates;
        Ok(())
    }
}
