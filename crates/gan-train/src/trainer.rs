//! The training loop. It owns data, clock, checkpoints and observers, and never looks inside a method.

mod feed;
mod progress;
mod rate;
mod state;
mod unread;

use crate::checkpoint::{self, Loaded, Snapshot};
use crate::device::device_name;
use crate::eta::{Interval, Monotonic, Pace};
use crate::events::{Event, Finish, JsonLines, Observer};
use crate::gallery::{Gallery, GalleryOptions};
use crate::method::{Method, MethodSpec, Place, StepCx, parse};
use crate::run::{RunFolder, RunInfo};
use crate::storage::{Disk, Storage};
use crate::{Error, Result, TrainConfig, graphed, resume};
use feed::Feed;
pub use feed::to_place;
use gan_data::{Batch, DataConfig, Dataset, Loader, LoaderConfig};
use gan_rng::{Key, Purpose};
use progress::Pending;
use rate::Rate;
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// What is to be trained, and where.
pub struct Job {
    /// The method.
    pub method: &'static MethodSpec,
    /// Its resolved configuration. When resuming, the saved configuration with the changes that are allowed.
    pub config: toml::Table,
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
    /// Why.
    pub finish: Finish,
    /// Steps done in the whole run.
    pub step: u64,
}

/// The tables that the trainer reads itself.
#[derive(Deserialize)]
struct Common {
    train: TrainConfig,
    data: DataConfig,
    generator: Channels,
}

#[derive(Deserialize)]
struct Channels {
    input_nc: usize,
    output_nc: usize,
}

/// The `[data]` table of a resolved configuration, with what follows from the generator: channels and multiples.
pub fn data_config(method: &MethodSpec, config: &toml::Table) -> Result<DataConfig> {
    let common: Common = parse(config)?;
    let multiple = common.data.multiple.max((method.generator)(config)?.size_multiple());
    let Channels { input_nc, output_nc } = common.generator;
    Ok(DataConfig { input_nc, output_nc, multiple, ..common.data })
}

/// Trains. Everything that can be refused is refused before the run folder is made.
pub fn train(job: Job) -> Result<Outcome> {
    let demands = (job.method.check)(&job.config)?;
    let common: Common = parse(&job.config)?;
    let data = data_config(job.method, &job.config)?;
    let dataset = gan_data::open(&data)?;
    dataset.check()?;
    gan_data::check_sizes(&*dataset, &data, &|size| demands.unfit(size))?;
    let loader = Loader::new(
        dataset.clone(),
        LoaderConfig {
            batch_size: common.data.batch_size,
            shuffle: common.data.shuffle,
            seed: common.train.seed,
            workers: common.data.workers,
            ..LoaderConfig::default()
        },
    )?;
    let mut method = graphed((job.method.build)(&job.config, &job.place)?, &common.train, &job.place);
    let storage: Arc<dyn Storage> = Arc::new(Disk);
    let (folder, restored) = open_folder(&*storage, &job, common.train.seed)?;

    let mut run = Run {
        total: total_steps(&common.train, loader.batches_per_epoch() as u64),
        rate: Rate::new(&common.train),
        preview: None,
        step: 0,
        pending: Pending::default(),
        events: JsonLines::resume(
            storage.clone(),
            &folder.events(),
            restored.as_ref().map_or(0, |l| state::events_length(&l.snapshot)),
        )?,
        observers: Vec::new(),
        autosave: Interval::new(
            Box::new(Monotonic::default()),
            Duration::from_secs_f64(60.0 * common.train.save_minutes.max(0.1)),
        ),
        pace: Pace::new(Box::new(Monotonic::default())),
        waited: Duration::ZERO,
        logged: Instant::now(),
        last_saved: None,
        method: &mut *method,
        storage: storage.clone(),
        job: &job.config,
        spec: job.method,
        folder,
        loader,
        dataset,
        train: common.train,
        batch_size: common.data.batch_size as u64,
        feed: Feed::new(&job.place)?,
        place: job.place.clone(),
    };
    let mut warnings: Vec<String> = run.method.notes().to_vec();
    warnings.extend(run.dataset.describe().notes);
    if let Some(loaded) = restored {
        warnings.extend(loaded.warnings.iter().map(ToString::to_string));
        run.restore(&loaded.snapshot)?;
    } else if job.resume {
        warnings.push("this run has no checkpoint yet: it starts from the beginning".into());
    }
    let gallery =
        Gallery::open(storage, &run.folder.gallery(), &run.folder.events(), run.step, GalleryOptions::default())?;
    run.observers = job.observers;
    run.observers.push(Box::new(gallery));
    for message in warnings {
        run.emit(Event::Warning { step: run.step, message });
    }
    run.emit(Event::Started {
        method: run.spec.name.into(),
        step: run.step,
        total_steps: run.total,
        device: device_name(&run.place.device),
    });
    run.go(&job.stop)
}

/// The run folder, locked, and when resuming its newest checkpoint: `None` if the run ended before it saved one.
fn open_folder(storage: &dyn Storage, job: &Job, seed: u64) -> Result<(RunFolder, Option<Loaded>)> {
    let info = RunInfo {
        method: job.method.name.into(),
        version: job.version.clone(),
        revision: option_env!("GAN_REVISION").map(Into::into),
        device: device_name(&job.place.device),
        instruction_set: checkpoint::instruction_set(),
        seed,
        argv: job.argv.clone(),
    };
    let text = toml::to_string_pretty(&job.config).map_err(|e| Error::Unsavable { reason: e.to_string() })?;
    if !job.resume {
        return Ok((RunFolder::create(storage, &job.run, &text, &info)?, None));
    }
    // Locked first: another trainer would replace and delete the checkpoints that are being read.
    let folder = RunFolder::open(storage, &job.run)?;
    let restored = match checkpoint::load_latest(storage, &job.run, Some(job.method.name)) {
        Ok(loaded) => Some(loaded),
        Err(Error::NoCheckpoint { .. }) => None,
        Err(error) => return Err(error),
    };
    folder.write_info(storage, &info)?;
    folder.write_config(storage, &text)?;
    Ok((folder, restored))
}

/// Steps of a whole run.
fn total_steps(train: &TrainConfig, per_epoch: u64) -> u64 {
    let all = per_epoch * u64::from(train.schedule().last_epoch());
    if train.max_steps == 0 { all } else { all.min(train.max_steps) }
}

struct Run<'a> {
    method: &'a mut dyn Method,
    spec: &'static MethodSpec,
    job: &'a toml::Table,
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
            let epoch = self.step / per_epoch + 1;
            let batches = match upcoming.take() {
                Some(batches) => batches,
                None => self.loader.epoch(epoch, (self.step % per_epoch) as usize),
            };
            // Small datasets have short epochs: the next one is prepared while this one is trained on.
            upcoming = (epoch * per_epoch < self.total).then(|| self.loader.epoch(epoch + 1, 0));
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
            if self.step.is_multiple_of(per_epoch)
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
        let epoch = self.step.div_ceil(per_epoch);
        self.emit(Event::Finished { step: self.step, epoch, reason: finish });
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
        let before = self.step * self.batch_size;
        self.step += 1;
        if self.step.is_multiple_of(self.loader.batches_per_epoch() as u64) {
            self.rate.end_epoch()?; // before a checkpoint can be written
        }
        self.pace.step();
        let eta = self.eta();
        self.observers.iter_mut().for_each(|o| o.step(self.step, eta));
        let images = self.step * self.batch_size;
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
        optimizers.iter_mut().try_for_each(|(_, optimizer, _)| optimizer.check(self.step))
    }

    fn log(&mut self, epoch: u64, lr: f64) -> Result<()> {
        self.check()?;
        let losses = self.pending.take_means()?;
        if let Some((name, _)) = losses.iter().find(|(_, value)| !value.is_finite()) {
            return Err(Error::Diverged { what: format!("the loss {name}") });
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
        let batch = match &self.preview {
            Some(batch) => batch,
            None => self.preview.insert(to_place(preview_batch(&*self.dataset, self.train.seed)?, &self.place)?),
        };
        let pictures = self.method.preview(batch)?;
        self.emit(Event::Preview { step: self.step, epoch, pictures });
        Ok(())
    }

    /// A checkpoint that cannot be written in between is no reason to lose the run; the one at the end is. There is
    /// nothing to go on with if training has diverged.
    fn save_or_warn(&mut self) -> Result<()> {
        self.check()?;
        if let Err(error) = self.save() {
            self.emit(Event::Warning {
                step: self.step,
                message: format!("training goes on without a new checkpoint: {error}"),
            });
        }
        Ok(())
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
        let events_length = self.events.sync()?;
        let mut snapshot = Snapshot::new(self.step, self.spec.name);
        snapshot.model = serde_json::to_value(self.job).map_err(|e| Error::Unsavable { reason: e.to_string() })?;
        state::fill(&mut snapshot, self.method, events_length, &mut self.pending, &mut self.rate)?;
        let saved = checkpoint::save(&*self.storage, self.folder.path(), &snapshot, self.train.keep)?;
        self.last_saved = Some(self.step);
        for warning in &saved.warnings {
            self.emit(Event::Warning { step: self.step, message: warning.to_string() });
        }
        let (path, bytes) = (saved.path, saved.bytes);
        self.emit(Event::Saved { step: self.step, path, bytes, seconds: started.elapsed().as_secs_f64() });
        Ok(())
    }

    fn restore(&mut self, snapshot: &Snapshot) -> Result<()> {
        self.pending = state::restore(snapshot, self.method, &mut self.rate, &self.place.device)?;
        self.step = snapshot.step;
        self.last_saved = Some(self.step);
        Ok(())
    }

    fn emit(&mut self, event: Event) {
        let mut failures = Vec::new();
        let own: &mut dyn Observer = &mut self.events;
        for observer in std::iter::once(own).chain(self.observers.iter_mut().map(|o| &mut **o as &mut dyn Observer)) {
            if let Err(error) = observer.on(&event) {
                failures.push(error.to_string());
            }
        }
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

/// The configuration with which a run may go on: the saved one with the wanted changes, if all of them are allowed.
pub fn resume_config(run: &Path, wanted: impl FnOnce(&toml::Table) -> Result<toml::Table>) -> Result<toml::Table> {
    let text = crate::run::read_config(&Disk, run)?;
    let saved: toml::Table = toml::from_str(&text)
        .map_err(|e| Error::Config { origin: run.join("config.toml").display().to_string(), message: e.to_string() })?;
    let wanted = wanted(&saved)?;
    resume::check_changes(&saved, &wanted)?;
    Ok(wanted)
}
