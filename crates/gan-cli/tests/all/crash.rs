//! A process that is killed at any instant leaves a run that goes on as if nothing had happened.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

use crate::support;

use gan_rng::{Key, Purpose, Stream};
use gan_train::checkpoint;
use gan_train::storage::Disk;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use support::{Bench, assert_same_tensors, newest, resume, tiny_in, wait, wait_until};

const KILLS: usize = 10;
/// Settings: a checkpoint every three images, few log points, and a length that ten short lives do not reach.
const SETTINGS: [&str; 7] = [
    "max_dataset_size=25",
    "n_epochs=6",
    "n_epochs_decay=4",
    "save_latest_freq=3",
    "save_minutes=0",
    "print_freq=7",
    "display_freq=60",
];

/// For the lives that nobody ends: flushing checkpoints to the disk is what takes the time here.
const SELDOM: [&str; 2] = ["save_latest_freq=0", "save_epoch_freq=0"];

/// Lets a run live for a random time, then kills it. Every other life lasts at least until a new checkpoint, so that
/// the run gets on however slow the machine is; the others may end anywhere, even before the first step. Tells whether it
/// was still alive.
fn kill_once(bench: &Bench, args: &[String], life: usize, random: &mut Stream) -> bool {
    let hint = || std::fs::read_to_string(bench.path("run/checkpoints/latest")).unwrap_or_default();
    let before = hint();
    let mut child = bench.command(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    if life.is_multiple_of(2) {
        wait_until("a new checkpoint", || hint() != before);
    }
    std::thread::sleep(Duration::from_millis(random.below(120)));
    let alive = child.try_wait().unwrap().is_none();
    child.kill().unwrap();
    wait(&mut child);
    alive
}

/// The step of the newest checkpoint that verifies; `None` only as long as there is no checkpoint folder.
fn step(run: &Path) -> Option<u64> {
    match checkpoint::load_latest(&Disk, run, Some("pix2pix")) {
        Ok(loaded) => {
            assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
            Some(loaded.snapshot.step)
        }
        Err(gan_train::Error::Files(checkpoint::Error::NoCheckpoint { .. })) => None,
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn killed_ten_times_and_still_the_same_run() {
    let bench = Bench::new();
    let whole: Vec<&str> = SETTINGS.into_iter().chain(SELDOM).collect();
    bench.ok(tiny_in("pix2pix", "whole", &whole));
    let mut random = Key::new(1, Purpose::Test).stream();
    let run = bench.path("run");
    let (mut seen, mut alive) = (None, 0);
    for life in 0..KILLS {
        // What a user does: the same command, with --resume once there is a run.
        let args = if run.join("config.toml").exists() {
            resume("pix2pix", "run").map(String::from).to_vec()
        } else {
            tiny_in("pix2pix", "run", &SETTINGS)
        };
        alive += usize::from(kill_once(&bench, &args, life, &mut random));
        let now = step(&run);
        assert!(now >= seen, "a checkpoint was lost: {seen:?}, then {now:?}");
        seen = now;
    }
    assert!(alive > KILLS / 2, "the run was over before most of the kills");
    assert!(seen >= Some(3 * KILLS as u64 / 2), "{seen:?}");
    bench.ok(resume("pix2pix", "run").into_iter().chain(SELDOM.iter().flat_map(|setting| ["--set", setting])));
    assert_same_tensors(&newest(&run), &newest(&bench.path("whole")));
    let left: Vec<_> = std::fs::read_dir(run.join("checkpoints")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().starts_with('.')), "left behind: {left:?}");
}

#[test]
fn killed_before_the_first_checkpoint() {
    let bench = Bench::new();
    let settings = ["save_latest_freq=0", "save_epoch_freq=0", "save_minutes=0", "max_dataset_size=10"];
    let mut child = bench.command(tiny_in("pix2pix", "run", &settings)).stderr(Stdio::null()).spawn().unwrap();
    let run = bench.path("run");
    wait_until("a few steps", || run.join("gallery/index.html").exists());
    child.kill().unwrap();
    wait(&mut child);
    assert_eq!(step(&run), None);
    // The folder is a run, so training into it anew is refused; resuming starts it over.
    bench.run(tiny_in("pix2pix", "run", &settings)).fails(4, &["run", "already contains a run", "resume"]);
    let ran = bench.ok(resume("pix2pix", "run"));
    assert!(ran.err.contains("no checkpoint yet"), "{}", ran.err);
    bench.ok(tiny_in("pix2pix", "whole", &settings));
    assert_same_tensors(&newest(&run), &newest(&bench.path("whole")));
}
