//! A run of several ranks is the run of one process that accumulates as many batches, bit for bit. The ranks are threads here.
#![allow(clippy::unwrap_used)]

use gan_comm::threads::group;
use gan_comm::{Communicator, Single, tensors::elements};
use gan_data::{DataMode, Dataset, Description, Item};
use gan_rng::{Key, Purpose};
use gan_train::checkpoint::{self, Snapshot};
use gan_train::config::ConfigSource;
use gan_train::events::{Event, Finish, Observer, ProgressRecord, ValidationRecord, read_progress, read_validations};
use gan_train::storage::Disk;
use gan_train::{DeviceConfig, Error, Job, METHODS, MethodSpec, Outcome, find, resume_config, train};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// With four batches a step, an epoch has a full step and one of a single batch; with three, one that is not full.
const ITEMS: usize = 5;
const SEED: u64 = 11;

fn settings(method: &MethodSpec) -> Vec<ConfigSource> {
    let procedural: &[&str] = match (method.resolve)(&[]).unwrap().data().mode {
        DataMode::Unaligned => &["data.mode=unpaired"],
        DataMode::Labelled => &["data.mode=streets", "label_nc=16"],
        _ => &["data.mode=facades"],
    };
    let norms: &[&str] =
        if method.name == "pix2pixhd" { &[] } else { &["generator.norm=batch", "discriminator.norm=batch"] };
    let own = ["max_dataset_size=5", "pool_size=2", "workers=1", "print_freq=3", "save_epoch_freq=0", "save_minutes=0"];
    let run = ["seed=11", "n_epochs=2", "n_epochs_decay=1", "ema=0.9"];
    let all = method.smoke_overrides.iter().chain(procedural).chain(norms).chain(&own).chain(&run);
    all.map(|setting| ConfigSource::Setting(setting.to_string())).collect()
}

/// Stops after a step.
struct StopAfter(u64, Arc<AtomicBool>);

impl Observer for StopAfter {
    fn on(&mut self, _: &Event) -> gan_train::Result<()> {
        Ok(())
    }

    fn step(&mut self, step: u64, _: Option<f64>) {
        if step == self.0 {
            self.1.store(true, Ordering::Relaxed);
        }
    }
}

/// Cannot read one item of one epoch.
struct Failing(Arc<dyn Dataset>, (u64, usize));

impl Dataset for Failing {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn item(&self, index: usize, key: Key) -> gan_data::Result<Item> {
        let (epoch, item) = self.1;
        if key == Key::new(SEED, Purpose::Augment).at(epoch).at(item as u64) {
            return Err(gan_data::Error::Panicked("unplugged".into()));
        }
        self.0.item(index, key)
    }

    fn describe(&self) -> Description {
        self.0.describe()
    }

    fn names(&self) -> Vec<String> {
        self.0.names()
    }
}

/// One launch.
struct Launch<'a> {
    method: &'static MethodSpec,
    run: &'a Path,
    resume: bool,
    accumulate: u64,
    stop_after: u64,
    more: &'a [&'a str],
    /// What cannot be read, as epoch and item.
    fails: Option<(u64, usize)>,
}

impl Launch<'_> {
    fn of<'a>(method: &'static MethodSpec, run: &'a Path, accumulate: u64) -> Launch<'a> {
        Launch { method, run, resume: false, accumulate, stop_after: 0, more: &[], fails: None }
    }

    fn job(&self, ranks: Arc<dyn Communicator>) -> Job {
        let more = self.more.iter().map(|setting| ConfigSource::Setting(setting.to_string()));
        let more = more.chain([ConfigSource::Setting(format!("train.accumulate={}", self.accumulate))]);
        let config = match self.resume {
            true => resume_config(self.run, self.method, |saved| {
                let all: Vec<_> = std::iter::once(ConfigSource::saved(saved)?).chain(more).collect();
                (self.method.resolve)(&all)
            }),
            false => (self.method.resolve)(&settings(self.method).into_iter().chain(more).collect::<Vec<_>>()),
        };
        let config = config.unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let dataset = self.fails.map(|at| Failing(gan_data::open(&config.data()).unwrap(), at));
        let observers: Vec<Box<dyn Observer>> = match ranks.rank() {
            0 => vec![Box::new(StopAfter(self.stop_after, stop.clone()))],
            _ => Vec::new(),
        };
        Job {
            method: self.method,
            config,
            dataset: dataset.map(|dataset| Arc::new(dataset) as Arc<dyn Dataset>),
            run: self.run.to_owned(),
            resume: self.resume,
            device_config: DeviceConfig::cpu(),
            argv: Vec::new(),
            version: "test".into(),
            revision: None,
            stop,
            observers,
            ranks,
        }
    }

    fn alone(&self) -> Outcome {
        train(self.job(Arc::new(Single))).unwrap()
    }

    /// How it ends on each of so many ranks.
    fn on(&self, ranks: usize) -> Vec<Result<Outcome, Error>> {
        std::thread::scope(|scope| {
            let ranks = group(ranks).into_iter().map(|rank| scope.spawn(move || train(self.job(Arc::new(rank)))));
            ranks.collect::<Vec<_>>().into_iter().map(|rank| rank.join().unwrap()).collect()
        })
    }

    #[track_caller]
    fn ends_on(&self, ranks: usize, finish: Finish, step: u64) {
        for (rank, ended) in self.on(ranks).into_iter().enumerate() {
            let outcome = ended.unwrap_or_else(|error| panic!("{} rank {rank}: {error}", self.method.name));
            assert_eq!((outcome.finish, outcome.step), (finish, step), "{} rank {rank}", self.method.name);
        }
    }
}

fn snapshot(run: &Path) -> Snapshot {
    checkpoint::load_latest(&Disk, run, None).unwrap().snapshot
}

fn log(run: &Path) -> Vec<ProgressRecord> {
    let mut records = Vec::new();
    read_progress(&Disk, &run.join("events.jsonl"), |record| records.push(record)).unwrap();
    records
}

/// Weights, statistics, moments, pools, counts, losses and places in the data.
#[track_caller]
fn assert_same(what: &str, run: &Path, whole: &Path) {
    let (have, want) = (snapshot(run), snapshot(whole));
    assert_eq!(have.step, want.step, "{what}");
    assert_eq!(have.tensors.len(), want.tensors.len(), "{what}");
    for ((file, have), (other, want)) in have.tensors.iter().zip(&want.tensors) {
        assert_eq!((file, have.len()), (other, want.len()), "{what}");
        for ((name, have), (_, want)) in have.iter().zip(want) {
            assert!(elements(have).unwrap() == elements(want).unwrap(), "{what}: {file}/{name} differs");
        }
    }
    let state = |snapshot: &Snapshot| {
        let mut state = snapshot.state.clone();
        // Lines of the log hold times.
        state.as_object_mut().unwrap().remove("events_length").unwrap();
        state
    };
    assert_eq!(state(&have), state(&want), "{what}");
    assert_eq!(log(run), log(whole), "{what}");
}

#[test]
fn ranks_train_what_one_process_trains() {
    let folder = tempfile::tempdir().unwrap();
    std::thread::scope(|scope| {
        for method in METHODS {
            let folder = folder.path().join(method.name);
            scope.spawn(move || {
                for (per_step, splits) in [(4, &[(2, 2), (4, 1)][..]), (3, &[(3, 1)])] {
                    let whole = folder.join(format!("whole-{per_step}"));
                    assert_eq!(Launch::of(method, &whole, per_step).alone().finish, Finish::Complete);
                    for &(ranks, accumulate) in splits {
                        let run = folder.join(format!("{ranks}x{accumulate}"));
                        Launch::of(method, &run, accumulate).ends_on(ranks, Finish::Complete, 6);
                        assert_same(&format!("{} on {ranks} ranks", method.name), &run, &whole);
                    }
                }
            });
        }
    });
}

/// What one number of ranks saved, another goes on with.
#[test]
fn the_number_of_ranks_may_change() {
    let folder = tempfile::tempdir().unwrap();
    std::thread::scope(|scope| {
        for method in METHODS {
            let folder = folder.path().join(method.name);
            scope.spawn(move || {
                let (whole, run) = (folder.join("whole"), folder.join("run"));
                Launch::of(method, &whole, 4).alone();
                Launch { stop_after: 1, ..Launch::of(method, &run, 1) }.ends_on(4, Finish::Interrupted, 1);
                let resumed = |accumulate| Launch { resume: true, ..Launch::of(method, &run, accumulate) };
                Launch { stop_after: 4, ..resumed(2) }.ends_on(2, Finish::Interrupted, 4);
                assert_eq!(resumed(4).alone().step, 6);
                assert_same(method.name, &run, &whole);
            });
        }
    });
}

/// The steps before an image that one rank cannot read are saved, and every rank ends.
#[test]
fn an_image_that_one_rank_cannot_read_ends_all() {
    let folder = tempfile::tempdir().unwrap();
    let method = find(METHODS, "cyclegan").unwrap();
    let (whole, run) = (folder.path().join("whole"), folder.path().join("run"));
    Launch::of(method, &whole, 2).alone();
    for failing in 0..ITEMS {
        let run = run.join(failing.to_string());
        let launch = Launch { fails: Some((2, failing)), ..Launch::of(method, &run, 1) };
        let ended = launch.on(2).into_iter().map(|ended| ended.unwrap_err().to_string()).collect::<Vec<_>>();
        assert_eq!(ended.iter().filter(|error| error.contains("unplugged")).count(), 1, "{ended:?}");
        assert_eq!(ended.iter().filter(|error| error.contains("cannot go on")).count(), 1, "{ended:?}");
        assert!((3..=5).contains(&snapshot(&run).step), "the first epoch has three steps");
        Launch { resume: true, ..Launch::of(method, &run, 1) }.ends_on(2, Finish::Complete, 9);
        assert_same("an image that cannot be read", &run, &whole);
    }
}

/// What was validated: steps, images, values.
fn validations(run: &Path) -> Vec<ValidationRecord> {
    let mut records = Vec::new();
    read_validations(&Disk, &run.join("events.jsonl"), |record| records.push(record)).unwrap();
    records
}

/// The ranks divide the held-out images, and have the values of one process.
#[test]
fn ranks_validate_what_one_process_validates() {
    let folder = tempfile::tempdir().unwrap();
    std::thread::scope(|scope| {
        for method in METHODS {
            let folder = folder.path().join(method.name);
            scope.spawn(move || {
                // Of unpaired images, CUT has no metric without weights.
                let mode = if method.name == "cut" { "data.mode=facades" } else { "pool_size=2" };
                let more = [mode, "validation.every=1", "validation.split=val", "validation.limit=5", "n_epochs=2"];
                for (ranks, accumulate) in [(2, 2), (3, 1)] {
                    let (run, per_step) = (folder.join(ranks.to_string()), ranks as u64 * accumulate);
                    let whole = folder.join(format!("whole-{per_step}"));
                    Launch { more: &more, ..Launch::of(method, &whole, per_step) }.alone();
                    let step = snapshot(&whole).step;
                    Launch { more: &more, ..Launch::of(method, &run, accumulate) }.ends_on(
                        ranks,
                        Finish::Complete,
                        step,
                    );
                    assert_same(method.name, &run, &whole);
                    let want = validations(&whole);
                    assert_eq!(want.iter().map(|record| record.images).collect::<Vec<_>>(), [5; 3]);
                    assert_eq!(validations(&run), want, "{} on {ranks} ranks", method.name);
                }
            });
        }
    });
}

/// All stop when none has become better for long enough.
#[test]
fn ranks_stop_early_together() {
    let folder = tempfile::tempdir().unwrap();
    let method = find(METHODS, "pix2pix").unwrap();
    let validation =
        ["validation.every=1", "validation.metrics=[\"l1\"]", "validation.split=val", "validation.patience=1"];
    let (whole, run) = (folder.path().join("whole"), folder.path().join("run"));
    let more = &[&validation[..], &["n_epochs=6", "lr=1e-30"]].concat();
    let alone = Launch { more, ..Launch::of(method, &whole, 2) }.alone();
    assert_eq!(alone.finish, Finish::EarlyStopped);
    Launch { more, ..Launch::of(method, &run, 1) }.ends_on(2, Finish::EarlyStopped, alone.step);
    assert_same("validated", &run, &whole);
    assert_eq!(validations(&run), validations(&whole));
}

/// What would not be the same bits is refused before anything is written.
#[test]
fn what_several_ranks_cannot_do_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let method = find(METHODS, "pix2pix").unwrap();
    let refused = |more: &[&str], accumulate, said: &str| {
        for ended in (Launch { more, ..Launch::of(method, &run, accumulate) }).on(2) {
            let error = ended.unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
        assert!(!run.exists());
    };
    refused(&["augment.adaptive=true", "augment.policy=color"], 1, "augment.adaptive = false");
    refused(&[], 60_000, "lower train.accumulate");
}
