//! Which checkpoints are kept.

use gan_weights::checkpoint::checkpoints_dir;

use super::{assert_same, run, snapshot};
use crate::checkpoint::{Warning, load_latest, save};
use crate::storage::volatile::VolatileStorage;
use crate::storage::{Files, Storage};

fn names(storage: &VolatileStorage) -> Vec<String> {
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
