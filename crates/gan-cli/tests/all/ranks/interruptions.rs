//! Runs of three processes that are killed or told to stop, again and again, and go on. `GAN_MPI_ROUNDS` says how often: two times each,
//! unless it is set.

use super::mpi::{args, mpirun, ran, with};
use super::{Bench, count};
use crate::support::{assert_same_tensors, has_checkpoint, newest, resume, signal, wait, wait_until};
use gan_rng::{Key, Purpose};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

const RANKS: usize = 3;
const LONG: [&str; 4] = ["max_dataset_size=6", "n_epochs=100000", "save_epoch_freq=0", "save_minutes=0"];

fn rounds() -> usize {
    count("GAN_MPI_ROUNDS", 2)
}

/// A time of at most so many milliseconds, another one in each round.
fn moment(round: usize, most: f64) -> Duration {
    let milliseconds = Key::new(7, Purpose::Test).at(round as u64).stream().range(0.0, most);
    Duration::from_secs_f64(milliseconds / 1000.0)
}

/// Starts the run, or goes on with it where it has a checkpoint.
fn launched(bench: &Bench, run: &str, saves: &'static str) -> Child {
    let mut command = match has_checkpoint(&bench.path(run)) {
        true => mpirun(bench, RANKS, resume("cyclegan", run)),
        false => mpirun(bench, RANKS, args("cyclegan", run, &with(&[&LONG[..], &["print_freq=1", saves]].concat(), 1))),
    };
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// Waits until a launch has trained a step.
fn trains(bench: &Bench, run: &str, logged: u64) {
    wait_until("a step", || length(bench, run) > logged);
}

/// Bytes of the log.
fn length(bench: &Bench, run: &str) -> u64 {
    std::fs::metadata(bench.path(run).join("events.jsonl")).map_or(0, |file| file.len())
}

/// Goes on for three steps, and compares with a run of one process.
fn same_after_resuming(bench: &Bench, run: &str) {
    let few = format!("max_steps={}", newest(&bench.path(run)).step + 3);
    let ended = ran(mpirun(bench, RANKS, resume("cyclegan", run).into_iter().chain(["--set", &few])));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let settings = LONG.iter().map(ToString::to_string).chain([few, "train.accumulate=3".into()]);
    let whole = format!("{run}-whole");
    bench.ok(args("cyclegan", &whole, &settings.collect::<Vec<_>>()));
    assert_same_tensors(&newest(&bench.path(run)), &newest(&bench.path(&whole)));
}

/// The processes that the launcher started, itself or, as MPICH's does, through another one.
fn processes(launcher: &Child) -> Vec<String> {
    let children = |of: &[String]| -> Vec<String> {
        let children = Command::new("pgrep").args(["-P", &of.join(",")]).output().unwrap();
        String::from_utf8(children.stdout).unwrap().split_whitespace().map(str::to_owned).collect()
    };
    let mut found = Vec::new();
    wait_until("the processes", || {
        found = children(&[launcher.id().to_string()]);
        while !found.is_empty() && found.len() != RANKS {
            found = children(&found);
        }
        found.len() == RANKS
    });
    found
}

/// The first time after a step; then at any moment, also while the processes start.
#[test]
fn a_rank_that_is_killed_ends_all() {
    let bench = Bench::new();
    for round in 0..rounds() {
        let mut launcher = launched(&bench, "run", "save_latest_freq=1");
        if round == 0 {
            wait_until("a checkpoint", || has_checkpoint(&bench.path("run")));
        }
        let ranks = processes(&launcher);
        sleep(moment(round, 3000.0));
        assert!(Command::new("kill").args(["-KILL", &ranks[round % RANKS]]).status().unwrap().success());
        let killed = Instant::now();
        assert!(!wait(&mut launcher).success());
        assert!(killed.elapsed() < Duration::from_secs(10), "round {round}: {:?}", killed.elapsed());
        for rank in ranks {
            assert!(!Path::new("/proc").join(&rank).join("exe").exists(), "round {round}: rank {rank} lives");
        }
    }
    same_after_resuming(&bench, "run");
}

/// Each time a checkpoint is written that nothing else would have written.
#[test]
fn a_signal_to_the_launcher_saves_first() {
    let bench = Bench::new();
    for round in 0..rounds() {
        let name = ["TERM", "USR1"][round % 2];
        let (before, logged) = (step(&bench), length(&bench, "run"));
        let mut launcher = launched(&bench, "run", "save_latest_freq=0");
        trains(&bench, "run", logged);
        sleep(moment(round, 500.0));
        signal(&launcher, name);
        assert!(!wait(&mut launcher).success(), "{name}");
        assert!(step(&bench) > before, "round {round}, {name}: nothing was saved after step {before}");
    }
    same_after_resuming(&bench, "run");
}

/// The step of the newest checkpoint.
fn step(bench: &Bench) -> u64 {
    if has_checkpoint(&bench.path("run")) { newest(&bench.path("run")).step } else { 0 }
}
