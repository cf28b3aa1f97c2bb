//! Convolution algorithms measured on this machine (`GAN_TUNING`).

use crate::support;

use std::fs;
use support::{Bench, Ran, assert_same_tensors, newest, tiny_in};

#[test]
fn a_file_of_measured_algorithms_is_made_and_obeyed() {
    let bench = Bench::new();
    bench.synth("facades", "pairs", 32, 3, 0);
    let file = bench.path("algorithms");
    let train = |out: &str| {
        let mut command = bench.command(tiny_in("pix2pix", out, &["n_epochs=50", "max_steps=2"]));
        let ran: Ran = command.env("GAN_TUNING", &file).output().unwrap().into();
        assert_eq!(ran.code, Some(0), "{}", ran.err);
        fs::read_to_string(&file).unwrap()
    };
    let measured = train("one");
    assert!(measured.lines().filter(|line| line.contains(" = ")).count() > 5, "{measured}");
    // As a process that was killed while it wrote leaves it.
    fs::write(&file, format!("{measured}Avx2 Forw")).unwrap();
    assert_eq!(train("two"), format!("{measured}Avx2 Forw\n"), "nothing is measured twice");
    assert_same_tensors(&newest(&bench.path("one")), &newest(&bench.path("two")));

    // Translations keep their packed weights, and have lines of their own.
    let mut translate = bench.command(["translate", "--model", "one", "--input", "pairs", "--output", "made"]);
    let ran: Ran = translate.env("GAN_TUNING", &file).output().unwrap().into();
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(fs::read_to_string(&file).unwrap().contains("weights Stay"));
}

#[test]
fn a_file_that_holds_something_else_is_refused() {
    let bench = Bench::new();
    bench.synth("facades", "pairs", 32, 3, 0);
    fs::write(bench.path("notes"), "remember the milk\n").unwrap();
    for file in ["notes", "pairs", "nowhere/algorithms"] {
        let mut command = bench.command(tiny_in("pix2pix", "run", &["n_epochs=50", "max_steps=2"]));
        let ran: Ran = command.env("GAN_TUNING", file).output().unwrap().into();
        assert_eq!(ran.code, Some(2), "{}", ran.err);
        assert!(ran.err.contains(&format!("GAN_TUNING={file} cannot be used")), "{}", ran.err);
        assert!(!bench.path("run").exists());
    }
    assert_eq!(fs::read_to_string(bench.path("notes")).unwrap(), "remember the milk\n");
}
