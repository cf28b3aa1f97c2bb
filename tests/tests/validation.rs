//! Validation: what it measures is what `translate` would make of the checkpoint, it changes nothing of the training, and a
//! run that was stopped and resumed has the same results, the same best checkpoint and the same end.
#![allow(clippy::unwrap_used)]

use gan_data::{
    Batch, DataConfig, DataMode, Depth, Image, Quantize, SynthFiles, SynthKind, image_from_tensor, write_synth,
};
use gan_rng::{Key, Purpose};
use gan_train::checkpoint::{self, Snapshot};
use gan_train::config::ConfigSource;
use gan_train::events::{Event, Finish, Observer, ValidationRecord, read_validations};
use gan_train::storage::Disk;
use gan_train::validation::{Compares, METRICS};
use gan_train::{DeviceConfig, Job, METHODS, MethodSpec, Outcome, find, resume_config, train};
use gan_translate::{Model, Options};
use gan_weights::checkpoint::best_step;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Steps of an epoch, and of the run.
const PER_EPOCH: u64 = 2;
const TOTAL: u64 = 8;

/// A tiny run of a method on drawn images, validated after every epoch.
fn settings(method: &MethodSpec, more: &[&str]) -> Vec<ConfigSource> {
    let drawn: &[&str] = match (method.resolve)(&[]).unwrap().data().mode {
        DataMode::Unaligned => &["data.mode=unpaired"],
        DataMode::Labelled => &["data.mode=streets", "label_nc=16"],
        _ => &["data.mode=facades"],
    };
    let own = ["seed=3", "max_dataset_size=2", "pool_size=2", "workers=0", "n_epochs=4", "n_epochs_decay=0"];
    let saves =
        ["save_epoch_freq=0", "save_minutes=0", "deterministic=true", "validation.every=1", "validation.limit=2"];
    let all = method.smoke_overrides.iter().chain(drawn).chain(&own).chain(&saves).chain(more);
    all.map(|setting| ConfigSource::Setting((*setting).to_owned())).collect()
}

/// Sets the flag that stops the run when a step is done.
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

/// A launch from the start, or with `more` from the newest checkpoint.
fn launch(method: &'static MethodSpec, run: &Path, more: &[&str], resume: bool, stop_after: u64) -> Outcome {
    let config = if resume {
        resume_config(run, method, |saved| {
            let more = more.iter().map(|setting| ConfigSource::Setting((*setting).to_owned()));
            (method.resolve)(&std::iter::once(ConfigSource::saved(saved)?).chain(more).collect::<Vec<_>>())
        })
    } else {
        (method.resolve)(&settings(method, more))
    };
    let stop = Arc::new(AtomicBool::new(false));
    train(Job {
        method,
        config: config.unwrap(),
        dataset: None,
        run: run.to_path_buf(),
        resume,
        device_config: DeviceConfig::cpu(),
        argv: Vec::new(),
        version: "test".into(),
        revision: None,
        stop: stop.clone(),
        observers: vec![Box::new(StopAfter(stop_after, stop))],
        ranks: std::sync::Arc::new(gan_train::Single),
    })
    .unwrap_or_else(|e| panic!("{}: {e}", method.name))
}

fn method(name: &str) -> &'static MethodSpec {
    find(METHODS, name).unwrap()
}

fn validations(run: &Path) -> Vec<ValidationRecord> {
    let mut records = Vec::new();
    read_validations(&Disk, &run.join("events.jsonl"), |record| records.push(record)).unwrap();
    records
}

fn newest(run: &Path) -> Snapshot {
    checkpoint::load_latest(&Disk, run, None).unwrap().snapshot
}

fn steps(run: &Path) -> Vec<u64> {
    let names = std::fs::read_dir(run.join("checkpoints")).unwrap().map(|entry| entry.unwrap().file_name());
    let mut steps: Vec<u64> = names.filter_map(|name| name.to_str()?.parse().ok()).collect();
    steps.sort_unstable();
    steps
}

/// Every bit of every tensor.
fn content(snapshot: &Snapshot) -> Vec<(String, Vec<u64>)> {
    let bits = |tensor: &candle_core::Tensor| {
        let exact = tensor.flatten_all().unwrap().to_dtype(candle_core::DType::F64).unwrap();
        exact.to_vec1::<f64>().unwrap().into_iter().map(f64::to_bits).collect()
    };
    let files = snapshot.tensors.iter();
    files.flat_map(|(file, tensors)| tensors.iter().map(move |(name, t)| (format!("{file}/{name}"), bits(t)))).collect()
}

fn history(snapshot: &Snapshot) -> serde_json::Value {
    snapshot.state["validation"].clone()
}

#[track_caller]
fn assert_same(run: &Path, whole: &Path) {
    let what = run.display();
    assert_eq!(validations(run), validations(whole), "{what}");
    assert!(content(&newest(run)) == content(&newest(whole)), "{what}: weights differ");
    assert_eq!(history(&newest(run)), history(&newest(whole)), "{what}");
    assert_eq!(best_step(&Disk, run).unwrap(), best_step(&Disk, whole).unwrap(), "{what}");
}

fn check(name: &str, compares: Compares) {
    let metrics = METRICS.iter().filter(|metric| metric.by_default && metric.compares == compares);
    let metrics: Vec<&str> = metrics.map(|metric| metric.name).collect();
    let (method, folder) = (method(name), tempfile::tempdir().unwrap());
    let whole = folder.path().join("whole");
    let outcome = launch(method, &whole, &[], false, u64::MAX);
    let records = validations(&whole);
    assert_eq!(records.iter().map(|r| r.step).collect::<Vec<_>>(), [2, 4, 6, 8], "{name}");
    for record in &records {
        let names: Vec<_> = record.metrics.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!((names, record.images, record.epoch), (metrics.clone(), 2, record.step / PER_EPOCH), "{name}");
        assert!(record.metrics.iter().all(|(_, value)| value.is_some()), "{record:?}");
    }
    let best = outcome.best.unwrap();
    assert_eq!((Some(best.step), best.metric.as_str()), (best_step(&Disk, &whole).unwrap(), metrics[0]));
    let values = records.iter().map(|record| record.metrics[0].1.unwrap());
    assert_eq!(values.fold(f64::INFINITY, f64::min), best.value, "{name}: lower is better");
    assert!(steps(&whole).contains(&best.step));

    // Without it, the same is learned.
    let without = folder.path().join("without");
    launch(method, &without, &["validation.every=0"], false, u64::MAX);
    assert!(content(&newest(&without)) == content(&newest(&whole)), "{name}: validation changes the training");
    assert_eq!((validations(&without).len(), best_step(&Disk, &without).unwrap()), (0, None));

    // Stopped within an epoch, and at the end of one: then before its validation.
    for cut in [PER_EPOCH + 1, 2 * PER_EPOCH, TOTAL] {
        let run = folder.path().join(format!("cut-{cut}"));
        let stopped = launch(method, &run, &[], false, cut);
        assert_eq!((stopped.finish, stopped.step), (Finish::Interrupted, cut), "{name}");
        assert!(validations(&run).iter().all(|record| record.step < cut), "{name}: the stop interrupts a validation");
        launch(method, &run, &["workers=2"], true, u64::MAX);
        assert_same(&run, &whole);
    }
}

#[test]
fn pix2pix_is_validated_on_pairs() {
    check("pix2pix", Compares::Targets);
}

#[test]
fn pix2pixhd_is_validated_with_its_labels_instances_and_styles() {
    check("pix2pixhd", Compares::Targets);
}

#[test]
fn cyclegan_is_validated_by_its_cycles() {
    check("cyclegan", Compares::Cycles);
}

/// Mean absolute difference in levels.
fn l1(made: &Image, real: &Image) -> f64 {
    let (Image::U8(made), Image::U8(real)) = (made, real) else { panic!("not of 8 bits") };
    let sum: f64 = made.samples().iter().zip(real.samples()).map(|(a, b)| f64::from(a.abs_diff(*b))).sum();
    sum / made.samples().len() as f64
}

fn image(tensor: &candle_core::Tensor) -> Image {
    image_from_tensor(tensor, Depth::U8, Quantize::Round).unwrap()
}

/// The checkpoint, opened for translation, makes the images that were measured.
#[test]
fn what_is_measured_is_what_translation_makes() {
    for (name, mode, kind) in [
        ("pix2pix", DataMode::Aligned, SynthKind::Facades),
        ("pix2pixhd", DataMode::Labelled, SynthKind::Streets),
        ("cyclegan", DataMode::Unaligned, SynthKind::Unpaired),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let drawn = SynthFiles { kind, seed: 4, size: 40, train: 2, test: 3 };
        write_synth(&folder.path().join("data"), &drawn, |_, _| ()).unwrap();
        let root = format!("data.root={}", toml::Value::String(folder.path().join("data").display().to_string()));
        let set_mode = format!("data.mode={}", mode.name());
        let more =
            [&set_mode, &root, "validation.split=test", "validation.limit=0", "n_epochs=1", "max_dataset_size=9"];
        let (method, run) = (method(name), folder.path().join("run"));
        launch(method, &run, &more, false, u64::MAX);
        let [record] = &validations(&run)[..] else { panic!("one validation") };
        assert_eq!(record.images, 3);

        let config = (method.resolve)(&settings(method, &more)).unwrap();
        let preprocess = gan_data::Preprocess::Resize;
        let data = config.data();
        // At the size of the crop, or for label maps that of loading.
        let load_size = if mode == DataMode::Labelled { data.load_size } else { data.crop_size };
        let shuffle = false;
        let held_out = DataConfig { phase: "test".into(), flip: false, preprocess, load_size, shuffle, ..data };
        let dataset = gan_data::open(&held_out).unwrap();
        let open = |direction| Model::open_with(&run, Options { direction, ..Options::default() }).unwrap();
        let forward = open(None);
        let mut values = Vec::new();
        for i in 0..dataset.len() {
            let item = dataset.item(i, Key::new(7, Purpose::Augment)).unwrap();
            let batch = Batch::collate(vec![item]).unwrap();
            let made = forward.translate_batch(&batch).unwrap();
            let b = batch.b.as_ref().unwrap();
            if name == "cyclegan" {
                let back = open(Some(gan_translate::Direction::B2a));
                values.push(l1(&image(&back.translate(&made).unwrap()), &image(&batch.a)));
                values.push(l1(&image(&forward.translate(&back.translate(b).unwrap()).unwrap()), &image(b)));
            } else {
                values.push(l1(&image(&made), &image(b)));
            }
        }
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        assert_eq!(record.metrics[0].1, Some(mean), "{name}: {record:?}");
    }
}

/// With a learning rate that changes no weight, nothing improves.
const STILL: &str = "lr=1e-30";

#[test]
fn patience_ends_the_run_and_more_of_it_goes_on() {
    let (pix2pix, folder) = (method("pix2pix"), tempfile::tempdir().unwrap());
    let run = folder.path().join("run");
    let patient = [STILL, "validation.patience=2", "keep=1"];
    let outcome = launch(pix2pix, &run, &patient, false, u64::MAX);
    assert_eq!((outcome.finish, outcome.step), (Finish::EarlyStopped, 6));
    let best = outcome.best.unwrap();
    assert_eq!((best.step, best.epoch, best_step(&Disk, &run).unwrap()), (2, 1, Some(2)));
    assert_eq!(steps(&run), [2, 6], "the best stays beside the newest");
    let text = std::fs::read_to_string(run.join("events.jsonl")).unwrap();
    assert!(text.contains("\"reason\":\"early_stopped\""), "{text}");

    // It has ended: there is nothing to resume.
    let again = launch(pix2pix, &run, &[], true, u64::MAX);
    assert_eq!((again.finish, again.step, again.best.as_ref()), (Finish::EarlyStopped, 6, Some(&best)));
    assert_eq!(std::fs::read_to_string(run.join("events.jsonl")).unwrap(), text);

    // Stopped and resumed, it ends at the same step.
    for cut in [3, 4, 5] {
        let run_on = folder.path().join(format!("cut-{cut}"));
        launch(pix2pix, &run_on, &patient, false, cut);
        let outcome = launch(pix2pix, &run_on, &[], true, u64::MAX);
        assert_eq!((outcome.finish, outcome.step), (Finish::EarlyStopped, 6));
        assert_same(&run_on, &run);
    }
    let on = launch(pix2pix, &run, &["validation.patience=9"], true, u64::MAX);
    assert_eq!((on.finish, on.step, on.best.map(|best| best.step)), (Finish::Complete, TOTAL, Some(2)));
}

/// A run may end between its checkpoint and the file that names the best one.
#[test]
fn the_file_of_the_best_follows_the_checkpoint() {
    let (pix2pix, folder) = (method("pix2pix"), tempfile::tempdir().unwrap());
    let (run, whole) = (folder.path().join("run"), folder.path().join("whole"));
    let more = ["keep=0", "save_latest_freq=1"];
    launch(pix2pix, &whole, &more, false, u64::MAX);
    let best = best_step(&Disk, &whole).unwrap().unwrap();
    let other = steps(&whole).into_iter().find(|step| *step != best).unwrap().to_string();
    launch(pix2pix, &run, &more, false, u64::MAX);
    let file = run.join("checkpoints/best");
    for left in [Some(other.as_str()), Some("torn"), None] {
        match left {
            Some(text) => std::fs::write(&file, text).unwrap(),
            None => std::fs::remove_file(&file).unwrap(),
        }
        // Also where nothing is left to train.
        assert_eq!(launch(pix2pix, &run, &[], true, u64::MAX).finish, Finish::NothingLeft);
        assert_eq!(best_step(&Disk, &run).unwrap(), Some(best));
    }
    // Between the two, and then on from there.
    for later in steps(&run).into_iter().filter(|&later| later > best) {
        std::fs::remove_dir_all(run.join(format!("checkpoints/{later}"))).unwrap();
    }
    std::fs::write(&file, other).unwrap();
    launch(pix2pix, &run, &[], true, u64::MAX);
    assert_same(&run, &whole);
}

#[test]
fn validation_may_change_when_a_run_is_resumed() {
    let (pix2pix, folder) = (method("pix2pix"), tempfile::tempdir().unwrap());
    let run = folder.path().join("run");
    // Begun without, as runs of older versions were; the last epoch can still be validated.
    launch(pix2pix, &run, &["validation.every=0"], false, u64::MAX);
    let outcome = launch(pix2pix, &run, &["validation.every=2"], true, u64::MAX);
    assert_eq!((outcome.finish, outcome.best.map(|best| best.step)), (Finish::Complete, Some(TOTAL)));
    assert_eq!(best_step(&Disk, &run).unwrap(), Some(TOTAL));
    assert_eq!(launch(pix2pix, &run, &[], true, u64::MAX).finish, Finish::NothingLeft);
    // Another metric: the values of before cannot be compared with.
    let longer = ["validation.best=psnr", "n_epochs=6"];
    let outcome = launch(pix2pix, &run, &longer, true, u64::MAX);
    let best = outcome.best.unwrap();
    assert_eq!((best.metric.as_str(), best.step), ("psnr", 6 * PER_EPOCH));
    assert_eq!(
        validations(&run).iter().map(|r| (r.epoch, r.best_by.as_str())).collect::<Vec<_>>(),
        [(4, "l1"), (6, "psnr")]
    );
}

#[test]
fn a_split_that_is_not_there_is_refused_before_anything_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let drawn = SynthFiles { kind: SynthKind::Facades, seed: 4, size: 40, train: 2, test: 0 };
    write_synth(&folder.path().join("data"), &drawn, |_, _| ()).unwrap();
    let root = format!("data.root={}", toml::Value::String(folder.path().join("data").display().to_string()));
    let pix2pix = method("pix2pix");
    let config = (pix2pix.resolve)(&settings(pix2pix, &["data.mode=aligned", &root])).unwrap();
    let run = folder.path().join("run");
    let refused = train(Job {
        method: pix2pix,
        config,
        dataset: None,
        run: run.clone(),
        resume: false,
        device_config: DeviceConfig::cpu(),
        argv: Vec::new(),
        version: "test".into(),
        revision: None,
        stop: Arc::default(),
        observers: Vec::new(),
        ranks: std::sync::Arc::new(gan_train::Single),
    });
    let error = refused.unwrap_err().to_string();
    assert!(error.contains("for validation.split = \"val\"") && error.contains("it has train"), "{error}");
    assert!(!run.exists());
}
