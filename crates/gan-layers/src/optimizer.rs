//! Adam on a flat parameter store.

use crate::average::MovingAverage;
use crate::store::copies_of;
use crate::{ParamStore, Tensors};
use candle_core::Error;
use gan_kernels::graph::GraphParams;
use gan_kernels::optim::{AdamInputs, AdamStep, NonFiniteGuard, Skipped};
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
    /// The gradients of so many updates in a row were not finite, which is more than are skipped.
    Skipped {
        /// The first parameter that has such a gradient now; later steps may have had finite ones.
        parameter: Option<String>,
        /// The updates.
        run: u64,
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
            UpdateError::Skipped { run, .. } => write!(f, "a gradient in each of {run} updates in a row is not finite"),
            UpdateError::Tensor(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for UpdateError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            UpdateError::NonFinite { .. } | UpdateError::Skipped { .. } => None,
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
    /// Updates in a row that may be skipped; `None` if none may.
    skips: Option<u64>,
    average: Option<MovingAverage>,
    /// Updates that are known to have been made of finite gradients.
    checked: u64,
    captured: Option<CapturedUpdate>,
    gathering: Option<Gathering>,
}

/// What [`Optimizer::update`] does instead of an update.
#[derive(Debug)]
struct Gathering {
    /// Factor of the gradients that are gathered next; `None` if they are left alone.
    weight: Option<f64>,
    /// Learning rate of the update that is due.
    due: Option<f64>,
}

/// An update that is, or is going to be, part of a captured step.
#[derive(Debug)]
struct CapturedUpdate {
    /// [`AdamStep::factors`] of the next launch, and what moves the average.
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
        Ok(Optimizer {
            store,
            beta1,
            range,
            frozen: Vec::new(),
            lr_scale: 1.0,
            updates: 0,
            guard,
            skips: None,
            average: None,
            checked: 0,
            captured: None,
            gathering: None,
        })
    }

    /// Lets an average of the parameters follow the updates from now on, which `decay` slows down (see [`MovingAverage`]). To be called
    /// before anything is captured.
    ///
    /// # Errors
    /// The device has no memory for it.
    pub fn track_average(&mut self, decay: f64) -> Result<()> {
        self.average = Some(MovingAverage::new(&self.store, decay)?);
        Ok(())
    }

    /// The average, if one is tracked.
    pub fn average(&self) -> Option<&MovingAverage> {
        self.average.as_ref()
    }

    /// As [`ParamStore::state_dict`] with averages in the place of parameters, if they are tracked. Buffers are those in use.
    ///
    /// # Errors
    /// As [`ParamStore::state_dict`].
    pub fn averaged_state_dict(&self, prefix: &str) -> Result<Option<Tensors>> {
        self.averaged_state_views(prefix)?.map(copies_of).transpose()
    }

    /// The same without copies: an update changes them.
    ///
    /// # Errors
    /// The device's.
    pub fn averaged_state_views(&self, prefix: &str) -> Result<Option<Tensors>> {
        self.average.as_ref().map(|average| average.state_views(&self.store, prefix)).transpose()
    }

    /// Sets the averages of the parameters under `prefix`, which are of `updates` updates. Without a tracked average, nothing is done.
    ///
    /// # Errors
    /// Values that cannot be converted to the store's element type.
    pub fn load_average(&mut self, prefix: &str, tensors: &Tensors, updates: u64) -> Result<()> {
        let Some(average) = &mut self.average else { return Ok(()) };
        average.load(&self.store, prefix, tensors, updates)
    }

    /// Lets the average begin anew with the parameters as they are. True if one is tracked.
    ///
    /// # Errors
    /// The device's.
    pub fn restart_average(&mut self) -> Result<bool> {
        let Some(average) = &mut self.average else { return Ok(false) };
        average.restart(&self.store)?;
        Ok(true)
    }

    /// Exchanges parameters and averages, if they are tracked; a second call restores every bit.
    ///
    /// # Errors
    /// The device has no memory for a copy.
    pub fn swap_average(&self) -> Result<()> {
        self.average.as_ref().map_or(Ok(()), |average| average.swap(&self.store))
    }

    /// Leaves updates out whose gradients are not finite, up to `limit` in a row, where [`Optimizer::update`] would fail
    /// otherwise. They count as updates. To be called before anything is captured.
    ///
    /// # Errors
    /// The device's.
    pub fn skip_non_finite(&mut self, limit: u64) -> Result<()> {
        self.guard = NonFiniteGuard::skipping(self.store.device())?;
        self.skips = Some(limit);
        Ok(())
    }

    /// The updates that were left out. Waits for the device.
    ///
    /// # Errors
    /// The device's.
    pub fn skipped(&self) -> Result<Skipped> {
        if self.skips.is_some() { self.guard.skipped() } else { Ok(Skipped::default()) }
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

    /// Restores the counters of a checkpoint; the moments are the store's. Gradients that were not finite are forgotten.
    ///
    /// # Errors
    /// The device's.
    pub fn restore(&mut self, updates: u64, range: Range<usize>, skipped: Skipped) -> Result<()> {
        (self.updates, self.checked) = (updates, updates);
        self.range = range;
        self.guard.restore(skipped)
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

    /// Forgets the gradients.
    ///
    /// # Errors
    /// The device's.
    pub fn zero_grad(&self) -> Result<()> {
        self.store.zero_grad()
    }

    /// Updates the parameters from the gathered gradients. Refused, with nothing changed, if a gradient is not finite. On
    /// a CUDA device nothing changes any more from then on (but see [`Optimizer::skip_non_finite`]), and
    /// [`Optimizer::check`] tells. After [`Optimizer::gather`] the gradients are added to a total instead.
    ///
    /// # Errors
    /// As [`Optimizer::check`]; [`UpdateError::Tensor`] for a second update in a captured step.
    pub fn update(&mut self, lr: f64) -> Result<(), UpdateError> {
        if let Some(gathering) = &mut self.gathering {
            gathering.due = Some(lr);
            self.captured.iter_mut().filter(|c| c.open).for_each(|c| c.used = true);
            return Ok(gathering.weight.map_or(Ok(()), |weight| self.store.add_to_total(weight))?);
        }
        let step = self.adam_step(lr);
        let average = self.average.as_ref().map(MovingAverage::next);
        let inputs = AdamInputs { average, frozen: &self.frozen, ..AdamInputs::default() };
        if let Some(captured) = self.captured.as_mut().filter(|c| c.open) {
            if std::mem::replace(&mut captured.used, true) {
                let reason = "a captured step makes at most one update of an optimizer";
                return Err(Error::Msg(reason.to_owned()).into());
            }
            let factors = captured.factors.tensor();
            let inputs = AdamInputs { factors: Some(factors), ..inputs };
            return Ok(self.store.captured_adam(self.range.clone(), &step, &self.guard, &inputs)?);
        }
        self.store.guarded_adam(self.range.clone(), &step, &self.guard, &inputs)?;
        self.count();
        if self.store.device().is_cpu() { self.check() } else { Ok(()) }
    }

    /// From now on, [`Optimizer::update`] is told that the gradients of a micro-batch are complete: it adds them times `weight` to a
    /// total and updates nothing, until [`Optimizer::update_gathered`].
    pub fn gather(&mut self, weight: f64) {
        self.gathering.get_or_insert(Gathering { weight: None, due: None }).weight = Some(weight);
    }

    /// From now on, [`Optimizer::update`] is told that gradients are complete, and leaves them alone, until [`Optimizer::update_held`].
    pub fn hold(&mut self) {
        self.gathering.get_or_insert(Gathering { weight: None, due: None });
    }

    /// Whether [`Optimizer::update`] was called since [`Optimizer::hold`].
    pub fn is_due(&self) -> bool {
        self.gathering.as_ref().is_some_and(|gathering| gathering.due.is_some())
    }

    /// Updates the parameters from the gradients as they are, if [`Optimizer::update`] was called since [`Optimizer::hold`]. From now on, it updates.
    ///
    /// # Errors
    /// As [`Optimizer::update`].
    pub fn update_held(&mut self) -> Result<(), UpdateError> {
        self.release().map_or(Ok(()), |lr| self.update(lr))
    }

    /// From now on, [`Optimizer::update`] updates. Returns the learning rate of the update that is due.
    pub fn release(&mut self) -> Option<f64> {
        self.gathering.take().and_then(|gathering| gathering.due)
    }

    /// The factor of the gradients that are gathered next; `None` if [`Optimizer::update`] updates.
    pub fn gathering(&self) -> Option<f64> {
        self.gathering.as_ref().and_then(|gathering| gathering.weight)
    }

    /// Updates the parameters from the total times `scale`, if anything was gathered. From now on, [`Optimizer::update`] updates.
    ///
    /// # Errors
    /// As [`Optimizer::update`].
    pub fn update_gathered(&mut self, scale: f64) -> Result<(), UpdateError> {
        let Some(lr) = self.release() else { return Ok(()) };
        self.store.take_total(scale)?;
        self.update(lr)
    }

    /// Counts an update.
    fn count(&mut self) {
        self.updates += 1;
        if let Some(average) = &mut self.average {
            average.count();
        }
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
        let factors = GraphParams::new(self.store.device(), 3)?;
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
            if let Some(gathering) = &mut self.gathering {
                gathering.due = Some(lr);
                return Ok(());
            }
            let [size, root] = step.factors();
            let rest = self.average.as_ref().map_or(0.0, |average| average.next().rest);
            captured.factors.write(&[size, root, rest].map(f64::to_bits))?;
            self.count();
            self.store.touch();
        }
        Ok(())
    }

    /// Refuses to go on if a gradient was not finite at some update so far; where such updates are skipped, if too many were
    /// in a row. Waits for the device.
    ///
    /// # Errors
    /// [`UpdateError::NonFinite`], [`UpdateError::Skipped`].
    pub fn check(&mut self) -> Result<(), UpdateError> {
        if let Some(limit) = self.skips {
            let run = u64::from(self.guard.skipped()?.longest);
            if run > limit {
                return Err(UpdateError::Skipped { parameter: self.store.first_non_finite_grad()?, run });
            }
        }
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
