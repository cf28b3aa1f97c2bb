//! Which checkpoints are kept.

use gan_weights::checkpoint::{BEST, REPLACED, best_step, checkpoints_dir};

use super::{assert_same, run, snapshot};
use crate::checkpoint::{Keep, Warning, load_latest, name_best, save};
use crate::storage::fault::{Fault, FaultyStorage};
use crate::storage::volatile::VolatileStorage;
use crate::storage::{Files, Storage};

pub(super) fn names(storage: &VolatileStorage) -> Vec<String> {
    storage.list(&checkpoints_dir(run())).unwrap().into_iter().map(|entry| entry.name).collect()
}

#[test]
fn newest_are_kept_by_number_not_by_spelling() {
    let storage = VolatileStorage::new();
    for step in [8, 9, 10, 11] {
        save(&storage, run(), &snapshot(step), 3).unwrap();
    }
    assert_eq!(names(&storage), ["10", "11", "9", "latest"]);
    assert_eq!(storage.content(&checkpoints_dir(run()).join("latest")), b"11\n");
    save(&storage, run(), &snapshot(12), 1).unwrap();
    assert_eq!(names(&storage), ["12", "latest"]);
    for step in 13..20 {
        save(&storage, run(), &snapshot(step), 0).unwrap();
    }
    assert_eq!(names(&storage).len(), 9, "0 keeps all");
}

#[test]
fn later_checkpoints_are_set_aside() {
    let storage = VolatileStorage::new();
    for step in [10, 20, 30] {
        save(&storage, run(), &snapshot(step), 3).unwrap();
    }
    storage.put(&checkpoints_dir(run()).join("30/state.json"), vec![b'x']);
    assert_eq!(load_latest(&storage, run(), None).unwrap().snapshot.step, 20);
    // The run goes on from 20 and saves 25: 30 must neither win the next resume nor push 25 out.
    let saved = save(&storage, run(), &snapshot(25), 2).unwrap();
    assert!(matches!(&saved.warnings[..], [Warning::SetAside { path }] if path.ends_with("abandoned-30")));
    assert_eq!(names(&storage), ["20", "25", "abandoned-30", "latest"]);
    let loaded = load_latest(&storage, run(), None).unwrap();
    assert!(loaded.warnings.is_empty());
    assert_same(&loaded.snapshot, &snapshot(25));
}

#[test]
fn each_that_is_set_aside_has_a_name_of_its_own() {
    let storage = VolatileStorage::new();
    for _ in 0..3 {
        for step in [30, 20] {
            save(&storage, run(), &snapshot(step), 0).unwrap();
        }
    }
    assert_eq!(names(&storage), ["20", "abandoned-30", "abandoned-30-2", "abandoned-30-3", "latest"]);
}

#[test]
fn what_was_replaced_is_removed_by_the_next_save() {
    let storage = VolatileStorage::new();
    let dir = checkpoints_dir(run());
    save(&storage, run(), &snapshot(4), 0).unwrap();
    storage.rename(&dir.join("4"), &dir.join(format!("{REPLACED}4-99"))).unwrap();
    save(&storage, run(), &snapshot(5), 0).unwrap();
    assert_eq!(names(&storage), ["5", "latest"]);
}

#[test]
fn leftovers_are_removed_and_strangers_left_alone() {
    let storage = VolatileStorage::new();
    let dir = checkpoints_dir(run());
    for left in [".tmp-5-123", ".trash-4-99"] {
        storage.create_dir_all(&dir.join(left)).unwrap();
        storage.put(&dir.join(left).join("state.json"), vec![1]);
    }
    storage.create_dir_all(&dir.join("best")).unwrap();
    storage.create_dir_all(&dir.join("007")).unwrap();
    storage.put(&dir.join("notes.txt"), vec![1]);
    save(&storage, run(), &snapshot(6), 1).unwrap();
    assert_eq!(names(&storage), ["007", "6", "best", "latest", "notes.txt"]);
}

fn best(newest: usize, step: u64) -> Keep {
    Keep { newest, best: Some(step) }
}

#[test]
fn the_best_stays_beside_the_newest() {
    let storage = VolatileStorage::new();
    for (step, of) in [(8, 8), (9, 8), (10, 8), (11, 8)] {
        save(&storage, run(), &snapshot(step), best(2, of)).unwrap();
    }
    assert_eq!(names(&storage), ["10", "11", "8", "best", "latest"]);
    assert_eq!(best_step(&storage, run()).unwrap(), Some(8));
    // A save that knows of none keeps what the file names.
    save(&storage, run(), &snapshot(12), 1).unwrap();
    assert_eq!(names(&storage), ["12", "8", "best", "latest"]);
    // With the newer one the older goes, in the same save.
    save(&storage, run(), &snapshot(13), best(1, 13)).unwrap();
    assert_eq!(names(&storage), ["13", "best", "latest"]);
    // What is not there is never named.
    save(&storage, run(), &snapshot(14), best(0, 9)).unwrap();
    name_best(&storage, run(), 99).unwrap();
    assert_eq!(best_step(&storage, run()).unwrap(), Some(13));
    storage.put(&checkpoints_dir(run()).join(BEST), b"damaged".to_vec());
    name_best(&storage, run(), 14).unwrap();
    assert_eq!(best_step(&storage, run()).unwrap(), Some(14));
}

/// Whatever fails or is cut off, the file names a checkpoint that is there: the new best one, or the one before.
#[test]
fn the_best_is_the_new_one_or_the_one_before() {
    let mut outcomes = std::collections::BTreeSet::new();
    for at in 1..120 {
        for cut in [false, true] {
            let storage = super::empty_run();
            save(&storage, run(), &snapshot(10), best(1, 10)).unwrap();
            save(&storage, run(), &snapshot(20), best(1, 10)).unwrap();
            let failing = if cut {
                FaultyStorage::from(storage.clone(), Fault::Enospc, at)
            } else {
                FaultyStorage::once(storage.clone(), Fault::Eio, at)
            };
            let saved = save(&failing, run(), &snapshot(30), best(1, 30));
            if cut {
                storage.power_cut(&mut gan_rng::Key::new(at, gan_rng::Purpose::Test).stream());
            }
            let named = best_step(&storage, run()).unwrap().unwrap();
            let read = crate::checkpoint::load(&storage, &checkpoints_dir(run()).join(named.to_string())).unwrap();
            assert_same(&read.snapshot, &snapshot(named));
            let undisturbed = saved.is_ok_and(|saved| saved.warnings.is_empty());
            assert!(named == 30 || named == 10 && !undisturbed, "{named} at {at}");
            outcomes.insert((cut, named));
        }
    }
    assert_eq!(outcomes.len(), 4, "{outcomes:?}");
}
