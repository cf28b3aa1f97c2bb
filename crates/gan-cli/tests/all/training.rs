//! How training is started, resumed and answered for.
#![allow(clippy::unwrap_used)]
#![allow(clippy::disallowed_methods, reason = "images are made by another writer than the one under test")]

use crate::support;

use std::fs;
use support::{Bench, Ran, has_checkpoint, newest, resume, tiny_in};

/// Settings of a tiny pix2pix run on a folder of pairs.
fn on_pairs<'a>(more: &[&'a str]) -> Vec<&'a str> {
    let mut args = vec!["train", "pix2pix", "--data", "pairs"];
    for set in ["generator.arch=unet", "num_downs=5", "ngf=4", "ndf=4", "workers=0", "n_epochs=1", "n_epochs_decay=0"] {
        args.extend(["--set", set]);
    }
    args.extend(more);
    args
}

fn config(bench: &Bench, run: &str) -> toml::Table {
    toml::from_str(&fs::read_to_string(bench.path(run).join("config.toml")).unwrap()).unwrap()
}

#[track_caller]
fn assert_says(ran: &Ran, line: &str) {
    assert!(ran.err.lines().any(|said| said == line), "`{line}` is missing in: {}", ran.err);
}

#[test]
fn the_start_says_which_side_is_the_input() {
    let bench = Bench::new();
    bench.synth("facades", "pairs", 36, 2, 0);
    let small = ["--size", "32", "--out"];
    let run = |out: &'static str, more: &[&'static str]| bench.ok(on_pairs(&[&small[..], &[out], more].concat()));
    assert_says(&run("own", &["--preset", "pairs"]), "input: left half (A), target: right half (B)");
    assert_says(&run("few", &["--preset", "few"]), "input: left half (A), target: right half (B)");
    assert_says(&run("archive", &["--preset", "facades"]), "input: right half (B), target: left half (A)");
    assert_says(
        &run("turned", &["--direction", "AtoB", "--preset", "facades"]),
        "input: left half (A), target: right half (B)",
    );
    let domains = bench.synth("unpaired", "domains", 36, 2, 0);
    assert!(domains.join("trainA").is_dir());
    let mut args = tiny_in("cyclegan", "cycle", &["data.mode=unaligned", "max_steps=1"]);
    args.extend(["--data", "domains", "--direction", "b2a"].map(String::from));
    assert_says(&bench.ok(args), "input: domains/trainB (B), target: domains/trainA (A)");
}

#[test]
fn frequent_settings_are_flags() {
    let bench = Bench::new();
    bench.synth("facades", "pairs", 36, 2, 0);
    let flags =
        ["--lr", "1e-3", "--epochs", "2", "--batch-size", "2", "--size", "32", "--direction", "b2a", "--out", "run"];
    let ran = bench.ok(on_pairs(&[&flags[..], &["--set", "n_epochs=3"]].concat()));
    let config = config(&bench, "run");
    assert_eq!(config["train"]["lr"].as_float(), Some(1e-3));
    assert_eq!(config["train"]["n_epochs"].as_integer(), Some(3), "--set goes over flags");
    let number = |key: &str| config["data"][key].as_integer();
    assert_eq!((number("batch_size"), number("crop_size"), number("load_size")), (Some(2), Some(32), Some(36)));
    assert_eq!(config["data"]["direction"].as_str(), Some("b2a"));
    assert!(ran.err.contains("3 steps (2 images, 3 epochs, batch size 2)"), "{}", ran.err);
    let points = fs::read_to_string(bench.path("run/events.jsonl")).unwrap();
    assert_eq!(points.matches("\"progress\"").count(), 3, "steps 1, 2 and the last: {points}");
}

#[test]
fn a_size_may_come_with_settings_that_fit_it_alone() {
    let bench = Bench::new();
    let settings = ["generator.arch=unet_256", "ngf=2", "ndf=2", "max_steps=1", "batch_size=1", "max_dataset_size=1"];
    let train = ["train", "pix2pix", "--preset", "demo", "--size", "256", "--out", "run"];
    bench.ok(train.into_iter().chain(settings.into_iter().flat_map(|setting| ["--set", setting])));
    let config = config(&bench, "run");
    assert_eq!(config["data"]["crop_size"].as_integer(), Some(256));
    let refused = bench.run(train.into_iter().chain(["--set", "generator.arch=resnet_7blocks"]));
    assert!(refused.err.contains("resnet_7blocks"), "{}", refused.err);
}

#[test]
fn options_of_other_programs_are_explained() {
    let bench = Bench::new();
    let train = |option: &str| bench.run(["train", "pix2pix", "--out", "run", option, "1"]);
    for (option, said) in [
        ("--dataroot", "'--data'"),
        ("--netG", "'--set generator.arch=NAME'"),
        ("--gpu_ids", "'--device cuda:0'"),
        ("--n_epochs", "'--epochs'"),
        ("--lambda_L1", "'--set loss.lambda_l1=VALUE'"),
        ("--norm", "discriminator.norm, generator.norm"),
    ] {
        let ran = train(option);
        ran.fails(2, &[option, said]);
        assert!(!ran.err.contains("as a value") && !ran.err.contains("similar"), "{}", ran.err);
    }
    let unknown = train("--frobnicate");
    unknown.fails(2, &["--frobnicate", "'--set KEY=VALUE'"]);
    assert!(!unknown.err.contains("-- --"), "{}", unknown.err);
    bench.run(["translate", "--model", "x", "--results_dir", "y"]).fails(2, &["'--output'"]);
}

#[test]
fn the_command_line_of_the_start_resumes_too() {
    let bench = Bench::new();
    bench.synth("facades", "pairs", 36, 4, 0);
    fs::write(bench.path("my.toml"), "[loss]\nlambda_l1 = 50.0\n").unwrap();
    let start = on_pairs(&["--preset", "pairs", "--config", "my.toml", "--size", "32", "--out", "run"]);
    let with = |more: &[&'static str]| bench.run(start.iter().chain(more));
    assert_eq!(with(&["--set", "max_steps=2"]).code, Some(0));
    let ran = with(&["--resume", "--set", "max_steps=3"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_says(&ran, "note: this run changes train.max_steps: 2 -> 3");
    assert!(ran.err.contains("from step 2"), "{}", ran.err);
    // What gives another run is refused, whatever of the command line it stands in.
    with(&["--resume", "--direction", "b2a"])
        .fails(4, &["data.direction: \"a2b\" -> \"b2a\"", "leave --preset and --config out"]);
    fs::write(bench.path("my.toml"), "").unwrap();
    with(&["--resume"]).fails(4, &["loss.lambda_l1: 50.0 -> 100.0"]);
    assert_eq!(newest(&bench.path("run")).step, 3);
    // A new run does not go there, and is told how to resume the old one.
    with(&[]).fails(4, &["already contains a run", "resume it with: gan-cli train pix2pix --out run --resume"]);
    // Without them, the run's own configuration counts; the method is known.
    let ran = bench.ok(["train", "--out", "run", "--resume", "--set", "max_steps=0"]);
    assert!(ran.err.contains("training pix2pix on cpu from step 3: 4 steps"), "{}", ran.err);
}

#[test]
fn a_finished_run_says_what_to_raise() {
    let bench = Bench::new();
    bench.ok(tiny_in("pix2pix", "run", &["n_epochs=1", "n_epochs_decay=1", "max_dataset_size=2"]));
    let before = newest(&bench.path("run")).step;
    let ran = bench.ok(resume("pix2pix", "run"));
    assert_says(&ran, "nothing left to do: all 2 epochs are done; raise n_epochs (--set n_epochs=…) to train on");
    assert!(!ran.err.contains("done. Look") && !ran.err.contains("training pix2pix"), "{}", ran.err);
    let ran = bench.ok(resume("pix2pix", "run").into_iter().chain(["--set", "n_epochs=2"]));
    assert!(ran.err.contains("done. Look"), "{}", ran.err);
    assert_eq!(newest(&bench.path("run")).step, before + 2);
    let ran = bench.ok(tiny_in("pix2pix", "few", &["max_steps=1"]).into_iter().chain(["--json".into()]));
    let json: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((&json["finish"], &json["step"]), (&"complete".into(), &1.into()), "{json}");
    assert_eq!(json["checkpoint"], "few/checkpoints/1");
    let ran = bench.ok(resume("pix2pix", "few"));
    assert!(ran.err.contains("all 1 steps are done; raise max_steps"), "{}", ran.err);
}

#[test]
fn divergence_gives_advice_that_works() {
    let bench = Bench::new();
    let ran = bench.run(tiny_in("pix2pix", "run", &["lr=1e30", "save_latest_freq=0", "save_minutes=0"]));
    ran.fails(6, &["diverged", "there is no checkpoint", "start anew with a lower learning rate (--lr 2e-4)"]);
    assert!(!has_checkpoint(&bench.path("run")) && !ran.err.contains("--resume"), "{}", ran.err);
    // A good checkpoint, then a rate that no run survives.
    bench.ok(tiny_in("pix2pix", "good", &["max_steps=2"]));
    let wild = ["--set", "max_steps=0", "--lr", "1e30"];
    let ran = bench.run(resume("pix2pix", "good").into_iter().chain(wild));
    ran.fails(6, &["the checkpoint of step 2 is kept", "--out good --resume --lr 2e-4"]);
    bench.ok(resume("pix2pix", "good").into_iter().chain(["--set", "max_steps=4", "--lr", "2e-4"]));
}

/// Its previews would become training data.
#[test]
fn a_run_does_not_lie_among_its_images() {
    let bench = Bench::new();
    bench.synth("facades", "pairs", 36, 2, 0);
    for (out, said) in [("pairs", "is the dataset itself"), ("pairs/train/run", "lies among the images")] {
        bench.run(on_pairs(&["--size", "32", "--out", out])).fails(2, &[said, "--out"]);
        assert!(!bench.path(out).join("config.toml").exists());
    }
    bench.ok(on_pairs(&["--size", "32", "--out", "pairs/run"]));
}

#[cfg(unix)]
#[test]
fn names_that_are_not_unicode_are_no_panic() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let bench = Bench::new();
    let name = OsStr::from_bytes(b"r\xff");
    let args = tiny_in("pix2pix", "x", &["max_steps=1"]);
    let args = args[..args.len() - 1].iter().map(OsStr::new).chain([name]);
    bench.ok(args);
    let data =
        [OsStr::new("train"), OsStr::new("pix2pix"), OsStr::new("--out"), OsStr::new("y"), OsStr::new("--data"), name];
    bench.run(data).fails(2, &["--data", "not Unicode"]);
}
