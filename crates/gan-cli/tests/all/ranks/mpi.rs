//! Runs under an installed `mpirun`, or under the launcher that `MPIRUN` names: that of the MPI which the program was built with, Open MPI or MPICH.

use super::{Bench, Ran, tiny_in};
use crate::evaluate::{json, pairs};
use crate::support::{assert_same_tensors, newest, resume};
use std::process::{Command, Stdio};

/// Of the methods' tiny runs: batch norms and pools that exchange, steps of which the last of an epoch is not full.
const SMALL: [&str; 6] =
    ["max_dataset_size=5", "n_epochs=2", "n_epochs_decay=0", "pool_size=2", "save_minutes=0", "print_freq=1"];

/// The launcher with so many processes of the program.
pub(super) fn mpirun<A: AsRef<std::ffi::OsStr>>(
    bench: &Bench,
    ranks: usize,
    args: impl IntoIterator<Item = A>,
) -> Command {
    let program = bench.command(args);
    let launcher = std::env::var("MPIRUN").unwrap_or_else(|_| "mpirun".into());
    let mut command = Command::new(&launcher);
    if is_open_mpi(&launcher) {
        // Between the signal that ends a run and the kill, a step has to end; the launcher waits all that time.
        command.args(["--allow-run-as-root", "--oversubscribe", "--mca", "odls_base_sigkill_timeout", "3"]);
    }
    command.args(["-n", &ranks.to_string()]).arg(program.get_program()).args(program.get_args());
    command.current_dir(bench.path(".")).envs(program.get_envs().filter_map(|(key, value)| Some((key, value?))));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// MPICH's launcher takes other options, and needs none of these.
fn is_open_mpi(launcher: &str) -> bool {
    let version = Command::new(launcher).arg("--version").output().unwrap();
    String::from_utf8_lossy(&version.stdout).contains("Open MPI")
}

pub(super) fn ran(mut command: Command) -> Ran {
    command.output().unwrap().into()
}

pub(super) fn with(settings: &[&'static str], accumulate: usize) -> Vec<String> {
    settings.iter().map(ToString::to_string).chain([format!("train.accumulate={accumulate}")]).collect()
}

pub(super) fn args(method: &str, run: &str, settings: &[String]) -> Vec<String> {
    tiny_in(method, run, &settings.iter().map(String::as_str).collect::<Vec<_>>())
}

#[test]
fn processes_train_what_one_trains() {
    let bench = Bench::new();
    for method in ["pix2pix", "pix2pixhd", "cyclegan", "cut"] {
        for (per_step, splits) in [(4, &[1, 2, 4][..]), (3, &[3])] {
            let whole = format!("{method}-{per_step}");
            bench.ok(args(method, &whole, &with(&SMALL, per_step)));
            for &ranks in splits {
                let run = format!("{whole}-on-{ranks}");
                let ended = ran(mpirun(&bench, ranks, args(method, &run, &with(&SMALL, per_step / ranks))));
                assert_eq!(ended.code, Some(0), "{method} on {ranks}: {ended:?}");
                assert_eq!(ended.err.matches("done. Look at").count(), 1, "{}", ended.err);
                assert_same_tensors(&newest(&bench.path(&run)), &newest(&bench.path(&whole)));
            }
        }
    }
}

#[test]
fn an_error_is_said_once_with_its_code() {
    let bench = Bench::new();
    let adaptive = ["augment.adaptive=true".into(), "augment.policy=color".into()];
    let ended = ran(mpirun(&bench, 3, args("pix2pix", "run", &adaptive)));
    assert_eq!(ended.code, Some(4), "{ended:?}");
    assert_eq!(ended.err.matches("augment.adaptive = false").count(), 1, "{}", ended.err);
    let ended = ran(mpirun(&bench, 3, args("pix2pix", "run", &["on_nonfinite=stop".into(), "lr=1e30".into()])));
    assert_eq!(ended.code, Some(6), "{ended:?}");
    assert_eq!(ended.err.matches("error: training diverged").count(), 1, "{}", ended.err);
}

/// What four processes saved, two go on with, and then one.
#[test]
fn the_number_of_processes_may_change() {
    let bench = Bench::new();
    for method in ["cyclegan", "pix2pixhd"] {
        let (run, whole) = (format!("{method}-run"), format!("{method}-whole"));
        bench.ok(args(method, &whole, &with(&[&SMALL[..], &["n_epochs=6"]].concat(), 4)));
        let started = with(&[&SMALL[..], &["n_epochs=6", "max_steps=3"]].concat(), 1);
        assert_eq!(ran(mpirun(&bench, 4, args(method, &run, &started))).code, Some(0));
        let on = |accumulate: &'static str, steps: &'static str| {
            resume(method, &run)
                .into_iter()
                .chain(["--set", accumulate, "--set", steps])
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        let ended = ran(mpirun(&bench, 2, on("accumulate=2", "max_steps=8")));
        assert_eq!(ended.code, Some(0), "{ended:?}");
        bench.ok(on("accumulate=4", "max_steps=0"));
        assert_same_tensors(&newest(&bench.path(&run)), &newest(&bench.path(&whole)));
    }
}

/// Gradients that are reduced once an update: the same bits where a process has one batch of it.
#[test]
fn gradients_can_be_reduced_once_an_update() {
    let bench = Bench::new();
    let once = [&SMALL[..], &["train.reduce=once"]].concat();
    bench.ok(args("pix2pix", "whole", &with(&SMALL, 3)));
    assert_eq!(ran(mpirun(&bench, 3, args("pix2pix", "once", &with(&once, 1)))).code, Some(0));
    assert_same_tensors(&newest(&bench.path("once")), &newest(&bench.path("whole")));
    assert_eq!(ran(mpirun(&bench, 2, args("pix2pix", "more", &with(&once, 2)))).code, Some(0));
    assert_eq!(newest(&bench.path("more")).step, 4);
}

/// The processes divide the images, and one report is that of one process.
#[test]
fn processes_evaluate_what_one_evaluates() {
    let bench = Bench::new();
    pairs(&bench, 5, 24, 20);
    let with_json = |name: &'static str| ["evaluate", "--fake", "fake", "--real", "real", "--json", name];
    let alone = bench.ok(with_json("alone.json"));
    for ranks in [2, 7] {
        let ended = ran(mpirun(&bench, ranks, with_json("ranks.json")));
        assert_eq!((ended.code, &ended.out), (Some(0), &alone.out), "{ended:?}");
        assert_eq!(json(&bench, "ranks.json"), json(&bench, "alone.json"));
    }
    std::fs::write(bench.path("real/3.png"), "no image").unwrap();
    let ended = ran(mpirun(&bench, 3, with_json("none.json")));
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert!(ended.err.contains("real/3.png") && !bench.path("none.json").exists(), "{}", ended.err);
}

/// Held-out images are divided as well.
#[test]
fn processes_validate_what_one_validates() {
    let bench = Bench::new();
    let settings = [&SMALL[..], &["validation.every=1", "validation.split=val", "validation.limit=5"]].concat();
    bench.ok(args("cyclegan", "whole", &with(&settings, 3)));
    let ended = ran(mpirun(&bench, 3, args("cyclegan", "run", &with(&settings, 1))));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(newest(&bench.path("run")).state["validation"], newest(&bench.path("whole")).state["validation"]);
    assert_same_tensors(&newest(&bench.path("run")), &newest(&bench.path("whole")));
}
