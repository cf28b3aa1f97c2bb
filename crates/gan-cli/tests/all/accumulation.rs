//! Updates that are made of several batches.
#![allow(clippy::unwrap_used)]

use crate::support;

use support::{Bench, Ran, assert_same_tensors, newest, resume, tiny_in};

/// Four images in steps of three and one.
const SETTINGS: [&str; 3] = ["train.accumulate=3", "n_epochs=2", "n_epochs_decay=0"];

#[test]
fn a_step_is_an_update() {
    let bench = Bench::new();
    let ran = bench.ok(tiny_in("pix2pix", "run", &SETTINGS));
    assert!(ran.err.contains("4 steps (4 images, 2 epochs, batch size 1, 3 batches a step)"), "{}", ran.err);
    assert_eq!(newest(&bench.path("run")).step, 4);
    // The number may change when a run goes on: 4 more epochs of 2 steps.
    let more = ["--set", "accumulate=2", "--set", "n_epochs=4"];
    let ran = bench.ok(resume("pix2pix", "run").into_iter().chain(more));
    assert!(ran.err.contains("from step 4: 8 steps"), "{}", ran.err);
    bench.run(tiny_in("pix2pix", "other", &["accumulate=0"])).fails(4, &["accumulate", "1"]);
}

#[test]
fn the_number_of_threads_makes_no_difference() {
    let bench = Bench::new();
    for method in ["pix2pix", "pix2pixhd", "cyclegan", "cut"] {
        let run = |threads: &str| {
            let name = format!("{method}-{threads}");
            let mut command = bench.command(tiny_in(method, &name, &[&SETTINGS[..], &["max_steps=2"]].concat()));
            let ran = Ran::from(command.env("RAYON_NUM_THREADS", threads).output().unwrap());
            assert_eq!(ran.code, Some(0), "{ran:?}");
            newest(&bench.path(&name))
        };
        assert_same_tensors(&run("1"), &run("3"));
    }
}
