//! A process that is killed at any instant leaves a run that goes on as if nothing had happened.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::print_stdout)] // counts are printed for docs/reliability.md

use crate::support;

use gan_rng::{Key, Purpose, Stream};
use gan_train::checkpoint;
use gan_train::storage::Disk;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use support::{
    Bench, assert_part_of, assert_same_tensors, newest, repeats, resume, tiny_in, wait, wait_for_part, wait_until,
};

/// Every method with the state that only some runs have, and how often it is killed: 30 times in all.
const RUNS: [(&str, usize, &[&str]); 4] = [
    ("pix2pix", 9, &["validation.every=2", "validation.limit=2"]),
    ("pix2pixhd", 7, &["ema=0.9"]),
    ("cyclegan", 7, &["train.accumulate=2"]),
    ("cut", 7, &["ema=0.9", "pool_size=4"]),
];

/// A checkpoint every three images, of which old ones are deleted, few log points, and a length that some short lives do
/// not reach.
const SETTINGS: [&str; 8] = [
    "max_dataset_size=25",
    "n_epochs=5",
    "n_epochs_decay=3",
    "save_latest_freq=3",
    "save_minutes=0",
    "print_freq=7",
    "display_freq=60",
    "keep=2",
];

/// For the lives that nobody ends: flushing checkpoints to the disk is what takes the time here.
const SELDOM: [&str; 2] = ["save_latest_freq=0", "save_epoch_freq=0"];

/// What the kills of a run fell into, as what they left tells.
#[derive(Debug, Default)]
struct Tally {
    kills: usize,
    in_save: usize,
    in_deletion: usize,
    compared: usize,
}

/// Lets a run live for a random time, then kills it; tells whether it was still alive. Where the kill falls depends on the
/// number of the life: anywhere, even before the first step; after a new checkpoint; into a save; into a deletion. All
/// but the first kind last at least until a new checkpoint, so that the run gets on however slow the machine is.
fn kill_once(bench: &Bench, args: &[String], life: usize, random: &mut Stream, tally: &mut Tally) -> bool {
    let run = bench.path("run");
    let hint = || std::fs::read_to_string(run.join("checkpoints/latest")).unwrap_or_default();
    let before = hint();
    let mut child = bench.command(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    if !life.is_multiple_of(4) {
        wait_until("a new checkpoint", || hint() != before || child.try_wait().unwrap().is_some());
    }
    match life % 4 {
        0 => std::thread::sleep(Duration::from_millis(random.below(250))),
        1 => std::thread::sleep(Duration::from_millis(random.below(120))),
        2 => {
            wait_for_part(&run, ".tmp-", &mut child);
            std::thread::sleep(Duration::from_micros(random.below(8000)));
        }
        _ => drop(wait_for_part(&run, ".trash-", &mut child)),
    }
    let alive = child.try_wait().unwrap().is_none();
    child.kill().unwrap();
    wait(&mut child);
    let left = std::fs::read_dir(run.join("checkpoints")).into_iter().flatten();
    let left: Vec<_> = left.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    let own = |prefix: &str| {
        let end = format!("-{}", child.id());
        usize::from(left.iter().any(|name| name.starts_with(prefix) && name.ends_with(&end)))
    };
    tally.kills += usize::from(alive);
    tally.in_save += own(".tmp-");
    tally.in_deletion += own(".trash-");
    alive
}

/// The step of the newest checkpoint that verifies; `None` only as long as there is no checkpoint folder.
fn step(run: &Path, method: &str) -> Option<u64> {
    match checkpoint::load_latest(&Disk, run, Some(method)) {
        Ok(loaded) => {
            assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
            Some(loaded.snapshot.step)
        }
        Err(gan_train::Error::Files(checkpoint::Error::NoCheckpoint { .. })) => None,
        Err(error) => panic!("{error}"),
    }
}

/// A run that is killed `lives` times, against one that nobody disturbed and that has kept all its checkpoints.
fn kill_again_and_again(method: &str, lives: usize, more: &[&str], round: u64) -> Tally {
    let bench = Bench::new();
    let settings = [&SETTINGS[..], more].concat();
    bench.ok(tiny_in(method, "whole", &[&settings[..], &["keep=0"]].concat()));
    let (run, whole) = (bench.path("run"), bench.path("whole"));
    let mut random = Key::new(round, Purpose::Test).stream();
    let (mut seen, mut tally) = (None, Tally::default());
    for life in 0..lives {
        // What a user does: the same command, with --resume once there is a run.
        let args = if run.join("config.toml").exists() {
            resume(method, "run").map(String::from).to_vec()
        } else {
            tiny_in(method, "run", &settings)
        };
        // The first life of every other round ends after a checkpoint.
        kill_once(&bench, &args, life + (round % 2) as usize, &mut random, &mut tally);
        let now = step(&run, method);
        assert!(now >= seen, "{method}: a checkpoint was lost: {seen:?}, then {now:?}");
        seen = now;
        tally.compared += assert_part_of(&run, &whole);
    }
    assert!(tally.kills > lives / 2, "{method}: the run was over before most of the kills: {tally:?}");
    bench.ok(resume(method, "run").into_iter().chain(SELDOM.iter().flat_map(|setting| ["--set", setting])));
    let (last, wanted) = (newest(&run), newest(&whole));
    assert_same_tensors(&last, &wanted);
    assert_eq!(last.state.get("validation"), wanted.state.get("validation"), "{method}");
    let left: Vec<_> = std::fs::read_dir(run.join("checkpoints")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().starts_with('.')), "left behind: {left:?}");
    tally
}

#[test]
fn killed_at_any_instant_and_still_the_same_run() {
    let rounds = repeats(1, 10);
    let tallies = std::thread::scope(|scope| {
        let of_method = |(method, lives, more)| {
            move || (0..rounds).map(|round| kill_again_and_again(method, lives, more, round + 1)).collect::<Vec<_>>()
        };
        let threads = RUNS.map(|run| scope.spawn(of_method(run)));
        threads.map(|thread| thread.join().unwrap()).into_iter().flatten().collect::<Vec<_>>()
    });
    let sum = |of: fn(&Tally) -> usize| tallies.iter().map(of).sum::<usize>();
    let (kills, in_save, in_deletion) = (sum(|t| t.kills), sum(|t| t.in_save), sum(|t| t.in_deletion));
    let compared = sum(|t| t.compared);
    println!("{kills} kills, {in_save} in a save, {in_deletion} in a deletion; {compared} checkpoints compared");
    // The test must have exercised what it claims.
    assert!(in_save > 0 && compared > kills, "{tallies:?}");
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
    assert_eq!(step(&run, "pix2pix"), None);
    // The folder is a run, so training into it anew is refused; resuming starts it over.
    bench.run(tiny_in("pix2pix", "run", &settings)).fails(4, &["run", "already contains a run", "resume"]);
    let ran = bench.ok(resume("pix2pix", "run"));
    assert!(ran.err.contains("no checkpoint yet"), "{}", ran.err);
    bench.ok(tiny_in("pix2pix", "whole", &settings));
    assert_same_tensors(&newest(&run), &newest(&bench.path("whole")));
}
