//! Every method, stopped at seven places and resumed, with averages, accumulated gradients and validation in its state, and
//! with other numbers of threads before and after.

use super::{TOTAL, alone, assert_same, go_with, snapshot};
use gan_train::events::{Finish, ValidationRecord, read_validations};
use gan_train::storage::Disk;
use gan_train::{METHODS, MethodSpec, Outcome};
use std::path::Path;

/// Epochs of two steps of two batches: four at the full rate, two of decay. Every other epoch is validated.
const STATE: [&str; 6] = [
    "train.accumulate=2",
    "n_epochs=4",
    "n_epochs_decay=2",
    "validation.every=2",
    "validation.limit=2",
    "save_latest_freq=6",
];

/// Where a run is stopped: steps done.
const CUTS: [(&str, u64); 7] = [
    ("one step after the start, pools half full", 1),
    ("pools full, edge of an epoch", 2),
    ("within an epoch", 3),
    ("before a validation", 4),
    ("edge of the decay, before a validation", 8),
    ("within the decay, pools exchanged", 9),
    ("before the last step", 11),
];

/// No step is the last one.
const NEVER: u64 = 0;

/// Loader threads and threads that compute.
const THREADS: [(usize, usize); 6] = [(0, 1), (1, 2), (4, 1), (0, 2), (1, 1), (4, 2)];

/// Whether the whole matrix is wanted (`GAN_TEST_LONG=1`), and not its diagonal alone.
fn long() -> bool {
    std::env::var_os("GAN_TEST_LONG").is_some_and(|value| value == "1")
}

/// A launch that computes with so many threads.
fn launch(
    method: &'static MethodSpec,
    run: &Path,
    (workers, threads): (usize, usize),
    resume: bool,
    stop_after: u64,
) -> Outcome {
    // Paired images, because those of CUT would be measured with weights that are fetched.
    let own: &[&str] = if method.name == "cut" { &["data.mode=facades"] } else { &[] };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    pool.install(|| go_with(method, run, workers, resume, stop_after, &[&STATE, own].concat()))
}

fn validations(run: &Path) -> Vec<ValidationRecord> {
    let mut records = Vec::new();
    read_validations(&Disk, &run.join("events.jsonl"), |record| records.push(record)).unwrap();
    records
}

/// Runs of a method, each stopped once and resumed. Returns how many.
fn check(method: &'static MethodSpec, number: usize) -> usize {
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("whole");
    let outcome = launch(method, &whole, THREADS[0], false, NEVER);
    assert_eq!((outcome.finish, outcome.step), (Finish::Complete, TOTAL));
    let measured = validations(&whole);
    assert_eq!(measured.iter().map(|record| record.step).collect::<Vec<_>>(), [4, 8, 12], "{}", method.name);
    assert!(snapshot(&whole).tensors.iter().any(|(file, _)| file.starts_with("ema_")));
    let mut count = 0;
    for (at, (name, cut)) in CUTS.into_iter().enumerate() {
        for (which, threads) in THREADS.into_iter().enumerate() {
            if !long() && which != (at + number) % THREADS.len() {
                continue;
            }
            let after = THREADS[(which + 1) % THREADS.len()];
            let what = format!("{}, stopped {name}, threads {threads:?} and {after:?}", method.name);
            let run = folder.path().join(format!("cut-{cut}-{which}"));
            let stopped = launch(method, &run, threads, false, cut);
            assert_eq!((stopped.finish, stopped.step), (Finish::Interrupted, cut), "{what}");
            let outcome = launch(method, &run, after, true, NEVER);
            assert_eq!((outcome.finish, outcome.step), (Finish::Complete, TOTAL), "{what}");
            assert_same(&what, &run, &whole);
            assert_eq!(validations(&run), measured, "{what}");
            count += 1;
            std::fs::remove_dir_all(&run).unwrap();
        }
    }
    count
}

#[test]
fn every_method_resumes_exactly_with_everything_in_its_state() {
    let _alone = alone();
    let count: usize = std::thread::scope(|scope| {
        let threads: Vec<_> =
            METHODS.iter().enumerate().map(|(number, method)| scope.spawn(move || check(method, number))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(count, METHODS.len() * CUTS.len() * if long() { THREADS.len() } else { 1 });
}
