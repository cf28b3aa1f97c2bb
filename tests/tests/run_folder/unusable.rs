//! Checkpoints with a right seal and a content that cannot be restored: refused by path while one is chosen, and the one
//! before is used.

use super::{copy, resume_with, steps};
use candle_core::{DType, Device, Tensor};
use gan_train::checkpoint::{Snapshot, load, save};
use gan_train::storage::Disk;
use gan_translate::TrainedModel;
use serde_json::json;
use std::path::{Path, PathBuf};

type Change = (&'static str, fn(&mut Snapshot));

fn tensors<'a>(snapshot: &'a mut Snapshot, stem: &str) -> &'a mut Vec<(String, Tensor)> {
    &mut snapshot.tensors.iter_mut().find(|(name, _)| name == stem).unwrap().1
}

fn zeros(shape: &[usize], dtype: DType) -> Tensor {
    Tensor::zeros(shape, dtype, &Device::Cpu).unwrap()
}

/// The first tensor of a file that is no counter becomes another.
fn replace(snapshot: &mut Snapshot, stem: &str, with: impl Fn(&Tensor) -> Tensor) {
    let (_, first) = tensors(snapshot, stem).iter_mut().find(|(_, t)| t.dtype().is_float()).unwrap();
    *first = with(first);
}

/// Where it is refused, and what was done.
const TRAINING: [Change; 25] = [
    ("d.safetensors", |s| drop(tensors(s, "d").pop())),
    ("d.safetensors", |s| tensors(s, "d").push(("extra.weight".into(), zeros(&[1], DType::F32)))),
    ("d.safetensors", |s| replace(s, "d", |t| zeros(&[t.elem_count() + 1], DType::F32))),
    ("d.safetensors", |s| replace(s, "d", |t| zeros(t.dims(), DType::U32))),
    ("d.safetensors", |s| s.tensors.retain(|(stem, _)| stem != "d")),
    ("optimizer.safetensors", |s| s.tensors.retain(|(stem, _)| stem != "optimizer")),
    ("optimizer.safetensors", |s| drop(tensors(s, "optimizer").pop())),
    ("optimizer.safetensors", |s| replace(s, "optimizer", |_| zeros(&[3], DType::F32))),
    ("optimizer.safetensors", |s| {
        let (_, v) = tensors(s, "optimizer").iter_mut().find(|(name, _)| name == "g.v").unwrap();
        *v = (v.ones_like().unwrap() * -1.0).unwrap();
    }),
    ("pool.safetensors", |s| replace(s, "pool", |_| zeros(&[1, 2, 32, 32], DType::F32))),
    ("pool.safetensors", |s| replace(s, "pool", |_| zeros(&[3, 32, 32], DType::F32))),
    ("pool.safetensors", |s| tensors(s, "pool")[0].0 = "fake.7".into()),
    ("pool.safetensors", |s| tensors(s, "pool")[0].0 = "stranger.0".into()),
    ("state.json", |s| s.state = json!({})),
    ("state.json", |s| s.state = json!([1, 2])),
    ("state.json", |s| s.state["optimizers"]["g"]["updates"] = json!(u64::MAX)),
    ("state.json", |s| s.state["optimizers"]["g"]["range"]["end"] = json!(1u64 << 40)),
    ("state.json", |s| drop(s.state["optimizers"].as_object_mut().unwrap().remove("d"))),
    ("state.json", |s| s.state["pending"]["sums"] = json!([1.0, 2.0])),
    ("state.json", |s| s.state["rate"]["plateau"]["bad_epochs"] = json!(u32::MAX)),
    ("state.json", |s| s.state["rate"]["plateau"]["factor"] = json!(1e300)),
    ("state.json", |s| s.state["place"]["position"]["epochs"] = json!(u64::MAX)),
    ("state.json", |s| s.state["place"]["position"]["batches"] = json!(2)),
    ("state.json", |s| s.state["place"]["data"]["batch_size"] = json!(0)),
    ("manifest.json", |s| s.model = json!("a text")),
];

/// Those that keep a checkpoint from translating, too.
const TRANSLATING: [Change; 4] = [
    ("g.safetensors", |s| drop(tensors(s, "g").pop())),
    ("g.safetensors", |s| replace(s, "g", |t| zeros(&[t.elem_count() + 1], DType::F32))),
    ("g.safetensors", |s| s.tensors.retain(|(stem, _)| stem != "g")),
    // As the first edition wrote them, without model.json.
    ("manifest.json", |s| (s.model, s.model_json) = (json!(null), None)),
];

/// A run with checkpoints of the steps 2, 3 and 4.
fn trained(folder: &Path) -> PathBuf {
    let run = folder.join("run");
    super::start(&run, &[&super::FACADES[..], &["pool_size=2"]].concat()).0.unwrap();
    assert_eq!(steps(&run), [2, 3, 4]);
    run
}

/// A copy of the run whose newest checkpoint was changed, and sealed again.
fn changed(run: &Path, to: &Path, change: impl Fn(&mut Snapshot)) {
    copy(run, to);
    let mut snapshot = load(&Disk, &to.join("checkpoints/4")).unwrap().snapshot;
    change(&mut snapshot);
    save(&Disk, to, &snapshot, 0).unwrap();
}

#[test]
fn the_one_before_is_trained_on_from() {
    let folder = tempfile::tempdir().unwrap();
    let run = trained(folder.path());
    let good = folder.path().join("good");
    changed(&run, &good, |_| ());
    assert_eq!(resume_with(super::pix2pix(), &good, &["n_epochs=3"], None).1, ["started at 4 of 6"]);
    for (i, (file, change)) in TRAINING.iter().chain(&TRANSLATING).enumerate() {
        let hurt = folder.path().join(format!("hurt-{i}"));
        changed(&run, &hurt, change);
        let (outcome, said) = resume_with(super::pix2pix(), &hurt, &["max_steps=5", "n_epochs=3"], None);
        assert_eq!(outcome.unwrap_or_else(|e| panic!("{file} {i}: {e}")).step, 5);
        // A file that is missing altogether is missed in the folder.
        let named = |s: &String| {
            s.contains("a checkpoint is skipped, step 3 is used instead") && s.contains("/4") && s.contains(file)
        };
        assert!(said.iter().any(named), "{file} {i}: {said:?}");
        assert!(said.contains(&"started at 3 of 5".to_string()), "{said:?}");
    }
}

#[test]
fn the_one_before_translates() {
    let folder = tempfile::tempdir().unwrap();
    let run = trained(folder.path());
    for (i, (file, change)) in TRANSLATING.iter().enumerate() {
        let hurt = folder.path().join(format!("hurt-{i}"));
        changed(&run, &hurt, change);
        let opened = TrainedModel::open(&hurt).unwrap();
        assert_eq!(opened.step(), Some(3));
        assert!(opened.warnings()[0].to_string().contains(file), "{:?}", opened.warnings());
        let refused = TrainedModel::open(&hurt.join("checkpoints/4")).unwrap_err().to_string();
        assert!(refused.contains(file), "{refused}");
    }
    // Training does without a description.
    let hurt = folder.path().join("description");
    changed(&run, &hurt, |s| s.model_json = Some(json!({"format": 1})));
    let opened = TrainedModel::open(&hurt).unwrap();
    assert_eq!(opened.step(), Some(3));
    assert!(opened.warnings()[0].to_string().contains("4/model.json"), "{:?}", opened.warnings());
    // What only training needs does not matter.
    let hurt = folder.path().join("discriminator");
    changed(&run, &hurt, |s| drop(tensors(s, "d").pop()));
    let opened = TrainedModel::open(&hurt).unwrap();
    assert_eq!((opened.step(), opened.warnings().len()), (Some(4), 0));
}

#[test]
fn what_was_opened_stays_the_one_that_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let run = trained(folder.path());
    let opened = TrainedModel::open(&run).unwrap();
    let before = load(&Disk, &run.join("checkpoints/4")).unwrap().snapshot;
    // A newer one appears, and the one that was opened goes.
    let mut newer = before.clone();
    newer.step = 5;
    replace(&mut newer, "g", |t| zeros(t.dims(), DType::F32));
    save(&Disk, &run, &newer, 1).unwrap();
    assert_eq!(steps(&run), [5]);
    let values = |tensors: &[(String, Tensor)]| -> Vec<f32> {
        let weights = tensors.iter().filter(|(_, t)| t.dtype().is_float());
        weights.flat_map(|(_, t)| t.flatten_all().unwrap().to_vec1::<f32>().unwrap()).collect()
    };
    assert_eq!(values(opened.network("g").unwrap().entries()), values(before.file("g").unwrap()));
    assert_eq!(opened.step(), Some(4));
    assert!(opened.network("d").is_err(), "what was not read is gone, and no other takes its place");
}
