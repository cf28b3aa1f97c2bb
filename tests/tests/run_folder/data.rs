//! The epoch is state: other data, or another batch size, changes how long epochs are, not how many are done.

use super::{FACADES, copy, log, resume, start, steps};
use gan_data::{SynthFiles, SynthKind, write_synth};
use gan_train::Outcome;
use gan_train::events::Finish;
use std::path::{Path, PathBuf};

/// A folder of `train` pairs.
fn drawn(folder: &Path, name: &str, train: usize) -> PathBuf {
    let what = SynthFiles { kind: SynthKind::Facades, seed: 1, size: 36, train, test: 0 };
    write_synth(&folder.join(name), &what, |_, _| ()).unwrap();
    folder.join(name)
}

fn root(folder: &Path) -> String {
    format!("data.root={}", toml::Value::String(folder.display().to_string()))
}

fn done(step: u64) -> Outcome {
    Outcome { finish: Finish::Complete, step, best: None }
}

#[test]
fn other_data_neither_takes_nor_gives_epochs() {
    let folder = tempfile::tempdir().unwrap();
    let five = drawn(folder.path(), "five", 5);
    let run = folder.path().join("run");
    // Two epochs at the full rate, two of decay; stopped in the third.
    let (outcome, _) = start(&run, &[&root(&five), "n_epochs_decay=2", "max_steps=13"]);
    assert_eq!(outcome.unwrap(), done(13));
    let rate = log(&run).last().unwrap().lr;
    for (name, items) in [("1 image", 1), ("7 images", 7)] {
        let data = drawn(folder.path(), name, items);
        let run_on = folder.path().join(format!("on-{name}"));
        copy(&run, &run_on);
        let (outcome, said) = resume(&run_on, &[&root(&data), "max_steps=0"]);
        // The third epoch anew, and the fourth.
        assert_eq!(outcome.unwrap(), done(13 + 2 * items as u64), "{name}");
        assert!(said.iter().any(|s| s.contains(&format!("{name}, 5 when"))), "{said:?}");
        assert!(said.iter().any(|s| s.contains("epoch 3 starts anew")), "{said:?}");
        let records = log(&run_on);
        let after = &records[13..];
        assert_eq!(after.iter().filter(|r| r.epoch == 3).count(), items);
        assert_eq!(after.iter().filter(|r| r.epoch == 4).count(), items);
        assert!(after.iter().all(|r| (r.lr == rate) == (r.epoch == 3)), "the rate follows the epoch: {after:?}");
        // Complete it is, with whatever data.
        let (outcome, _) = resume(&run_on, &[&root(&five)]);
        assert_eq!(outcome.unwrap().finish, Finish::NothingLeft);
    }
}

#[test]
fn other_images_of_the_same_number_are_noted() {
    let folder = tempfile::tempdir().unwrap();
    let data = drawn(folder.path(), "data", 3);
    let run = folder.path().join("run");
    start(&run, &[&root(&data), "max_steps=2"]).0.unwrap();
    // Elsewhere, but the same.
    std::fs::rename(&data, folder.path().join("moved")).unwrap();
    let moved = folder.path().join("moved");
    let (outcome, said) = resume(&run, &[&root(&moved), "max_steps=3"]);
    assert_eq!(outcome.unwrap(), done(3));
    assert!(!said.iter().any(|s| s.contains("the dataset changed")), "{said:?}");
    std::fs::rename(moved.join("train/00001.png"), moved.join("train/another.png")).unwrap();
    let (outcome, said) = resume(&run, &["max_steps=0"]);
    assert_eq!(outcome.unwrap(), done(6));
    assert!(said.iter().any(|s| s.contains("3 images as before, but not the same")), "{said:?}");
}

#[test]
fn the_batch_size_may_change() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let eight = ["data.mode=facades", "max_dataset_size=8"];
    start(&run, &[&eight[..], &["max_steps=12"]].concat()).0.unwrap();
    // One epoch and four images are done; the others of the second are two batches of two.
    let (outcome, said) = resume(&run, &["data.batch_size=2", "max_steps=0", "n_epochs=3"]);
    assert_eq!(outcome.unwrap(), done(12 + 2 + 4));
    assert!(said.iter().any(|s| s.contains("the batch size changed: 2, 1 when") && s.contains("epoch 2")), "{said:?}");
    let epochs: Vec<u64> = log(&run)[12..].iter().map(|r| r.epoch).collect();
    assert_eq!(epochs, [2, 2, 3, 3, 3, 3]);
}

#[test]
fn nothing_left_leaves_everything_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    start(&run, &FACADES).0.unwrap();
    let before = contents(&run);
    for more in [&[][..], &["n_epochs=1"], &["max_steps=3"]] {
        let (outcome, said) = resume(&run, more);
        assert_eq!(outcome.unwrap(), Outcome { finish: Finish::NothingLeft, step: 4, best: None });
        assert!(!said.iter().any(|s| s.starts_with("started")), "{said:?}");
        assert!(contents(&run) == before, "with {more:?}");
    }
    assert_eq!(resume(&run, &["n_epochs=3"]).0.unwrap(), done(6));
    assert_eq!(steps(&run), [4, 5, 6]);
}

/// Every file below a folder with its bytes and when it was written.
fn contents(folder: &Path) -> Vec<(PathBuf, std::time::SystemTime, Vec<u8>)> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(contents(&path));
        } else if !path.ends_with("lock") {
            let written = std::fs::metadata(&path).unwrap().modified().unwrap();
            all.push((path.clone(), written, std::fs::read(&path).unwrap()));
        }
    }
    all.sort();
    all
}
