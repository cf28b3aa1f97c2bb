//! The training loop. It owns data, clock, checkpoints and observers, and never looks inside a method.

mod agreement;
mod deferred_losses;
mod device_prefetcher;
mod history;
mod lr_scheduler;
mod opening;
mod position;
mod preview;
mod probe;
mod progress;
mod records;
mod rewind;
mod run_loop;
mod saving;
mod state;
mod validating;
mod way_back;

use crate::build_method::build_uncaptured;
use crate::checkpointing::Checkpointing;
use crate::data_parallel::DataParallel;
use crate::eta::{Interval, Monotonic, Pace};
use crate::events::{Csv, Event, Finish, Observer};
use crate::gallery::{Gallery, GalleryOptions};
use crate::memory::MemoryNeed;
use crate::method::Method;
use crate::method_config::{MethodConfig, demands};
use crate::method_spec::MethodSpec;
use crate::run::RunFolder;
use crate::storage::{Disk, Storage};
use crate::tensorboard::{Settings, TensorBoard};
use crate::train_config::ACCUMULATE;
use crate::validation::{Best, Validator, held_out_for_previews};
use crate::{
    DeviceConfig, Error, Result, TrainConfig, accumulation, build_method, checkpoint, fine_tuning, memory, numerics,
    resume,
};
use agreement::require_same;
use device_prefetcher::DevicePrefetcher;
use gan_comm::Communicator;
use gan_data::{DataConfig, Dataset, Loader};
use gan_kernels::device::device_name;
use history::History;
use lr_scheduler::LrScheduler;
use opening::{Restored, config_text, open_run, run_info};
use position::{Data, Position};
use preview::Previews;
pub use probe::{Probe, probe};
use progress::{Pending, Sums};
use records::Records;
use run_loop::Run;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

/// What is to be trained, and where.
pub struct Job {
    /// The method: one of [`METHODS`](crate::METHODS), or any other.
    pub method: &'static MethodSpec,
    /// Its resolved configuration. When resuming, what [`resume_config`](crate::resume_config) returns.
    pub config: Box<dyn MethodConfig>,
    /// The dataset; without one, that of the configuration, of which alone a part can be held out for validation.
    pub dataset: Option<Arc<dyn Dataset>>,
    /// The run folder: new, or with `resume` an existing one.
    pub run: PathBuf,
    /// Go on with the newest checkpoint of the run.
    pub resume: bool,
    /// Device and dtype.
    pub device_config: DeviceConfig,
    /// The command line, for the record.
    pub argv: Vec<String>,
    /// Version of the program, for the record.
    pub version: String,
    /// The revision of the sources that it was built from, where that is known.
    pub revision: Option<String>,
    /// Set from outside to stop after the current step.
    pub stop: Arc<AtomicBool>,
    /// Receivers of the events, on the first rank.
    pub observers: Vec<Box<dyn Observer>>,
    /// The processes that train this run together, each with a job of its own that differs in nothing else but `device_config` and
    /// `observers`. The first one writes the run folder, which all can read. [`Single`](gan_comm::Single) for one process.
    pub ranks: Arc<dyn Communicator>,
}

/// How training ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Why. [`Finish::NothingLeft`] if the run had been complete before, and [`Finish::EarlyStopped`] also if it had been
    /// stopped before: nothing was trained then.
    pub finish: Finish,
    /// Steps done in the whole run.
    pub step: u64,
    /// The best checkpoint by validation, where there was any.
    pub best: Option<Best>,
}

/// What a launch works with.
struct Prepared {
    train: TrainConfig,
    data: DataConfig,
    dataset: Arc<dyn Dataset>,
    loader: Loader,
    validator: Option<Validator>,
    method: Box<dyn Method>,
    /// What it takes, where the shapes of the networks tell.
    memory: Option<MemoryNeed>,
    /// What is to be said before the first step.
    warnings: Vec<String>,
}

/// Opens and builds what a launch works with, and refuses what can be refused. Nothing is written.
fn prepare(job: &mut Job) -> Result<Prepared> {
    if job.resume {
        resume::require_method(&job.run, job.method)?;
    }
    let mut warnings = Vec::new();
    if job.config.train().checkpointing == Checkpointing::Auto {
        let (choice, why) = memory::choose(&*job.config, &job.device_config)?;
        job.config = memory::with_choice(job.method, &*job.config, choice)?;
        warnings.push(why);
    }
    let demands = demands(&*job.config)?;
    let memory = memory::require(&*job.config, &job.device_config)?;
    job.config.model().validate().map_err(|e| Error::Unsavable { reason: e.to_string() })?;
    let (train, data) = (of_all_ranks(job)?, job.config.data());
    let dataset = match &job.dataset {
        Some(dataset) => dataset.clone(),
        None => gan_data::open(&data)?,
    };
    dataset.check()?;
    gan_data::check_sizes(&*dataset, &data, &|size| demands.unfit(size))?;
    let loader = Loader::new(dataset.clone(), data.loader(train.seed))?;
    numerics::check(train.precision, &job.device_config)?;
    let validator = validating::open(job, &*dataset)?;
    let mut method = match job.ranks.is_alone() {
        true => build_method(&*job.config, &job.device_config)?,
        false => build_uncaptured(&*job.config, &job.device_config)?,
    };
    if train.accumulate > 1 {
        accumulation::passes(&*method)?;
    }
    if !job.ranks.is_alone() && method.state().augmentations.iter().any(|augmentation| augmentation.is_adaptive()) {
        let message = "augment.adaptive lets each batch wait for the one before it, which several ranks cannot do: set augment.adaptive = false, or train with one process";
        return Err(Error::Config { origin: "configuration".into(), message: message.into() });
    }
    warnings.extend(method.startup_notes().iter().cloned());
    warnings.extend(fine_tuning::prepare(&mut *method, &train)?);
    // A resumed run has weights of its own; what it started from may be gone.
    if !job.resume {
        warnings.extend(fine_tuning::load(&mut *method, &*job.config)?);
    }
    warnings.extend(dataset.describe().notes);
    warnings.extend(validator.iter().flat_map(|validator| validator.dataset().describe().notes));
    Ok(Prepared { train, data, dataset, loader, validator, method, memory, warnings })
}

/// The options of training, with the batches of all ranks as those of a step.
fn of_all_ranks(job: &Job) -> Result<TrainConfig> {
    let mut train = job.config.train().clone();
    let ranks = job.ranks.size() as u64;
    train.accumulate = train.accumulate.saturating_mul(ranks);
    if ranks > 1 && train.accumulate > ACCUMULATE {
        let message = format!(
            "{ranks} ranks make steps of {} batches, and {ACCUMULATE} are the most: lower train.accumulate",
            train.accumulate
        );
        return Err(Error::Config { origin: "configuration".into(), message });
    }
    Ok(train)
}

/// Trains. Everything that can be refused is refused before the run folder is made.
///
/// # Errors
/// Errors of the configuration, the data and the run folder; [`Error::Diverged`] with what is left to go on from.
pub fn train(mut job: Job) -> Result<Outcome> {
    let Prepared { train, data, dataset, mut loader, validator, mut method, mut warnings, .. } = prepare(&mut job)?;
    let storage: Arc<dyn Storage> = Arc::new(Disk);
    let (folder, restored) = open_run(&*storage, &job, &mut *method)?;
    let per_epoch = loader.batches_per_epoch() as u64;
    let batch_size = data.batch_size as u64;
    let multiple = data.multiple;
    let data = Data::of(&*dataset, batch_size);
    let mut rate = LrScheduler::new(&train);
    let (mut step, mut position, mut pending, mut log_length) = (0, Position::default(), Sums::default(), 0);
    let (mut slowed_down, mut history, mut skipped, mut rewinds) = (None, History::default(), 0, 0);
    if let Some(Restored { mut loaded, sealed }) = restored {
        warnings.extend(loaded.warnings.iter().map(ToString::to_string));
        step = loaded.snapshot.step;
        log_length = state::events_length(&loaded.snapshot);
        let slower = |optimizer: &str| train.lr_of(optimizer) < sealed.train().lr_of(optimizer);
        slowed_down = (slower("g") || slower("d")).then_some(step);
        let state = state::restore(&mut loaded, &mut *method, &mut rate, &job.device_config.device)?;
        (pending, history, skipped, rewinds) = (state.pending, state.history, state.skipped, state.rewinds);
        warnings.extend(state.notes);
        let notes;
        let sealed = Data::of(&*dataset, sealed.data().batch_size as u64);
        (position, notes) = state::carry_on(state.place, step, &data, sealed);
        warnings.extend(notes);
        position.seen = position.seen.max(step);
        loader = loader.reordered(rewinds);
    } else if job.resume {
        warnings.extend(fine_tuning::load(&mut *method, &*job.config)?);
        warnings.push("this run has no checkpoint yet: it starts from the beginning".into());
    }
    let ranks = job.ranks.clone();
    if !ranks.is_alone() {
        let facts = [
            ("version of the program", job.version.clone()),
            ("instruction set", checkpoint::instruction_set()),
            ("configuration", config_text(&job)?),
            ("dataset", dataset.names().join("\n")),
            ("checkpoint", step.to_string()),
        ];
        require_same(&*ranks, &facts)?;
    }
    if let (Some(best), Some(_)) = (history.best(), &folder) {
        // A run may have ended between its checkpoint and the file that names the best one.
        warnings.extend(checkpoint::name_best(&*storage, &job.run, best.step).err().map(|error| error.to_string()));
    }
    warnings.extend(validator.as_ref().and_then(|validator| validating::carry_on(&mut history, validator)));
    let total = position.total_steps(step, &train, per_epoch);
    let validation = job.config.validation();
    let nothing_left = match history.is_due(&validation, &position) {
        true => None,
        false if total <= step => Some(Finish::NothingLeft),
        false => history.is_exhausted(&validation).then_some(Finish::EarlyStopped),
    };
    if let Some(finish) = nothing_left.filter(|_| job.resume) {
        for message in warnings {
            for observer in &mut job.observers {
                // Nobody is left to hear that an observer cannot take a warning.
                let _ = observer.on(&Event::Warning { step, message: message.clone() });
            }
        }
        return Ok(Outcome { finish, step, best: history.best().cloned() });
    }
    let mut records = None;
    if let Some(mut folder) = folder {
        if job.resume {
            warnings.extend(folder.resume(&*storage, &config_text(&job)?, &run_info(&job))?);
        }
        let of_run = records.insert(Records::resume(&storage, folder, log_length)?);
        warnings.extend(of_run.events.take_warning());
        observe(&mut job, &train, &storage, &of_run.folder, step)?;
    }
    let held_out = match &job.dataset {
        None if records.is_some() => held_out_for_previews(&job.config.data(), &job.config.validation(), &*dataset),
        _ => Ok(None),
    };
    let held_out = held_out.unwrap_or_else(|error| {
        warnings.push(format!("no previews of held-out images: {error}"));
        None
    });

    let mut run = Run {
        total,
        rate,
        previews: Previews::of(dataset, held_out, multiple, train.seed),
        step,
        position,
        data,
        slowed_down,
        pending: Pending::of(pending, &train),
        skipped,
        rewinds,
        validator,
        history,
        run: job.run,
        records,
        parallel: DataParallel::new(ranks.clone(), train.reduce),
        ranks,
        observers: job.observers,
        autosave: Interval::new(
            Box::new(Monotonic::default()),
            Duration::from_secs_f64(60.0 * train.save_minutes.max(0.1)),
        ),
        pace: Pace::new(Box::new(Monotonic::default())),
        waited: Duration::ZERO,
        logged: Instant::now(),
        shown: Instant::now(),
        last_saved: (step > 0).then_some(step),
        method: &mut *method,
        storage,
        config: &*job.config,
        spec: job.method,
        loader,
        train,
        batch_size,
        prefetcher: DevicePrefetcher::new(&job.device_config)?,
        device_config: job.device_config.clone(),
    };
    for message in warnings {
        run.emit(Event::Warning { step: run.step, message })?;
    }
    run.emit(Event::Started {
        method: run.spec.name.into(),
        step: run.step,
        total_steps: run.total,
        device: device_name(&run.device_config.device),
    })?;
    run.go(&job.stop).map_err(|error| run.with_way_back(error))
}

/// Adds the observers that write into the run folder.
fn observe(
    job: &mut Job,
    train: &TrainConfig,
    storage: &Arc<dyn Storage>,
    folder: &RunFolder,
    step: u64,
) -> Result<()> {
    let (pages, events) = (folder.gallery(), folder.events());
    let gallery = Gallery::open(storage.clone(), &pages, &events, step, GalleryOptions::default())?;
    job.observers.push(Box::new(gallery));
    if train.csv {
        job.observers.push(Box::new(Csv::open(storage.clone(), &folder.table(), &events)?));
    }
    if train.tensorboard {
        let settings = Settings {
            method: job.method.name.into(),
            argv: job.argv.clone(),
            table: job.config.to_table()?,
            text: config_text(job)?,
        };
        let log = TensorBoard::open(storage.clone(), &folder.tensorboard(), step, settings)?;
        job.observers.push(Box::new(log));
    }
    Ok(())
}
