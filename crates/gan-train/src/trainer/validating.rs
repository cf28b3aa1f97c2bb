//! Validation of a launch under way.

use super::Job;
use super::agreement::on_first;
use super::history::History;
use super::position::Data;
use super::run_loop::Run;
use crate::events::{Busy, Event, Finish};
use crate::validation::{Scores, Validator, gather};
use crate::{Error, Result};
use gan_data::Dataset;
use gan_translate::Options;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

/// What validates the run, where it is to be.
pub(super) fn open(job: &Job, training: &dyn Dataset) -> Result<Option<Validator>> {
    let (config, train) = (&job.config, job.config.train());
    if job.dataset.is_some() && config.validation().is_on() {
        let message = "validation reads a part of the configuration's dataset, and this run trains on another one: set validation.every = 0";
        return Err(Error::Config { origin: "configuration".into(), message: message.into() });
    }
    let options = Options {
        device: job.device_config.clone(),
        precision: train.precision,
        math: train.math_mode(),
        // Steps are captured on this device.
        no_cuda_graphs: true,
        ..Options::default()
    };
    Validator::open(config.validation(), &config.data(), training, config.model(), options, &job.run)
}

/// Lets the history of a run go on with what this launch measures.
pub(super) fn carry_on(history: &mut History, validator: &Validator) -> Option<String> {
    history.carry_on(validator.deciding().name, Data::of(validator.dataset(), 1))
}

impl Run<'_> {
    /// Whether the epoch that is just done is to be validated and has not been.
    pub(super) fn validation_due(&self) -> bool {
        self.validator.as_ref().is_some_and(|validator| self.history.is_due(validator.config(), &self.position))
    }

    /// The end of an epoch: validates where that is due, and writes a checkpoint if it is the best one or `due` for another
    /// reason. Returns why training ends here, if it does.
    pub(super) fn end_epoch(&mut self, stop: &AtomicBool, due: bool) -> Result<Option<Finish>> {
        let before = self.history.best().cloned();
        // `None`: it was interrupted, and is done first when the run is resumed.
        let improved = if self.validation_due() { self.validate(stop)? } else { Some(false) };
        let mut finish = improved.is_none().then_some(Finish::Interrupted);
        let improved = improved.unwrap_or(false);
        if improved || due {
            self.save_or_warn()?;
        }
        if improved && self.last_saved != Some(self.step) {
            self.history.set_best(before);
        }
        let exhausted = self.validator.as_ref().is_some_and(|v| self.history.is_exhausted(v.config()));
        if exhausted && self.step < self.total {
            finish = finish.or(Some(Finish::EarlyStopped));
        }
        Ok(finish)
    }

    /// Validates. Returns whether it is the best one so far; `None` if `stop` was set meanwhile, on any rank.
    fn validate(&mut self, stop: &AtomicBool) -> Result<Option<bool>> {
        self.check()?;
        let started = Instant::now();
        self.observers.iter_mut().for_each(|o| o.busy(Busy::Validating));
        let measured = self.measure(stop).inspect_err(|error| {
            // There is nothing to go on with if training has diverged.
            if !matches!(error, Error::Diverged { .. }) {
                self.save_before_failing();
                // The first that ends also ends the others.
                let _ = self.ranks.barrier();
            }
        });
        let (Some(scores), Some(validator)) = (measured?, &self.validator) else { return Ok(None) };
        let deciding = validator.deciding();
        let value = scores.values.iter().find(|(name, _)| name == deciding.name).map_or(f64::NAN, |(_, value)| *value);
        let (step, epoch) = (self.step, self.position.epochs);
        let improved = self.history.add(deciding.name, deciding.better, value, step, epoch);
        self.emit(Event::Validated {
            step,
            epoch,
            images: scores.images,
            metrics: scores.values,
            best_by: deciding.name.to_owned(),
            best_step: self.history.best().map(|best| best.step),
            seconds: started.elapsed().as_secs_f64(),
        })?;
        Ok(Some(improved))
    }

    /// The metrics of all held-out images, each of which one rank translates; all ranks get the values that the first one computes.
    fn measure(&mut self, stop: &AtomicBool) -> Result<Option<Scores>> {
        let (ranks, Some(validator)) = (self.ranks.clone(), &mut self.validator) else { return Ok(None) };
        let share = validator.share(self.method, (ranks.rank(), ranks.size()), stop);
        let Some(gathered) = gather(&*ranks, share)? else { return Ok(None) };
        // As bits: what is told travels as JSON, which has no NaN.
        let (images, values) = on_first(&*ranks, || {
            let Scores { images, values } = validator.scores(gathered)?;
            Ok((images, values.into_iter().map(|(name, value)| (name, value.to_bits())).collect::<Vec<_>>()))
        })?;
        Ok(Some(Scores {
            images,
            values: values.into_iter().map(|(name, bits)| (name, f64::from_bits(bits))).collect(),
        }))
    }
}
