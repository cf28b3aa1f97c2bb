//! Every single file operation of a save fails once, in four ways; and every prefix of a save on a dying disk.

use super::retain::names;
use super::{assert_same, run, snapshot};
use crate::checkpoint::{Warning, load_latest, save};
use crate::storage::Disk;
use crate::storage::fault::{Fault, FaultyStorage};
use crate::storage::volatile::VolatileStorage;

/// A run with two checkpoints, of steps 1 and 2.
fn prepared() -> VolatileStorage {
    let storage = VolatileStorage::new();
    for step in [1, 2] {
        save(&storage, run(), &snapshot(step), 2).unwrap();
    }
    storage
}

fn check_after_failure(storage: &VolatileStorage, at: u64, temp_must_be_gone: bool) {
    let left = names(storage);
    if temp_must_be_gone {
        assert!(!left.iter().any(|name| name.starts_with(".tmp")), "operation {at}: {left:?}");
    }
    let loaded = load_latest(storage, run(), Some("pix2pix")).unwrap();
    assert_same(&loaded.snapshot, &snapshot(loaded.snapshot.step));
    assert!([2, 3].contains(&loaded.snapshot.step), "operation {at}: step {}", loaded.snapshot.step);
    // The next save works and cleans up.
    save(storage, run(), &snapshot(4), 2).unwrap();
    let loaded = load_latest(storage, run(), None).unwrap();
    assert!(loaded.warnings.is_empty());
    assert_same(&loaded.snapshot, &snapshot(4));
    let left = names(storage);
    assert!(left.iter().all(|name| !name.starts_with('.')), "operation {at}: {left:?}");
}

fn every_operation(fault: Fault) -> u64 {
    for at in 1.. {
        let storage = prepared();
        let faulty = FaultyStorage::once(storage.clone(), fault, at);
        let result = save(&faulty, run(), &snapshot(3), 2);
        if !faulty.struck() {
            assert!(result.unwrap().warnings.is_empty());
            return at - 1;
        }
        match &result {
            Ok(saved) if fault == Fault::ShortWrite => assert!(saved.warnings.is_empty(), "operation {at}"),
            Ok(saved) => {
                // Not essential, but never silent.
                assert_eq!(saved.warnings.len(), 1, "operation {at}: {:?}", saved.warnings);
                assert!(
                    saved.warnings[0].to_string().contains("latest") || saved.warnings[0].to_string().contains('/')
                );
                if let Warning::Unreadable { .. } = saved.warnings[0] {
                    assert!(names(&storage).starts_with(&["1", "2", "3"].map(String::from)), "{:?}", names(&storage));
                }
            }
            Err(error) => {
                assert_ne!(fault, Fault::ShortWrite, "operation {at}: {error}");
                assert!(error.to_string().contains("/runs/a"), "operation {at}: {error}");
            }
        }
        if result.is_ok() {
            assert_same(&load_latest(&storage, run(), None).unwrap().snapshot, &snapshot(3));
        }
        check_after_failure(&storage, at, result.is_err());
    }
    unreachable!()
}

#[test]
fn each_operation_fails_once() {
    for fault in [Fault::Eio, Fault::Enospc, Fault::Eacces, Fault::ShortWrite] {
        let operations = every_operation(fault);
        assert!(operations > 25, "only {operations} operations were tried");
    }
}

#[test]
fn the_disk_dies_at_each_operation() {
    for at in 1.. {
        let storage = prepared();
        let faulty = FaultyStorage::from(storage.clone(), Fault::Enospc, at);
        let result = save(&faulty, run(), &snapshot(3), 2);
        if !faulty.struck() {
            assert!(result.is_ok());
            assert!(at > 25);
            return;
        }
        check_after_failure(&storage, at, false);
    }
}

#[test]
fn replacing_the_same_step_never_loses_it() {
    for at in 1.. {
        let storage = VolatileStorage::new();
        save(&storage, run(), &snapshot(5), 1).unwrap();
        let faulty = FaultyStorage::from(storage.clone(), Fault::Eio, at);
        let mut changed = snapshot(5);
        changed.state = serde_json::json!("second");
        let result = save(&faulty, run(), &changed, 1);
        let loaded = load_latest(&storage, run(), None).unwrap();
        assert_eq!(loaded.snapshot.step, 5);
        if !faulty.struck() {
            assert!(result.is_ok());
            assert_same(&loaded.snapshot, &changed);
            return;
        }
    }
}

#[test]
fn what_could_not_be_replaced_keeps_its_name() {
    let mut refused = 0;
    for at in 1..60 {
        let storage = VolatileStorage::new();
        save(&storage, run(), &snapshot(5), 1).unwrap();
        let faulty = FaultyStorage::once(storage.clone(), Fault::Eio, at);
        let Err(error) = save(&faulty, run(), &snapshot(5), 1) else { continue };
        if error.to_string().contains("rename") {
            refused += 1;
            assert_eq!(names(&storage), ["5", "latest"], "operation {at}: {error}");
        }
    }
    assert_eq!(refused, 2, "the old folder's and the new one's");
}

#[test]
fn faults_on_a_real_disk() {
    for at in (1..40).step_by(3) {
        let folder = tempfile::tempdir().unwrap();
        save(&Disk, folder.path(), &snapshot(1), 2).unwrap();
        let faulty = FaultyStorage::once(Disk, Fault::Enospc, at);
        let result = save(&faulty, folder.path(), &snapshot(2), 2);
        let step = load_latest(&Disk, folder.path(), None).unwrap().snapshot.step;
        assert!(step == 2 || result.is_err() && step == 1);
        save(&Disk, folder.path(), &snapshot(3), 2).unwrap();
        assert_same(&load_latest(&Disk, folder.path(), None).unwrap().snapshot, &snapshot(3));
    }
}
