//! Runs whose updates are made of several batches, stopped at every place of a step.

use super::{alone, content, log, settings, snapshot, state};
use gan_data::{Dataset, Description, Item};
use gan_rng::{Key, Purpose};
use gan_train::config::ConfigSource;
use gan_train::events::Finish;
use gan_train::{DeviceConfig, Error, Job, METHODS, MethodSpec, Outcome, find, resume_config, train};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const ITEMS: usize = 5;
const EPOCHS: usize = 3;
const SEED: u64 = 11;
/// Batches of the steps of an epoch.
const STEPS: [usize; 2] = [3, 2];

/// What happens when an item is read.
#[derive(Clone, Copy, PartialEq)]
enum At {
    Stop,
    Fail,
}

/// Acts at one item of one epoch, which is neither shuffled nor prepared ahead.
struct Acting {
    dataset: Arc<dyn Dataset>,
    at: Option<(usize, At)>,
    stop: Arc<AtomicBool>,
}

impl Dataset for Acting {
    fn len(&self) -> usize {
        self.dataset.len()
    }

    fn item(&self, index: usize, key: Key) -> gan_data::Result<Item> {
        let of_batch = |n: usize| Key::new(SEED, Purpose::Augment).at((n / ITEMS + 1) as u64).at((n % ITEMS) as u64);
        match self.at {
            Some((n, At::Stop)) if key == of_batch(n) => self.stop.store(true, Ordering::Relaxed),
            Some((n, At::Fail)) if key == of_batch(n) => return Err(gan_data::Error::Panicked("unplugged".into())),
            _ => {}
        }
        self.dataset.item(index, key)
    }

    fn describe(&self) -> Description {
        self.dataset.describe()
    }

    fn names(&self) -> Vec<String> {
        self.dataset.names()
    }
}

fn go(
    method: &'static MethodSpec,
    run: &Path,
    resume: bool,
    more: &[&str],
    at: Option<(usize, At)>,
) -> Result<Outcome, Error> {
    let set = |setting: &str| ConfigSource::Setting(setting.into());
    let (items, decay) = (format!("max_dataset_size={ITEMS}"), "n_epochs_decay=1");
    let own = [&items, decay, "n_epochs=2", "train.accumulate=3", "shuffle=false", "print_freq=4"];
    let config = if resume {
        resume_config(run, method, |saved| {
            let all = std::iter::once(ConfigSource::saved(saved)?).chain(more.iter().map(|s| set(s)));
            (method.resolve)(&all.collect::<Vec<_>>())
        })
    } else {
        let all = settings(method, 0, &[]).into_iter().chain(own.iter().chain(more).map(|s| set(s)));
        (method.resolve)(&all.collect::<Vec<_>>())
    };
    let config = config?;
    let stop = Arc::new(AtomicBool::new(false));
    let dataset = Acting { dataset: gan_data::open(&config.data())?, at, stop: stop.clone() };
    train(Job {
        method,
        config,
        dataset: Some(Arc::new(dataset)),
        run: run.to_path_buf(),
        resume,
        device_config: DeviceConfig { device: gan_kernels::device::test_device().unwrap(), ..DeviceConfig::cpu() },
        argv: Vec::new(),
        version: "test".into(),
        revision: None,
        stop,
        observers: Vec::new(),
        ranks: std::sync::Arc::new(gan_train::Single),
    })
}

/// Steps that are done before batch `n`, counted from 0.
fn steps_before(n: usize) -> u64 {
    (n / ITEMS * STEPS.len() + usize::from(n % ITEMS >= STEPS[0])) as u64
}

fn assert_same(what: &str, run: &Path, whole: &Path) {
    let (have, want) = (snapshot(run), snapshot(whole));
    assert_eq!(have.step, want.step, "{what}");
    for ((name, have), (_, want)) in content(&have).iter().zip(&content(&want)) {
        assert!(have == want, "{what}: {name} differs");
    }
    assert_eq!(state(&have), state(&want), "{what}");
    assert_eq!(log(run), log(whole), "{what}");
}

/// A stop finishes the step; an image that cannot be read leaves what the steps before it made.
fn check(method: &'static MethodSpec) {
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("whole");
    let total = (STEPS.len() * EPOCHS) as u64;
    let complete = Outcome { finish: Finish::Complete, step: total, best: None };
    assert_eq!(go(method, &whole, false, &[], None).unwrap(), complete);
    assert_eq!(state(&snapshot(&whole))["place"]["position"]["seen"], ITEMS * EPOCHS);
    for n in 0..ITEMS * EPOCHS {
        let run = folder.path().join(format!("stopped-{n}"));
        let stopped = go(method, &run, false, &[], Some((n, At::Stop))).unwrap();
        let step = steps_before(n) + 1;
        let finish = if step < total { Finish::Interrupted } else { Finish::Complete };
        assert_eq!(stopped, Outcome { finish, step, best: None }, "{}: batch {n}", method.name);
        if step < total {
            assert_eq!(go(method, &run, true, &[], None).unwrap(), complete);
        }
        assert_same(&format!("{}, stopped at batch {n}", method.name), &run, &whole);

        let run = folder.path().join(format!("failed-{n}"));
        let error = go(method, &run, false, &[], Some((n, At::Fail))).unwrap_err().to_string();
        assert!(error.contains("unplugged"), "{error}");
        assert_eq!(go(method, &run, true, &[], None).unwrap(), complete);
        assert_same(&format!("{}, failed at batch {n}", method.name), &run, &whole);
    }
}

#[test]
fn every_method_resumes_exactly_from_every_place_of_a_step() {
    if let Some(_alone) = alone() {
        METHODS.iter().for_each(check);
        return;
    }
    std::thread::scope(|scope| {
        for method in METHODS {
            scope.spawn(move || check(method));
        }
    });
}

/// The batches of the whole run are counted on, so that no two share a key.
#[test]
fn the_number_of_batches_may_change() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let method = find(METHODS, "pix2pix").unwrap();
    assert_eq!(go(method, &run, false, &[], Some((1, At::Stop))).unwrap().step, 1);
    let outcome = go(method, &run, true, &["train.accumulate=1"], None).unwrap();
    assert_eq!((outcome.finish, outcome.step), (Finish::Complete, 1 + (ITEMS * EPOCHS - 3) as u64));
    assert_eq!(state(&snapshot(&run))["place"]["position"]["seen"], ITEMS * EPOCHS);
}
