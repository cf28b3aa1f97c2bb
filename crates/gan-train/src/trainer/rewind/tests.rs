//! Runs whose inputs are no numbers now and then: stopped, skipped over, rewound, and resumed after each.
#![allow(clippy::unwrap_used)]

use crate::checkpoint::{Snapshot, load_latest};
use crate::config::{ConfigSource, Ranged, Tables};
use crate::consistency::{Contradiction, Network};
use crate::events::{Event, Finish, Observer, read_progress};
use crate::methods::pix2pix;
use crate::storage::Disk;
use crate::{
    Communicator, DeviceConfig, Error, Job, Losses, Method, MethodConfig, MethodSpec, MethodState, Outcome, Panels,
    Result, Single, StepContext, TrainConfig, resume_config, train,
};
use candle_core::DType;
use gan_data::{Batch, DataConfig, Loader};
use gan_translate::ModelConfig;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// Inputs that are no numbers: in runs with a seed, at steps from one on and before another, of all images or the one of a name.
struct Poison {
    seed: u64,
    steps: std::ops::Range<u64>,
    name: Option<String>,
}

static POISONS: Mutex<Vec<Poison>> = Mutex::new(Vec::new());

fn poison(seed: u64, steps: std::ops::Range<u64>, name: Option<String>) {
    POISONS.lock().unwrap().push(Poison { seed, steps, name });
}

/// pix2pix, whose input is poisoned now and then.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(transparent)]
struct Poisoned(pix2pix::Config);

impl Ranged for Poisoned {
    const TABLES: Tables = pix2pix::Config::TABLES;
}

impl MethodConfig for Poisoned {
    fn train(&self) -> &TrainConfig {
        self.0.train()
    }

    fn data(&self) -> DataConfig {
        self.0.data()
    }

    fn networks(&self) -> Vec<Box<dyn Network>> {
        self.0.networks()
    }

    fn contradictions(&self) -> Vec<Contradiction> {
        self.0.contradictions()
    }

    fn model(&self) -> ModelConfig {
        self.0.model()
    }

    fn build(&self, device_config: &DeviceConfig) -> Result<Box<dyn Method>> {
        Ok(Box::new(PoisonedMethod(self.0.build(device_config)?)))
    }
}

struct PoisonedMethod(Box<dyn Method>);

impl Method for PoisonedMethod {
    fn step(&mut self, batch: &Batch, cx: &StepContext) -> Result<Losses> {
        self.0.step(&poisoned(batch, cx)?, cx)
    }

    fn passes(&self) -> Option<usize> {
        self.0.passes()
    }

    fn pass(&mut self, pass: usize, batch: &Batch, cx: &StepContext) -> Result<Losses> {
        self.0.pass(pass, &poisoned(batch, cx)?, cx)
    }

    fn preview(&self, batch: &Batch) -> Result<Panels> {
        self.0.preview(batch)
    }

    fn state(&mut self) -> MethodState<'_> {
        self.0.state()
    }
}

fn poisoned(batch: &Batch, cx: &StepContext) -> Result<Batch> {
    let hit = POISONS.lock().unwrap().iter().any(|poison| {
        let name = poison.name.as_ref().is_none_or(|name| batch.names.contains(name));
        poison.seed == cx.seed && poison.steps.contains(&cx.step) && name
    });
    let mut batch = batch.clone();
    if hit {
        batch.a = (&batch.a * f64::NAN)?;
    }
    Ok(batch)
}

/// Two epochs of four images at the full rate and one of decay. Instance norms keep no statistics that a poison spoils.
static SPEC: MethodSpec = MethodSpec::new::<Poisoned>(
    "poisoned",
    "pix2pix with bad inputs",
    &[
        "generator.arch=resnet",
        "n_blocks=1",
        "generator.ngf=4",
        "ndf=4",
        "generator.norm=instance",
        "discriminator.norm=instance",
        "generator.dropout=true",
        "load_size=36",
        "crop_size=32",
        "n_epochs=2",
        "n_epochs_decay=1",
        "data.mode=facades",
        "max_dataset_size=4",
        "workers=0",
        "print_freq=3",
        "save_latest_freq=2",
        "save_minutes=0",
        "keep=0",
        "ema=0.9",
    ],
);
const TOTAL: u64 = 12;

/// Hears what is said, and sets the flag that stops the run after a step.
struct Listener {
    said: Arc<Mutex<Vec<String>>>,
    stop: Arc<AtomicBool>,
    stop_after: u64,
}

impl Observer for Listener {
    fn on(&mut self, event: &Event) -> Result<()> {
        let text = match event {
            Event::Warning { message, .. } => message.clone(),
            Event::Rewound { step, from, rewinds, .. } => format!("rewound {from} -> {step}, {rewinds}"),
            _ => return Ok(()),
        };
        self.said.lock().unwrap().push(text);
        Ok(())
    }

    fn step(&mut self, step: u64, _: Option<f64>) {
        if step == self.stop_after {
            self.stop.store(true, Ordering::Relaxed);
        }
    }
}

fn settings(seed: u64, more: &[&str]) -> Vec<ConfigSource> {
    let all = SPEC.smoke_overrides.iter().chain(more).map(ToString::to_string).chain([format!("seed={seed}")]);
    all.map(ConfigSource::Setting).collect()
}

/// A launch that ends after a step: its outcome, and what it says.
fn go(run: &Path, config: Box<dyn MethodConfig>, resume: bool, stop_after: u64) -> (Result<Outcome>, Vec<String>) {
    go_on(Arc::new(Single), run, config, resume, stop_after)
}

/// The same on one of several ranks.
fn go_on(
    ranks: Arc<dyn Communicator>,
    run: &Path,
    config: Box<dyn MethodConfig>,
    resume: bool,
    stop_after: u64,
) -> (Result<Outcome>, Vec<String>) {
    let (said, stop) = (Arc::<Mutex<Vec<String>>>::default(), Arc::<AtomicBool>::default());
    let listener = Listener { said: said.clone(), stop: stop.clone(), stop_after };
    let outcome = train(Job {
        method: &SPEC,
        config,
        dataset: None,
        run: run.to_path_buf(),
        resume,
        device_config: DeviceConfig::cpu(),
        argv: Vec::new(),
        version: "test".into(),
        revision: None,
        stop,
        observers: vec![Box::new(listener)],
        ranks,
    });
    let said = said.lock().unwrap().clone();
    (outcome, said)
}

fn start(run: &Path, seed: u64, more: &[&str], stop_after: u64) -> (Result<Outcome>, Vec<String>) {
    go(run, (SPEC.resolve)(&settings(seed, more)).unwrap(), false, stop_after)
}

fn resume(run: &Path, stop_after: u64) -> (Result<Outcome>, Vec<String>) {
    let config = resume_config(run, &SPEC, |saved| (SPEC.resolve)(&[ConfigSource::saved(saved)?]));
    go(run, config.unwrap(), true, stop_after)
}

#[track_caller]
fn complete(outcome: Result<Outcome>) {
    assert_eq!(outcome.unwrap(), Outcome { finish: Finish::Complete, step: TOTAL, best: None });
}

fn diverged(outcome: Result<Outcome>) -> String {
    match outcome {
        Err(Error::Diverged { what, .. }) => what,
        other => panic!("{other:?}"),
    }
}

fn newest(run: &Path) -> Snapshot {
    load_latest(&Disk, run, Some(SPEC.name)).unwrap().snapshot
}

/// Every number of the newest checkpoint, with its state but for the length of a file whose lines hold times.
fn content(run: &Path) -> (Vec<(String, Vec<u64>)>, serde_json::Value) {
    let mut snapshot = newest(run);
    let bits = |t: &candle_core::Tensor| -> Vec<u64> {
        let exact = t.flatten_all().unwrap().to_dtype(DType::F64).unwrap().to_vec1::<f64>().unwrap();
        exact.into_iter().map(f64::to_bits).collect()
    };
    let tensors = snapshot
        .tensors
        .iter()
        .flat_map(|(file, tensors)| tensors.iter().map(move |(name, t)| (format!("{file}/{name}"), bits(t))));
    let tensors = tensors.collect();
    snapshot.state.as_object_mut().unwrap().remove("events_length").unwrap();
    (tensors, snapshot.state)
}

#[track_caller]
fn assert_same(run: &Path, whole: &Path) {
    let ((have, state), (want, wanted)) = (content(run), content(whole));
    assert_eq!(state, wanted);
    for ((name, have), (other, want)) in have.iter().zip(&want) {
        assert!(name == other && have == want, "{name} differs");
    }
    assert_eq!(have.len(), want.len());
}

fn steps(run: &Path) -> Vec<u64> {
    let mut steps = Vec::new();
    read_progress(&Disk, &run.join("events.jsonl"), |record| steps.push(record.step)).unwrap();
    steps
}

#[test]
fn a_bad_step_stops_by_default() {
    let folder = tempfile::tempdir().unwrap();
    poison(100, 5..6, None);
    let (outcome, _) = start(folder.path(), 100, &[], 0);
    let what = diverged(outcome);
    assert!(what.starts_with("the gradient of d."), "{what}");
    assert_eq!(newest(folder.path()).step, 4);
}

#[test]
fn bad_updates_are_skipped_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    poison(101, 5..7, None);
    let skip = ["on_nonfinite=skip", "nonfinite_limit=2"];
    let (outcome, said) = start(&at("whole"), 101, &skip, 0);
    complete(outcome);
    // Both optimizers, two steps; told at the next point where the device is asked: a checkpoint, a log point.
    let said: Vec<_> = said.iter().filter(|line| line.contains("left out")).collect();
    assert!(said.len() == 2 && said[1].contains("4 in all"), "{said:?}");
    let (_, state) = content(&at("whole"));
    assert_eq!(state["optimizers"]["g"]["skipped"], serde_json::json!({ "run": 0, "total": 2 }));
    assert_eq!(state["optimizers"]["g"]["updates"], TOTAL);
    for cut in [5, 6, 7, 9] {
        let run = at(&format!("cut-{cut}"));
        assert_eq!(start(&run, 101, &skip, cut).0.unwrap().finish, Finish::Interrupted);
        complete(resume(&run, 0).0);
        assert_same(&run, &at("whole"));
        assert_eq!(steps(&run), steps(&at("whole")));
    }
    // A checkpoint that is written while updates are skipped knows how many there were in a row.
    poison(102, 5..8, None);
    assert_eq!(start(&at("many"), 102, &skip, 7).0.unwrap().finish, Finish::Interrupted);
    assert_eq!(content(&at("many")).1["optimizers"]["d"]["skipped"]["run"], 2);
    let what = diverged(resume(&at("many"), 0).0);
    assert!(what.contains("each of 3 updates in a row (train.nonfinite_limit)"), "{what}");
}

#[test]
fn a_run_is_rewound_and_goes_on_with_other_images() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let config = (SPEC.resolve)(&settings(103, &["on_nonfinite=rewind"])).unwrap();
    let loader = Loader::new(gan_data::open(&config.data()).unwrap(), config.data().loader(103)).unwrap();
    let name = |order| loader.reordered(order).epoch(2, 1).next().unwrap().unwrap().names[0].clone();
    // The sixth step meets this image in the first order only.
    assert_ne!(name(0), name(1));
    poison(103, 5..6, Some(name(0)));
    let (outcome, said) = start(&at("whole"), 103, &["on_nonfinite=rewind"], 0);
    complete(outcome);
    assert!(said.iter().any(|line| line == "rewound 5 -> 4, 1"), "{said:?}");
    assert_eq!(content(&at("whole")).1["rewinds"], 1);
    assert_eq!(steps(&at("whole")), [1, 2, 3, 6, 9, 12]);
    let events = std::fs::read_to_string(at("whole").join("events.jsonl")).unwrap();
    let rewound: Vec<_> = events.lines().filter(|line| line.contains("\"event\":\"rewound\"")).collect();
    assert!(rewound.len() == 1 && rewound[0].contains("gradient of"), "{rewound:?}");
    let page = std::fs::read_to_string(at("whole").join("gallery/index.html")).unwrap();
    assert!(page.contains("rewinds: 1"), "{page}");
    // A resumed run keeps the order, whether it was stopped before, at or after the rewind.
    for cut in [3, 6, 9] {
        let run = at(&format!("cut-{cut}"));
        assert_eq!(start(&run, 103, &["on_nonfinite=rewind"], cut).0.unwrap().finish, Finish::Interrupted);
        complete(resume(&run, 0).0);
        assert_same(&run, &at("whole"));
    }
    // Without the poison, the run would have been another one.
    let (outcome, _) = start(&at("plain"), 104, &[], 0);
    complete(outcome);
    assert!(content(&at("plain")).1.get("rewinds").is_none());
}

#[test]
fn rewinds_are_limited() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    poison(105, 5..TOTAL, None);
    let rewind = ["on_nonfinite=rewind", "nonfinite_limit=2"];
    let (outcome, said) = start(&at("often"), 105, &rewind, 0);
    let what = diverged(outcome);
    assert!(what.starts_with("after 2 rewinds (train.nonfinite_limit), "), "{what}");
    assert_eq!(said.iter().filter(|line| line.starts_with("rewound 5 -> 4")).count(), 2, "{said:?}");
    assert_eq!((newest(&at("often")).step, content(&at("often")).1["rewinds"].clone()), (4, 2.into()));
    // The count goes on.
    assert!(diverged(resume(&at("often"), 0).0).starts_with("after 2 rewinds"));
    // There is nothing to go back to.
    poison(106, 0..TOTAL, None);
    let what = diverged(start(&at("at-once"), 106, &rewind, 0).0);
    assert!(what.starts_with("the gradient of d."), "{what}");
}

/// The bad image is the second rank's; all ranks go back, to what one process goes back to.
#[test]
fn ranks_are_rewound_together() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let settings = |accumulate| settings(107, &["on_nonfinite=rewind", accumulate]);
    let config = |accumulate| (SPEC.resolve)(&settings(accumulate)).unwrap();
    let data = config("train.accumulate=1").data();
    let loader = Loader::new(gan_data::open(&data).unwrap(), data.loader(107)).unwrap();
    poison(107, 5..6, Some(loader.epoch(2, 1).next().unwrap().unwrap().names[0].clone()));
    let (outcome, _) = go(&at("whole"), config("train.accumulate=2"), false, 0);
    assert_eq!(outcome.unwrap().finish, Finish::Complete);
    let run = at("ranks");
    std::thread::scope(|scope| {
        for rank in gan_comm::threads::group(2) {
            let (run, config) = (&run, &config);
            scope.spawn(move || {
                let (outcome, said) = go_on(Arc::new(rank), run, config("train.accumulate=1"), false, 0);
                assert_eq!(outcome.unwrap().finish, Finish::Complete);
                assert!(said.iter().filter(|line| line.starts_with("rewound ")).count() == 1, "{said:?}");
            });
        }
    });
    assert_same(&run, &at("whole"));
    assert_eq!(content(&run).1["rewinds"], 1);
}
