//! Power cuts at a random operation of three saves in a row; what was not flushed is lost in part.

use gan_rng::{Key, Purpose};

use super::{assert_same, empty_run, run, snapshot};
use crate::checkpoint::{load_latest, save};
use crate::storage::fault::{Fault, FaultyStorage};
use crate::storage::volatile::VolatileStorage;

/// How many; more where the long counts are wanted (`GAN_TEST_LONG=1`).
fn cases() -> u64 {
    if std::env::var_os("GAN_TEST_LONG").is_some_and(|value| value == "1") { 100_000 } else { 2000 }
}

#[test]
fn newest_or_previous_checkpoint_survives() {
    let mut cut_during_save = 0;
    let mut lost_newest = 0;
    for case in 0..cases() {
        let mut random = Key::new(case, Purpose::Test).stream();
        let keep = 1 + random.below(3) as usize;
        // Some runs save one step twice: at an interval and again at the end.
        let steps = if random.below(4) == 0 { [10, 20, 20] } else { [10, 20, 30] };
        let storage = empty_run();
        let dying = FaultyStorage::from(storage.clone(), Fault::Enospc, 1 + random.below(140));
        let mut done = None;
        for step in steps {
            match save(&dying, run(), &snapshot(step), keep) {
                Ok(_) => done = Some(step),
                Err(_) => break,
            }
        }
        cut_during_save += u64::from(dying.struck());
        storage.power_cut(&mut random);
        if let Some(done) = done {
            let loaded = load_latest(&storage, run(), None).unwrap_or_else(|e| panic!("case {case}: {e}"));
            let step = loaded.snapshot.step;
            assert!(step >= done, "case {case}: step {step} although {done} had been saved");
            assert_same(&loaded.snapshot, &snapshot(step));
            lost_newest += u64::from(step == done && dying.struck());
        }
        // Whatever is left, training goes on.
        save(&storage, run(), &snapshot(40), keep).unwrap();
        assert_same(&load_latest(&storage, run(), None).unwrap().snapshot, &snapshot(40));
    }
    // The test must have exercised what it claims.
    assert!(cut_during_save * 2 > cases() && lost_newest * 10 > cases(), "{cut_during_save} {lost_newest}");
}

/// The simulation is worth something only if it catches a writer that forgets to flush.
#[test]
fn simulation_catches_missing_flushes() {
    use crate::storage::{Entry, Files, Storage, StorageFile};
    use std::io::{self, Read, Write};
    use std::path::Path;

    #[derive(Debug)]
    struct Careless(VolatileStorage);
    struct CarelessFile(Box<dyn StorageFile>);
    impl Write for CarelessFile {
        fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
            self.0.write(buf)
        }
        fn flush(&mut self) -> io::Result<()> {
            self.0.flush()
        }
    }
    impl StorageFile for CarelessFile {
        fn sync(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    impl Files for Careless {
        fn open(&self, file: &Path) -> io::Result<Box<dyn Read + Send>> {
            self.0.open(file)
        }
        fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
            self.0.list(dir)
        }
    }
    impl Storage for Careless {
        fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
            self.0.create_dir_all(dir)
        }
        fn create(&self, file: &Path) -> io::Result<Box<dyn StorageFile>> {
            Ok(Box::new(CarelessFile(self.0.create(file)?)))
        }
        fn append(&self, file: &Path, length: u64) -> io::Result<Box<dyn StorageFile>> {
            self.0.append(file, length)
        }
        fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
            self.0.rename(from, to)
        }
        fn sync_dir(&self, dir: &Path) -> io::Result<()> {
            self.0.sync_dir(dir)
        }
        fn remove_file(&self, file: &Path) -> io::Result<()> {
            self.0.remove_file(file)
        }
        fn remove_dir_all(&self, dir: &Path) -> io::Result<()> {
            self.0.remove_dir_all(dir)
        }
    }

    let lost = (0..50)
        .filter(|&case| {
            let storage = empty_run();
            save(&Careless(storage.clone()), run(), &snapshot(1), 1).unwrap();
            storage.power_cut(&mut Key::new(case, Purpose::Test).stream());
            load_latest(&storage, run(), None).is_err()
        })
        .count();
    assert!(lost > 25, "{lost}");
}
