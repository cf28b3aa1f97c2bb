//! The training loop. It owns data, clock, checkpoints and observers, and never looks inside a method.

mod feed;
mod position;
mod progress;
mod rate;
mod state;
mod unread;
mod way_back;

use crate::checkpoint::{self, Loaded, Snapshot};
use crate::eta::{Interval, Monotonic, Pace};
use crate::events::{Event, Finish, JsonLines, Observer};
use crate::gallery::{Gallery, GalleryOptions};
use crate::method::{Method, StepCx};
use crate::method_config::{MethodConfig, demands};
use crate::method_spec::MethodSpec;
use crate::run::{RunFolder, RunInfo};
use crate::storage::{Disk, Storage};
use crate::{Error, Place, Result, TrainConfig, WayBack, capture_steps, numerics, resume, to_place};
use feed::Feed;
use gan_data::{Batch, Dataset, Loader};
use gan_kernels::device::device_name;
use gan_rng::{Key, Purpose};
use position::{Data, Position};
use progress::Pending;
use rate::Rate;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// What is to be trained, and where.
pub struct Job {
    /// The method: one of [`METHODS`](crate::METHODS), or any other.
    pub method: &'static MethodSpec,
    /// Its resolved configuration. When resuming, what [`resume_config`](crate::resume_config) returns.
    pub config: Box<dyn MethodConfig>,
    /// The dataset; without one, that of the configuration.
    pub dataset: Option<Arc<dyn Dataset>>,
    /// The run folder: new, or with `resume` an existing one.
    pub run: PathBuf,
    /// Go on with the newest checkpoint of the run.
    pub resume: bool,
    /// Device and dtype.
    pub place: Place,
    /// The command line, for the record.
    pub argv: Vec<String>,
    /// Version of the program, for the record.
    pub version: String,
    /// Set from outside to stop after the current step.
    pub stop: Arc<AtomicBool>,
    /// Who is told.
    pub observers: Vec<Box<dyn Observer>>,
}

/// How training ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Why. [`Finish::NothingLeft`] if the run had been complete before: nothing was written then.
    pub finish: Finish,
    /// Steps done in the whole run.
    pub step: u64,
}

/// Trains. Everything that can be refused is refused before the run folder is made.
///
/// # Errors
/// Errors of the configuration, the data and the run folder; [`Error::Diverged`] with what is left to go on from.
pub fn train(mut job: Job) -> Result<Outcome> {
    if job.resume {
        resume::require_method(&job.run, job.method)?;
    }
    let demands = demands(&*job.config)?;
    job.config.model().validate().map_err(|e| Error::Unsavable { reason: e.to_string() })?;
    let (train, data) = (job.config.train().clone(), job.config.data());
    let dataset = match &job.dataset {
        Some(dataset) => dataset.clone(),
        None => gan_data::open(&data)?,
    };
    dataset.check()?;
    gan_data::check_sizes(&*dataset, &data, &|size| demands.unfit(size))?;
    let loader = Loader::new(dataset.clone(), data.loader(train.seed))?;
    numerics::check(train.precision, &job.place)?;
    let mut method = capture_steps(job.config.build(&job.place)?, &train, &job.place);
    let storage: Arc<dyn Storage> = Arc::new(Disk);
    let mut warnings: Vec<String> = method.notes().to_vec();
    warnings.extend(dataset.describe().notes);

    let (mut folder, restored) = open_folder(&*storage, &job, &mut *method)?;
    let per_epoch = loader.batches_per_epoch() as u64;
    let batch_size = data.batch_size as u64;
    let data = Data::of(&*dataset, batch_size);
    let mut rate = Rate::new(&train);
    let (mut step, mut position, mut pending, mut log_length) = (0, Position::default(), Pending::default(), 0);
    let mut slowed_down = None;
    if let Some(Restored { loaded, sealed }) = restored {
        warnings.extend(loaded.warnings.iter().map(ToString::to_string));
        step = loaded.snapshot.step;
        log_length = state::events_length(&loaded.snapshot);
        slowed_down = (train.lr < sealed.train().lr).then_some(step);
        let saved;
        (pending, saved) = state::restore(&loaded, &mut *method, &mut rate, &job.place.device)?;
        let saved = saved.unwrap_or_else(|| {
            let data = Data::of(&*dataset, sealed.data().batch_size as u64);
            let position = data.position_of_step(step);
            warnings.push(format!(
                "this checkpoint is of an older version, which kept no epoch: with this data, step {step} lies in epoch {}",
                position.epoch()
            ));
            state::Place { position, data }
        });
        let notes;
        (position, notes) = data.carry_on(&saved.data, saved.position);
        warnings.extend(notes);
    } else if job.resume {
        warnings.push("this run has no checkpoint yet: it starts from the beginning".into());
    }
    let total = position.total_steps(step, &train, per_epoch);
    if job.resume && total <= step {
        for message in warnings {
            for observer in &mut job.observers {
                // Nobody is left to hear that an observer cannot take a warning.
                let _ = observer.on(&Event::Warning { step, message: message.clone() });
            }
        }
        return Ok(Outcome { finish: Finish::NothingLeft, step });
    }
    if job.resume {
        warnings.extend(folder.resume(&*storage, &config_text(&*job.config)?, &run_info(&job))?);
    }
    let mut events = JsonLines::resume(storage.clone(), &folder.events(), log_length)?;
    warnings.extend(events.take_warning());
    let gallery = Gallery::open(storage.clone(), &folder.gallery(), &folder.events(), step, GalleryOptions::default())?;
    job.observers.push(Box::new(gallery));

    let mut run = Run {
        total,
        rate,
        preview: None,
        step,
        position,
        data,
        slowed_down,
        pending,
        events,
        observers: job.observers,
        autosave: Interval::new(
            Box::new(Monotonic::default()),
            Duration::from_secs_f64(60.0 * train.save_minutes.max(0.1)),
        ),
        pace: Pace::new(Box::new(Monotonic::default())),
        waited: Duration::ZERO,
        logged: Instant::now(),
        last_saved: (step > 0).then_some(step),
        method: &mut *method,
        storage,
        config: &*job.config,
        spec: job.method,
        folder,
        loader,
        dataset,
        train,
        batch_size,
        feed: Feed::new(&job.place)?,
        place: job.place.clone(),
    };
    for message in warnings {
        run.emit(Event::Warning { step: run.step, message });
    }
    run.emit(Event::Started {
        method: run.spec.name.into(),
        step: run.step,
        total_steps: run.total,
        device: device_name(&run.place.device),
    });
    run.go(&job.stop).map_err(|error| run.with_way_back(error))
}

/// What a run goes on from.
struct Restored {
    loaded: Loaded,
    /// Its configuration.
    sealed: Box<dyn MethodConfig>,
}

/// The run folder, locked, and when resuming its newest checkpoint: `None` if the run ended before it saved one.
fn open_folder(storage: &dyn Storage, job: &Job, method: &mut dyn Method) -> Result<(RunFolder, Option<Restored>)> {
    if !job.resume {
        return Ok((RunFolder::create(storage, &job.run, &config_text(&*job.config)?, &run_info(job))?, None));
    }
    // Locked first: another trainer would replace and delete the checkpoints that are being read.
    let folder = RunFolder::open(storage, &job.run)?;
    let check = |dir: &Path, snapshot: &Snapshot| {
        let sealed = resume::sealed(dir, &snapshot.model, job.method)?;
        resume::check_changes(&dir.display().to_string(), &*sealed, &*job.config)?;
        state::check(dir, snapshot, method)
    };
    let loaded = match checkpoint::load_latest_checked(storage, &job.run, Some(job.method.name), check) {
        Ok(loaded) => loaded,
        Err(Error::Files(checkpoint::Error::NoCheckpoint { .. })) => return Ok((folder, None)),
        Err(error) => return Err(error),
    };
    let sealed = resume::sealed(&loaded.dir, &loaded.snapshot.model, job.method)?;
    Ok((folder, Some(Restored { loaded, sealed })))
}

fn config_text(config: &dyn MethodConfig) -> Result<String> {
    toml::to_string_pretty(&config.to_table()?).map_err(|e| Error::Unsavable { reason: e.to_string() })
}

fn run_info(job: &Job) -> RunInfo {
    RunInfo {
        method: job.method.name.into(),
        version: job.version.clone(),
        revision: option_env!("GAN_REVISION").map(Into::into),
        device: device_name(&job.place.device),
        instruction_set: checkpoint::instruction_set(),
        seed: job.config.train().seed,
        argv: job.argv.clone(),
        launches: Vec::new(),
    }
}

struct Run<'a> {
    method: &'a mut dyn Method,
    spec: &'static MethodSpec,
    config: &'a dyn MethodConfig,
    folder: RunFolder,
    storage: Arc<dyn Storage>,
    events: JsonLines,
    observers: Vec<Box<dyn Observer>>,
    loader: Loader,
    dataset: Arc<dyn Dataset>,
    train: TrainConfig,
    rate: Rate,
    place: Place,
    feed: Feed,
    batch_size: u64,
    step: u64,
    position: Position,
    data: Data,
    /// Step of the checkpoint that this launch began with, if it has a lower learning rate.
    slowed_down: Option<u64>,
    total: u64,
    pending: Pending,
    preview: Option<Batch>,
    autosave: Interval,
    pace: Pace,
    waited: Duration,
    logged: Instant,
    last_saved: Option<u64>,
}

impl Run<'_> {
    fn go(&mut self, stop: &AtomicBool) -> Result<Outcome> {
        let per_epoch = self.loader.batches_per_epoch() as u64;
        let mut finish = Finish::Complete;
        let mut upcoming = None;
        self.pace.step();
        'training: while self.step < self.total {
            let (epoch, done) = (self.position.epoch(), self.position.batches);
            let batches = match upcoming.take() {
                Some(batches) => batches,
                None => self.loader.epoch(epoch, done as usize),
            };
            // Small datasets have short epochs: the next one is prepared while this one is trained on.
            upcoming = (self.step + per_epoch - done < self.total).then(|| self.loader.epoch(epoch + 1, 0));
            for batch in batches {
                let batch = batch.inspect_err(|_| self.save_before_failing())?;
                self.one_step(batch, epoch)?;
                if stop.load(Ordering::Relaxed) && self.step < self.total {
                    finish = Finish::Interrupted;
                    break 'training;
                }
                if self.step >= self.total {
                    break;
                }
            }
            if self.position.batches == 0
                && crossed(epoch, epoch - 1, self.train.save_epoch_freq)
                && self.step < self.total
                && self.last_saved != Some(self.step)
            {
                self.save_or_warn()?;
            }
        }
        if self.last_saved != Some(self.step) {
            self.check()?;
            self.save()?;
        }
        self.emit(Event::Finished { step: self.step, epoch: self.position.begun(), reason: finish });
        Ok(Outcome { finish, step: self.step })
    }

    fn one_step(&mut self, batch: Batch, epoch: u64) -> Result<()> {
        let batch = self.feed.take(batch)?;
        let lr = self.rate.of_epoch(epoch);
        let losses = self
            .method
            .step(&batch, &StepCx { epoch, step: self.step, lr, seed: self.train.seed })
            .map_err(|error| error.in_step(self.step + 1, &batch))?;
        if let Some(message) = self.method.news() {
            self.emit(Event::Warning { step: self.step, message });
        }
        self.rate.observe(&losses)?;
        self.pending.push(losses)?;
        let before = self.position.images;
        self.step += 1;
        if self.position.advance(self.loader.batches_per_epoch() as u64, self.batch_size) {
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
        if crossed(images, before, self.train.display_freq) || self.step == 1 || last {
            self.show(epoch)?;
        }
        if crossed(images, before, self.train.save_latest_freq)
            || (self.train.save_minutes > 0.0 && self.autosave.due())
        {
            self.save_or_warn()?;
        }
        Ok(())
    }

    /// Whether all gradients so far were finite, on devices that do not tell at once.
    fn check(&mut self) -> Result<()> {
        let mut optimizers = self.method.parts().optimizers;
        let step = self.step;
        // A step is an update.
        let when = |updates| match updates {
            0 | 1 => format!(" in step {step}"),
            n => format!(" in one of the steps {} to {step}", (step + 1).saturating_sub(n)),
        };
        optimizers.iter_mut().try_for_each(|(_, o, _)| o.check().map_err(|error| Error::of_update(error, when)))
    }

    fn log(&mut self, epoch: u64, lr: f64) -> Result<()> {
        self.folder.check()?;
        self.check()?;
        let losses = self.pending.take_means()?;
        if let Some((name, _)) = losses.iter().find(|(_, value)| !value.is_finite()) {
            return Err(Error::Diverged { what: format!("the loss {name}"), way_back: WayBack::Unknown });
        }
        let waited = self.loader.waited();
        let elapsed = self.logged.elapsed().as_secs_f64().max(1e-9);
        let event = Event::Progress {
            step: self.step,
            epoch,
            losses,
            lr,
            images_per_s: self.pace.images_per_s(self.batch_size as usize).unwrap_or(0.0),
            data_wait: ((waited - self.waited).as_secs_f64() / elapsed).min(1.0),
            eta_s: self.eta(),
        };
        self.waited = waited;
        self.logged = Instant::now();
        self.emit(event);
        Ok(())
    }

    fn eta(&self) -> Option<f64> {
        self.pace.eta(self.total - self.step).map(|d| d.as_secs_f64())
    }

    fn show(&mut self, epoch: u64) -> Result<()> {
        self.folder.check()?;
        let batch = match &self.preview {
            Some(batch) => batch,
            None => self.preview.insert(to_place(preview_batch(&*self.dataset, self.train.seed)?, &self.place)?),
        };
        let pictures = self.method.preview(batch)?;
        self.emit(Event::Preview { step: self.step, epoch, pictures });
        Ok(())
    }

    /// A checkpoint that cannot be written in between is no reason to lose the run; the one at the end is. There is
    /// nothing to go on with if training has diverged, and nowhere to go if the folder is gone.
    fn save_or_warn(&mut self) -> Result<()> {
        self.check()?;
        match self.save() {
            Err(error @ (Error::Diverged { .. } | Error::Vanished { .. })) => return Err(error),
            Err(error) => self.warn(format!("training goes on without a new checkpoint: {error}")),
            Ok(()) => {}
        }
        Ok(())
    }

    fn warn(&mut self, message: String) {
        self.emit(Event::Warning { step: self.step, message });
    }

    /// A picture that cannot be read says nothing against the steps before it.
    fn save_before_failing(&mut self) {
        if self.step > 0 && self.last_saved != Some(self.step) {
            // What is wrong with the picture is what the caller reports.
            let _ = self.save_or_warn();
        }
    }

    fn save(&mut self) -> Result<()> {
        let started = Instant::now();
        self.folder.check()?;
        match self.folder.repair(&*self.storage) {
            Ok(notes) => notes.into_iter().for_each(|note| self.warn(note)),
            // They are copies; the checkpoint holds what is needed.
            Err(error) => self.warn(error.to_string()),
        }
        let events_length = self.events.sync()?;
        let mut snapshot = Snapshot::new(self.step, self.spec.name);
        let unsavable = |e: serde_json::Error| Error::Unsavable { reason: e.to_string() };
        snapshot.model = serde_json::to_value(self.config.to_table()?).map_err(unsavable)?;
        snapshot.model_json = Some(serde_json::to_value(self.config.model()).map_err(unsavable)?);
        let place = state::Place { position: self.position, data: self.data.clone() };
        state::fill(&mut snapshot, self.method, events_length, &mut self.pending, &mut self.rate, place)?;
        let saved = checkpoint::save(&*self.storage, self.folder.path(), &snapshot, self.train.keep);
        let saved = saved.map_err(way_back::of_snapshot)?;
        self.last_saved = Some(self.step);
        saved.warnings.iter().for_each(|warning| self.warn(warning.to_string()));
        let (path, bytes) = (saved.path, saved.bytes);
        self.emit(Event::Saved { step: self.step, path, bytes, seconds: started.elapsed().as_secs_f64() });
        Ok(())
    }

    /// A divergence says from where training can go on.
    fn with_way_back(&self, error: Error) -> Error {
        match error {
            Error::Diverged { what, .. } => {
                // Not saved since: a lower learning rate did not help.
                let at_once = self.slowed_down.filter(|from| self.last_saved == Some(*from));
                let way_back = way_back::find(&*self.storage, self.folder.path(), self.spec, at_once);
                Error::Diverged { what, way_back }
            }
            other => other,
        }
    }

    fn emit(&mut self, event: Event) {
        let mut failures = Vec::new();
        let own: &mut dyn Observer = &mut self.events;
        for observer in std::iter::once(own).chain(self.observers.iter_mut().map(|o| &mut **o as &mut dyn Observer)) {
            if let Err(error) = observer.on(&event) {
                failures.push(error.to_string());
            }
        }
        failures.extend(self.events.take_warning());
        for message in failures {
            let warning = Event::Warning { step: self.step, message };
            for observer in &mut self.observers {
                // Whoever cannot take a warning about itself has said so already.
                let _ = observer.on(&warning);
            }
        }
    }
}

/// Whether a count that went from `before` to `now` passed a multiple of `every` (0: never).
fn crossed(now: u64, before: u64, every: u64) -> bool {
    every > 0 && now / every > before / every
}

/// Whether a step before the first log point is logged all the same: one soon sees whether and how fast a run trains.
/// Depends on the step alone, so that a resumed run logs the same steps.
fn early(step: u64, images: u64, print_freq: u64) -> bool {
    images < print_freq && [1, 2, 5, 10, 20, 50].contains(&step)
}

/// A few items spread over the dataset, always the same ones.
fn preview_batch(dataset: &dyn Dataset, seed: u64) -> Result<Batch> {
    const ROWS: usize = 3;
    let key = Key::new(seed, Purpose::Augment).at(0);
    let n = dataset.len();
    let rows = ROWS.min(n);
    let items =
        (0..rows).map(|i| dataset.item(i * n / rows, key.at(i as u64))).collect::<gan_data::Result<Vec<_>>>()?;
    let same_size = items.iter().all(|item| {
        item.a.dims() == items[0].a.dims() && item.b.as_ref().map(|b| b.dims()) == items[0].b.as_ref().map(|b| b.dims())
    });
    let items = if same_size { items } else { items.into_iter().take(1).collect() };
    Ok(Batch::collate(items)?)
}
