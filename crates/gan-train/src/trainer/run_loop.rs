//! Steps, epochs, log points and previews.

use super::Outcome;
use super::agreement::{Own, ahead, on_first};
use super::device_prefetcher::DevicePrefetcher;
use super::history::History;
use super::lr_scheduler::LrScheduler;
use super::position::{Data, Position};
use super::preview::Previews;
use super::progress::Pending;
use super::records::Records;
use crate::data_parallel::DataParallel;
use crate::eta::{Interval, Pace};
use crate::events::{Event, Finish, Observer};
use crate::method::{Method, StepContext};
use crate::method_config::MethodConfig;
use crate::method_spec::MethodSpec;
use crate::storage::Storage;
use crate::validation::Validator;
use crate::{DeviceConfig, Error, OnNonfinite, Result, TrainConfig, WayBack, accumulated_step};
use gan_comm::Communicator;
use gan_data::{Batch, Batches, Loader};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// A launch under way.
pub(super) struct Run<'a> {
    pub(super) method: &'a mut dyn Method,
    pub(super) spec: &'static MethodSpec,
    pub(super) config: &'a dyn MethodConfig,
    pub(super) storage: Arc<dyn Storage>,
    /// The run folder.
    pub(super) run: PathBuf,
    /// On the first rank.
    pub(super) records: Option<Records>,
    pub(super) ranks: Arc<dyn Communicator>,
    pub(super) parallel: DataParallel,
    pub(super) observers: Vec<Box<dyn Observer>>,
    pub(super) loader: Loader,
    pub(super) train: TrainConfig,
    pub(super) rate: LrScheduler,
    pub(super) device_config: DeviceConfig,
    pub(super) prefetcher: DevicePrefetcher,
    pub(super) batch_size: u64,
    pub(super) step: u64,
    pub(super) position: Position,
    pub(super) data: Data,
    /// Step of the checkpoint that this launch began with, if it has a lower learning rate.
    pub(super) slowed_down: Option<u64>,
    pub(super) total: u64,
    pub(super) pending: Pending,
    /// Updates left out so far that were told of.
    pub(super) skipped: u32,
    pub(super) rewinds: u64,
    pub(super) validator: Option<Validator>,
    pub(super) history: History,
    pub(super) previews: Previews,
    pub(super) autosave: Interval,
    pub(super) pace: Pace,
    pub(super) waited: Duration,
    pub(super) logged: Instant,
    /// When the last preview was made.
    pub(super) shown: Instant,
    pub(super) last_saved: Option<u64>,
}

impl Run<'_> {
    /// Trains to the end, or until `stop` is set, and rewinds as often as that is wanted.
    pub(super) fn go(&mut self, stop: &AtomicBool) -> Result<Outcome> {
        loop {
            match self.go_on(stop) {
                Err(Error::Diverged { what, .. }) if self.train.on_nonfinite == OnNonfinite::Rewind => {
                    self.rewind(what)?
                }
                ended => return ended,
            }
        }
    }

    fn go_on(&mut self, stop: &AtomicBool) -> Result<Outcome> {
        let per_epoch = self.loader.batches_per_epoch() as u64;
        // A run that was stopped while it validated has that left to do; the checkpoint is written again with the result.
        let mut finish = if self.validation_due() { self.end_epoch(stop, true)? } else { None };
        let mut upcoming = None;
        self.pace.step();
        while finish.is_none() && self.step < self.total {
            let (epoch, done) = (self.position.epoch(), self.position.batches);
            let mut batches = match upcoming.take() {
                Some(batches) => batches,
                None => self.own_batches(epoch, done),
            };
            // Small datasets have short epochs: the next one is prepared while this one is trained on.
            let mut left = per_epoch - done;
            upcoming =
                (self.step + left.div_ceil(self.train.accumulate) < self.total).then(|| self.own_batches(epoch + 1, 0));
            while left > 0 {
                let count = left.min(self.train.accumulate);
                left -= count;
                let Some((of_step, images)) = self.next_step(&mut batches, count as usize, stop)? else {
                    finish = Some(Finish::Interrupted);
                    break;
                };
                let due = self.one_step(&of_step, &images, epoch)?;
                if self.position.batches == 0 {
                    self.observers.iter_mut().for_each(|o| o.end_epoch(epoch, self.step));
                    let due = due || crossed(epoch, epoch - 1, self.train.save_epoch_freq);
                    finish = self.end_epoch(stop, due)?;
                } else if due {
                    self.save_or_warn()?;
                }
                // Several ranks ask one another before the next step.
                if self.ranks.is_alone() && stop.load(Ordering::Relaxed) && self.step < self.total {
                    finish = finish.or(Some(Finish::Interrupted));
                }
                if finish.is_some() || self.step >= self.total {
                    break;
                }
            }
        }
        let finish = finish.unwrap_or(Finish::Complete);
        if self.last_saved != Some(self.step) {
            self.check()?;
            self.on_first(Self::save)?;
        }
        self.emit(Event::Finished { step: self.step, epoch: self.position.begun(), reason: finish })?;
        Ok(Outcome { finish, step: self.step, best: self.history.best().cloned() })
    }

    /// The batches of an epoch from number `first` on that this rank computes.
    fn own_batches(&self, epoch: u64, first: u64) -> Batches {
        self.loader.every(self.ranks.size(), epoch, first as usize + self.ranks.rank())
    }

    /// This rank's batches of the next step, which has `count`, and how many images each of these `count` has. `None` if several ranks
    /// are to stop before it.
    fn next_step(
        &mut self,
        batches: &mut Batches,
        count: usize,
        stop: &AtomicBool,
    ) -> Result<Option<(Vec<Batch>, Vec<f64>)>> {
        let (rank, size) = (self.ranks.rank(), self.ranks.size());
        // All of a step first: what fails to be read fails between two steps.
        let own = count.saturating_sub(rank).div_ceil(size);
        let of_step = batches.by_ref().take(own).collect::<gan_data::Result<Vec<_>>>();
        if self.ranks.is_alone() {
            let of_step = of_step.inspect_err(|_| self.save_before_failing())?;
            return Ok(Some((of_step, Vec::new())));
        }
        let own = Own {
            batches: of_step.as_deref().ok(),
            stop: stop.load(Ordering::Relaxed),
            save: self.train.save_minutes > 0.0 && self.autosave.due(),
        };
        let ahead = ahead(&*self.ranks, &own, count)?;
        if let Some(rank) = ahead.failed {
            self.save_before_failing();
            // The first that ends also ends the others.
            self.ranks.barrier()?;
            of_step?;
            return Err(Error::Elsewhere { rank });
        }
        if ahead.stop {
            return Ok(None);
        }
        if ahead.save && self.last_saved != Some(self.step) {
            self.save_or_warn()?;
        }
        Ok(Some((of_step?, ahead.images)))
    }

    /// Does something on the first rank alone (see [`on_first`]), after which all know what was saved last.
    pub(super) fn on_first<T>(&mut self, run: impl FnOnce(&mut Self) -> Result<T>) -> Result<T>
    where
        T: serde::Serialize + serde::de::DeserializeOwned,
    {
        let ranks = self.ranks.clone();
        let (done, saved) = on_first(&*ranks, || Ok((run(self)?, self.last_saved)))?;
        self.last_saved = saved;
        Ok(done)
    }

    /// One step, with what it shows. Returns whether a checkpoint is due.
    fn one_step(&mut self, batches: &[Batch], images: &[f64], epoch: u64) -> Result<bool> {
        let lr = self.rate.of_epoch(epoch);
        let cx = StepContext { epoch, step: self.position.seen, update: self.step, lr, seed: self.train.seed };
        let upload = |batch| self.prefetcher.take(batch);
        let (losses, of_step) = match self.ranks.is_alone() {
            true => (accumulated_step(self.method, batches, upload, &cx)?, batches.len()),
            false => (self.parallel.step(self.method, batches, images, upload, &cx)?, images.len()),
        };
        if let Some(message) = self.method.take_warning() {
            self.emit(Event::Warning { step: self.step, message })?;
        }
        self.rate.observe(&losses)?;
        self.pending.push(losses)?;
        let before = self.position.images;
        self.step += 1;
        let per_epoch = self.loader.batches_per_epoch() as u64;
        if (0..of_step).fold(false, |_, _| self.position.advance(per_epoch, self.batch_size)) {
            self.rate.end_epoch()?; // before a checkpoint can be written
        }
        self.pace.step();
        let eta = self.eta();
        self.observers.iter_mut().for_each(|o| o.step(self.step, eta));
        let images = self.position.images;
        let last = self.step == self.total;
        if crossed(images, before, self.train.print_freq) || early(self.step, images, self.train.print_freq) || last {
            self.log(epoch, lr)?;
        }
        let slow = self.train.display_freq > 0 && self.shown.elapsed() > LONGEST_WITHOUT_PREVIEW;
        if crossed(images, before, self.train.display_freq) || self.step == 1 || last || slow {
            self.show(epoch)?;
            self.shown = Instant::now();
        }
        // Several ranks go by the clock of the first one, before the next step.
        Ok(crossed(images, before, self.train.save_latest_freq)
            || (self.ranks.is_alone() && self.train.save_minutes > 0.0 && self.autosave.due()))
    }

    /// Whether all gradients so far were finite, on devices that do not tell at once.
    pub(super) fn check(&mut self) -> Result<()> {
        let step = self.step;
        // A step is an update.
        let when = |updates| match updates {
            0 | 1 => format!(" in step {step}"),
            n => format!(" in one of the steps {} to {step}", (step + 1).saturating_sub(n)),
        };
        let optimizers = self.method.state().optimizers.into_iter();
        optimizers
            .map(|(_, o, _)| o.check())
            .try_for_each(|checked| checked.map_err(|error| Error::of_update(error, when)))?;
        self.report_skipped()
    }

    fn log(&mut self, epoch: u64, lr: f64) -> Result<()> {
        self.check()?;
        let losses = self.pending.take_means()?;
        if let Some((name, _)) = losses.iter().find(|(_, value)| !value.is_finite()) {
            return Err(Error::Diverged { what: format!("the loss {name}"), way_back: WayBack::Unknown });
        }
        let waited = self.loader.waited();
        let per_step = self.train.accumulate.min(self.loader.batches_per_epoch() as u64);
        let elapsed = self.logged.elapsed().as_secs_f64().max(1e-9);
        let event = Event::Progress {
            step: self.step,
            epoch,
            losses,
            lr,
            images_per_s: self.pace.images_per_s((self.batch_size * per_step) as usize).unwrap_or(0.0),
            data_wait: ((waited - self.waited).as_secs_f64() / elapsed).min(1.0),
            eta_s: self.eta(),
        };
        self.waited = waited;
        self.logged = Instant::now();
        self.emit(event)
    }

    fn eta(&self) -> Option<f64> {
        self.pace.eta(self.total - self.step).map(|d| d.as_secs_f64())
    }

    fn show(&mut self, epoch: u64) -> Result<()> {
        if self.records.is_none() {
            return Ok(());
        }
        let shown = self.previews.show(self.method, &self.device_config)?;
        self.emit(Event::Preview { step: self.step, epoch, panels: shown.panels, held_out: shown.held_out })?;
        if let Some(message) = shown.warning {
            self.emit(Event::Warning { step: self.step, message })?;
        }
        Ok(())
    }

    /// Tells all observers; what one of them cannot take is a warning to all. Most write into the run folder: none is
    /// told once it is gone.
    pub(super) fn emit(&mut self, event: Event) -> Result<()> {
        self.records.as_ref().map_or(Ok(()), |records| records.folder.check())?;
        let mut failures = Vec::new();
        let own = self.records.as_mut().map(|records| &mut records.events as &mut dyn Observer);
        for observer in own.into_iter().chain(self.observers.iter_mut().map(|o| &mut **o as &mut dyn Observer)) {
            if let Err(error) = observer.on(&event) {
                failures.push(error.to_string());
            }
        }
        failures.extend(self.records.as_mut().and_then(|records| records.events.take_warning()));
        for message in failures {
            let warning = Event::Warning { step: self.step, message };
            for observer in &mut self.observers {
                // An observer that fails at a warning about itself has been reported already.
                let _ = observer.on(&warning);
            }
        }
        Ok(())
    }
}

/// Whether a count that went from `before` to `now` passed a multiple of `every` (0: never).
fn crossed(now: u64, before: u64, every: u64) -> bool {
    every > 0 && now / every > before / every
}

/// A run of few images a second shows previews by time as well.
const LONGEST_WITHOUT_PREVIEW: Duration = Duration::from_secs(300);

/// Whether a step before the first log point is logged all the same: one soon sees whether and how fast a run trains.
/// Depends on the step alone, so that a resumed run logs the same steps.
fn early(step: u64, images: u64, print_freq: u64) -> bool {
    images < print_freq && [1, 2, 5, 10, 20, 50].contains(&step)
}
