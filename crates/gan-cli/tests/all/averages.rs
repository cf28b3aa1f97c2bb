//! Moving averages of the weights (`train.ema`) from the command line: which commands use them, and what they print about it.
#![allow(clippy::unwrap_used)]

use crate::support;

use std::fs;
use support::{Bench, assert_same_tensors, newest, resume, tiny_in};

#[test]
fn translation_takes_the_average_unless_told_otherwise() {
    let bench = Bench::new();
    let drawn = bench.synth("facades", "pairs", 32, 1, 1);
    bench.ok(tiny_in("pix2pix", "run", &["max_steps=6", "ema=0.99"]));
    bench.ok(tiny_in("pix2pix", "without", &["max_steps=6"]));
    let input = drawn.join("test/00000.png");
    let translate = |model: &str, choice: &[&str], out: &str| {
        let args = ["translate", "--model", model, "--input", input.to_str().unwrap(), "--output", out];
        bench.run(args.iter().chain(choice))
    };
    let made = |model: &str, choice: &[&str], out: &str, note: bool| {
        let ran = translate(model, choice, out);
        assert_eq!((ran.code, ran.err.contains("the averaged weights are taken")), (Some(0), note), "{}", ran.err);
        fs::read(bench.path(out)).unwrap()
    };
    let average = made("run", &[], "a.png", true);
    let raw = made("run", &["--weights", "raw"], "b.png", false);
    assert_eq!(made("run", &["--weights", "ema"], "c.png", false), average);
    assert_ne!(raw, average);
    // The average takes no part in training.
    assert_eq!(made("without", &[], "d.png", false), raw);
    assert_eq!(made("without", &["--weights", "raw"], "e.png", false), raw);
    translate("without", &["--weights", "ema"], "x.png").fails(4, &["no moving average", "train.ema=0.999"]);

    // What is exported says what it is, and translates like the run.
    let convert = |choice: &[&str], out: &str| {
        let ran = bench.ok(["convert", "run", out, "--network", "g"].iter().chain(choice));
        (ran.err.contains("network g, averaged weights after 6 steps"), made(out, &[], "f.png", false))
    };
    assert_eq!(convert(&[], "ema.safetensors"), (true, average.clone()));
    assert_eq!(convert(&["--weights", "raw"], "raw.safetensors"), (false, raw));
    translate("raw.safetensors", &["--weights", "raw"], "x.png").fails(2, &["--weights is for runs"]);
    let ran = bench.run(["convert", "run", "x.pth"]);
    ran.fails(2, &["holds d and g: name one"]);

    // A folder of its own is a model with averages as well.
    fs::create_dir(bench.path("model")).unwrap();
    for name in ["model.json", "g.safetensors", "ema_g.safetensors"] {
        fs::copy(bench.path("run/checkpoints/6").join(name), bench.path("model").join(name)).unwrap();
    }
    assert_eq!(made("model", &[], "g.png", true), average);
    bench.ok(["evaluate", "--model", "run", "--metrics", "l1", "--weights", "raw", "--limit", "1"]);
}

#[test]
fn an_average_may_begin_and_end_when_a_run_is_resumed() {
    let bench = Bench::new();
    let go_on = |settings: &[&'static str]| {
        let args: Vec<&str> = settings.iter().flat_map(|setting| ["--set", setting]).collect();
        bench.ok(resume("cyclegan", "run").into_iter().chain(args))
    };
    bench.ok(tiny_in("cyclegan", "whole", &["max_steps=6"]));
    bench.ok(tiny_in("cyclegan", "run", &["max_steps=2"]));
    let ran = go_on(&["ema=0.9", "max_steps=4"]);
    assert!(ran.err.contains("the moving average of g_a, g_b begins with the weights of step 2"), "{}", ran.err);
    let files: Vec<String> = newest(&bench.path("run")).tensors.into_iter().map(|(file, _)| file).collect();
    assert!(["ema_g_a", "ema_g_b"].iter().all(|name| files.iter().any(|file| file == name)), "{files:?}");
    assert!(!files.iter().any(|file| file.starts_with("ema_d")), "{files:?}");
    let ran = go_on(&["ema=0", "max_steps=6"]);
    assert!(!ran.err.contains("moving average"), "{}", ran.err);
    assert_same_tensors(&newest(&bench.path("run")), &newest(&bench.path("whole")));
}
