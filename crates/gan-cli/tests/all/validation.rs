//! Validation from the command line: what a run says of it, which checkpoint a command uses, and runs that are killed.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

use crate::support;

use gan_rng::{Key, Purpose};
use gan_train::checkpoint;
use gan_train::events::{ValidationRecord, read_validations};
use gan_train::storage::Disk;
use gan_weights::checkpoint::best_step;
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use support::{Bench, assert_same_tensors, newest, resume, tiny_in, wait};

/// Nothing improves: no weight changes.
const STILL: &str = "lr=1e-30";

fn validations(run: &Path) -> Vec<ValidationRecord> {
    let mut records = Vec::new();
    read_validations(&Disk, &run.join("events.jsonl"), |record| records.push(record)).unwrap();
    records
}

#[test]
fn a_checkpoint_is_chosen_by_name() {
    let bench = Bench::new();
    let drawn = bench.synth("facades", "pairs", 32, 1, 1);
    let settings = ["max_dataset_size=2", "n_epochs=3", "n_epochs_decay=0", "keep=0", "validation.every=1", STILL];
    let ran = bench.ok(tiny_in("pix2pix", "run", &settings));
    let said = |line: &str| assert!(ran.err.lines().any(|l| l.contains(line)), "`{line}` is missing in: {}", ran.err);
    said("validation after epoch 1, step 2: l1 ");
    said("the best checkpoint by validation is that of step 2, epoch 1: l1 ");
    assert!(ran.err.contains(", the best so far\n") && ran.err.contains(", the best is of step 2\n"), "{}", ran.err);
    assert!(ran.err.contains("`gan-cli translate --model run --checkpoint best …`"), "{}", ran.err);
    assert_eq!(fs::read_to_string(bench.path("run/checkpoints/best")).unwrap(), "2\n");

    let input = drawn.join("test/00000.png");
    let translate = |model: &str, choice: &[&str], out: &str| {
        let args = ["translate", "--model", model, "--input", input.to_str().unwrap(), "--output", out];
        bench.run(args.iter().chain(choice))
    };
    let made = |model: &str, choice: &[&str], out: &str| {
        assert_eq!(translate(model, choice, out).code, Some(0));
        fs::read(bench.path(out)).unwrap()
    };
    // Each checkpoint is told from the others by its weights.
    bench.ok(resume("pix2pix", "run").into_iter().chain(["--set", "n_epochs=5", "--set", "lr=1e-2"]));
    let best = best_step(&Disk, &bench.path("run")).unwrap().unwrap();
    let of = |step: u64| format!("run/checkpoints/{step}");
    assert_eq!(made("run", &["--checkpoint", "best"], "a.png"), made(&of(best), &[], "b.png"));
    assert_eq!(made("run", &["--checkpoint", "latest"], "c.png"), made(&of(10), &[], "d.png"));
    assert_eq!(made("run", &["--checkpoint", "2"], "e.png"), made(&of(2), &[], "f.png"));
    assert_ne!(made(&of(2), &[], "f.png"), made(&of(10), &[], "d.png"));

    translate("run", &["--checkpoint", "3"], "x.png")
        .fails(4, &["no checkpoint 3", "there are", &format!("{best} (best)")]);
    translate("run", &["--checkpoint", "newest"], "x.png")
        .fails(2, &["newest", "latest, best or the number of a step"]);
    translate(&of(2), &["--checkpoint", "best"], "x.png").fails(2, &["--checkpoint is for runs", "name the run"]);
    translate("nothing", &["--checkpoint", "best"], "x.png").fails(4, &["nothing does not exist"]);
    bench.ok(["summary", "--model", "run", "--checkpoint", "best"]);
    bench.run(["summary", "--model", "run", "--checkpoint", "3"]).fails(4, &["no checkpoint 3"]);
    let ran = bench.ok(["convert", "run", "g.pth", "--network", "g", "--checkpoint", "2"]);
    assert!(ran.err.contains("network g after 2 steps"), "{}", ran.err);
    bench.run(["convert", "g.pth", "g.safetensors", "--checkpoint", "2"]).fails(2, &["--checkpoint is for runs"]);

    bench.ok(tiny_in("pix2pix", "without", &["max_steps=1"]));
    translate("without", &["--checkpoint", "best"], "x.png").fails(4, &["trained without validation; there is 1"]);
}

#[test]
fn an_early_stop_ends_a_run_as_finished() {
    let bench = Bench::new();
    let settings = ["max_dataset_size=2", "n_epochs=9", "validation.every=1", "patience=1", STILL];
    let ran = bench.ok(tiny_in("pix2pix", "run", &settings));
    for line in ["stopped early at step 4", "--resume --set validation.patience=", "step 2, epoch 1: l1 ", "done."] {
        assert!(ran.err.contains(line), "`{line}` is missing in: {}", ran.err);
    }
    let again = bench.ok(resume("pix2pix", "run"));
    assert!(again.err.contains("stopped early at step 4"), "{}", again.err);
    let on = bench.ok(resume("pix2pix", "run").into_iter().chain(["--set", "patience=2", "--set", "n_epochs=8"]));
    assert!(on.err.contains("stopped early at step 6"), "{}", on.err);
}

#[test]
fn wrong_metrics_and_splits_are_answered() {
    let bench = Bench::new();
    bench.synth("facades", "pairs", 36, 2, 2);
    let with = |more: &[&str]| bench.run(tiny_in("pix2pix", "run", more));
    with(&["validation.every=1", "validation.metrics=[\"sharpness\"]"])
        .fails(4, &["no metric `sharpness`", "l1, psnr"]);
    with(&["validation.every=x"]).fails(4, &["validation.every"]);
    let held_out = ["data.mode=aligned", "data.root=pairs", "validation.every=1"];
    with(&held_out).fails(3, &["validation.split = \"val\"", "it has test, train", "validation.every = 0"]);
    assert!(!bench.path("run").exists());
    bench.ok(tiny_in("pix2pix", "run", &[&held_out[..], &["split=test", "max_steps=2"]].concat()));
}

/// Killed at any instant, between a checkpoint and the file that names the best one as well: the file names a whole
/// checkpoint, and the run goes on as if nothing had happened.
#[test]
fn killed_while_it_validates() {
    let bench = Bench::new();
    let settings = ["max_dataset_size=3", "n_epochs=80", "n_epochs_decay=0", "save_minutes=0", "save_epoch_freq=0"];
    let settings = [&settings[..], &["keep=2", "validation.every=1", "display_freq=0"]].concat();
    bench.ok(tiny_in("pix2pix", "whole", &settings));
    let (run, whole) = (bench.path("run"), bench.path("whole"));
    let mut random = Key::new(2, Purpose::Test).stream();
    let mut alive = 0;
    for _ in 0..8 {
        let args = match run.join("config.toml").exists() {
            true => resume("pix2pix", "run").map(String::from).to_vec(),
            false => tiny_in("pix2pix", "run", &settings),
        };
        let mut child = bench.command(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(200 + random.below(600)));
        alive += usize::from(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        wait(&mut child);
        if let Some(step) = best_step(&Disk, &run).unwrap() {
            let best = checkpoint::load(&Disk, &run.join("checkpoints").join(step.to_string())).unwrap();
            assert_eq!(best.snapshot.step, step);
        }
    }
    assert!(alive > 1, "the run was over before it could be killed");
    bench.ok(resume("pix2pix", "run"));
    assert_same_tensors(&newest(&run), &newest(&whole));
    assert_eq!(validations(&run), validations(&whole));
    assert_eq!(best_step(&Disk, &run).unwrap(), best_step(&Disk, &whole).unwrap());
    assert_eq!(newest(&run).state["validation"], newest(&whole).state["validation"]);
}
