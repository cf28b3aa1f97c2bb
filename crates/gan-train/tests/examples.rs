//! The examples run, and do what they say.
#![allow(clippy::unwrap_used)]

#[path = "../examples/own_dataset.rs"]
mod own_dataset;
#[path = "../examples/own_method.rs"]
mod own_method;

use candle_core::{DType, Device, Tensor};
use gan_train::config::{ConfigSource, key_ranges};
use gan_train::events::{Finish, read_progress};
use gan_train::storage::Disk;
use gan_train::{METHODS, find, require_method, run_method};
use own_method::REGRESSION;

fn losses(run: &std::path::Path) -> Vec<(u64, Vec<String>)> {
    let mut records = Vec::new();
    read_progress(&Disk, &run.join("events.jsonl"), |record| records.push(record)).unwrap();
    records.into_iter().map(|r| (r.step, r.losses.into_iter().map(|(name, _)| name).collect())).collect()
}

#[test]
fn a_method_from_outside_is_trained_and_resumed() {
    let folder = tempfile::tempdir().unwrap();
    let [first, second] = own_method::run(folder.path()).unwrap();
    assert_eq!((first.finish, first.step), (Finish::Complete, 2));
    assert_eq!((second.finish, second.step), (Finish::Complete, 4));
    let run = folder.path().join("run");
    let steps: Vec<u64> = losses(&run)
        .into_iter()
        .map(|(step, names)| {
            assert_eq!(names, ["L1", "L2"]);
            step
        })
        .collect();
    assert_eq!(steps, [1, 2, 4]);

    // Translation needs to know no method.
    let model = gan_translate::Model::open(&run).unwrap();
    assert_eq!((model.config().method.as_str(), model.config().sizes.multiple), ("regression", 32));
    let image = Tensor::zeros((1, 3, 40, 50), DType::F32, &Device::Cpu).unwrap();
    assert_eq!(model.translate(&image).unwrap().dims(), [1, 3, 40, 50]);

    // No list but its own has it.
    assert!(run_method(METHODS, &run).is_err());
    assert_eq!(run_method(&[REGRESSION], &run).unwrap().unwrap().name, "regression");
    let refused = require_method(&run, find(METHODS, "pix2pix").unwrap()).unwrap_err().to_string();
    assert!(refused.contains("this run is regression, not pix2pix"), "{refused}");
}

#[test]
fn its_configuration_is_checked_as_that_of_any_method() {
    let refused =
        |setting: &str| (REGRESSION.resolve)(&[ConfigSource::Setting(setting.into())]).unwrap_err().to_string();
    assert!(refused("lambda_l2=-1").contains("out of range"));
    assert!(refused("lambda_l3=1").contains("did you mean `loss.lambda_l1`"));
    assert!(refused("crop_size=48").contains("multiples of 32"));
    assert!(refused("n_blocks=3").contains("it is for arch = \"resnet\""));
    assert_eq!(key_ranges(REGRESSION.ranges).iter().filter(|(key, _)| key.starts_with("loss.")).count(), 2);
}

#[test]
fn a_dataset_from_outside_is_trained_on() {
    let folder = tempfile::tempdir().unwrap();
    let outcome = own_dataset::run(folder.path()).unwrap();
    assert_eq!((outcome.finish, outcome.step), (Finish::Complete, 3));
    assert_eq!(losses(&folder.path().join("run")).len(), 3);
}
