//! Runs whose folder was edited, damaged or finished before, through the binary: what is said, and the exit codes.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)] // only images of the fixtures and of its own making are opened

use crate::support;

use std::fs;
use std::path::Path;
use support::{Bench, newest, resume, tiny_in};

/// A run of eight steps with the checkpoints 4, 6 and 8.
fn trained(bench: &Bench, method: &str, more: &[&str]) {
    let settings = ["max_steps=8", "save_latest_freq=2"];
    bench.ok(tiny_in(method, "run", &[&settings[..], more].concat()));
}

/// Appends a byte to a file of a checkpoint.
fn damage(bench: &Bench, file: &str) {
    let path = bench.path("run/checkpoints").join(file);
    let mut bytes = fs::read(&path).unwrap();
    bytes.push(0);
    fs::write(path, bytes).unwrap();
}

#[test]
fn every_command_says_which_checkpoint_was_passed_over() {
    let bench = Bench::new();
    trained(&bench, "pix2pixhd", &["n_epochs=4", "n_clusters=2"]);
    bench.ok(["dataset", "synth", "streets", "--out", "streets", "--size", "64", "--count", "1", "--test", "0"]);
    damage(&bench, "8/g.safetensors");
    let commands: [&[&str]; 4] = [
        &[
            "translate",
            "--model",
            "run",
            "--input",
            "streets/train_label",
            "--inst",
            "streets/train_inst",
            "--encode",
            "streets/train_img/00000.png",
            "--output",
            "out",
        ],
        &["summary", "--model", "run"],
        &["convert", "run", "g.pth", "--network", "g"],
        &["encode-features", "--model", "run"],
    ];
    for command in commands {
        let ran = bench.ok(command);
        for word in ["note: ", "8/g.safetensors", "step 6 is used instead"] {
            assert!(ran.err.contains(word), "{command:?}: {}", ran.err);
        }
    }
    // A network that one command needs and the others do not.
    damage(&bench, "6/d.safetensors");
    let ran = bench.ok(["convert", "run", "d.pth", "--network", "d"]);
    assert!(ran.err.contains("6/d.safetensors") && ran.err.contains("step 4 is used instead"), "{}", ran.err);
    let other = ["enhancer.load_pretrain=run", "max_steps=1"];
    let ran = bench.ok(tiny_in("pix2pixhd", "other", &other));
    assert!(ran.err.contains("6/d.safetensors") && ran.err.contains("step 4 is used instead"), "{}", ran.err);
    // One checkpoint has none before it.
    let refused = bench.run(["summary", "--model", "run/checkpoints/8"]);
    refused.fails(4, &["8/g.safetensors", "use another checkpoint"]);
}

#[test]
fn edits_that_set_refuses_are_refused_in_the_file() {
    let bench = Bench::new();
    trained(&bench, "pix2pix", &[]);
    let path = bench.path("run/config.toml");
    let saved = fs::read_to_string(&path).unwrap();
    for (before, after) in [("seed = 0", "seed = 6"), ("lambda_l1 = 100.0", "lambda_l1 = 10.0")] {
        fs::write(&path, saved.replacen(before, after, 1)).unwrap();
        bench.run(resume("pix2pix", "run")).fails(4, &["config.toml", " -> ", "start a new run"]);
    }
    fs::remove_file(&path).unwrap();
    let ran = bench.ok(resume("pix2pix", "run").into_iter().chain(["--set", "max_steps=9"]));
    assert!(ran.err.contains("note: ") && ran.err.contains("config.toml was missing"), "{}", ran.err);
    assert_eq!(fs::read_to_string(&path).unwrap(), saved.replacen("max_steps = 8", "max_steps = 9", 1));
    assert_eq!(newest(&bench.path("run")).step, 9);
    bench.run(resume("cyclegan", "run")).fails(4, &["this run is pix2pix, not cyclegan"]);
}

#[test]
fn a_finished_run_has_nothing_left() {
    let bench = Bench::new();
    trained(&bench, "pix2pix", &[]);
    let log = fs::read(bench.path("run/events.jsonl")).unwrap();
    let ran = bench.ok(resume("pix2pix", "run"));
    assert!(ran.err.contains("nothing left to do") && !ran.err.contains("training pix2pix"), "{}", ran.err);
    assert_eq!(fs::read(bench.path("run/events.jsonl")).unwrap(), log);
}

/// Whatever stands where a file should be, nobody waits for it.
#[cfg(target_os = "linux")]
#[test]
fn what_is_no_file_is_not_waited_for() {
    let bench = Bench::new();
    trained(&bench, "pix2pix", &[]);
    let pipe = |name: &str| {
        let path = bench.path("run").join(name);
        let _ = fs::remove_file(&path);
        assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
    };
    let longer = |steps: &str| {
        let steps = format!("max_steps={steps}");
        bench.run(resume("pix2pix", "run").map(String::from).into_iter().chain(["--set".into(), steps]))
    };
    pipe("config.toml");
    pipe("run.json");
    let ran = longer("9");
    assert!(ran.code == Some(0) && ran.err.contains("named pipe"), "{ran:?}");
    pipe("checkpoints/9/manifest.json");
    pipe("checkpoints/8/g.safetensors");
    let ran = bench.ok(["summary", "--model", "run"]);
    assert!(ran.err.contains("9/manifest.json") && ran.err.contains("8/g.safetensors"), "{}", ran.err);
    let ran = longer("7");
    assert!(ran.code == Some(0) && ran.err.contains("step 6 is used instead"), "{ran:?}");
    pipe("events.jsonl");
    longer("8").fails(1, &["events.jsonl", "named pipe", "move it away"]);
    fs::remove_file(bench.path("run/events.jsonl")).unwrap();
    pipe("lock");
    longer("8").fails(1, &["lock", "named pipe", "move it away"]);
}

#[test]
fn the_way_back_from_a_divergence_is_one() {
    let bench = Bench::new();
    // No checkpoint: nothing to go back to.
    let ran = bench.run(tiny_in("cyclegan", "none", &["lr=1e30", "save_minutes=0"]));
    ran.fails(6, &["diverged", "no checkpoint", "start anew"]);
    assert!(!ran.err.contains("intact"), "{}", ran.err);
    // Weights of 1e12 are finite and beyond repair.
    let every = ["lr=1e12", "save_latest_freq=1", "keep=0", "n_epochs=8"];
    let ran = bench.run(tiny_in("cyclegan", "run", &every));
    ran.fails(6, &["diverged", "beyond repair", "start anew"]);
    assert!(!ran.err.contains("training goes on without"), "{}", ran.err);
    // A sound checkpoint before is named, and resuming from it works.
    bench.ok(tiny_in("cyclegan", "good", &["max_steps=2", "save_latest_freq=1", "n_epochs=8", "keep=0"]));
    let lr = |lr: &'static str| resume("cyclegan", "good").into_iter().chain(["--set", "max_steps=0", "--set", lr]);
    let ran = bench.run(lr("lr=1e12"));
    ran.fails(6, &["diverged", "the checkpoint of step 2 is kept", "lower learning rate"]);
    for step in (3..).map(|step| bench.path(&format!("good/checkpoints/{step}"))).take_while(|dir| dir.exists()) {
        let named = format!("checkpoints/{}", step.file_name().unwrap().to_str().unwrap());
        assert!(ran.err.contains(&named), "{named} has to go: {}", ran.err);
        fs::remove_dir_all(step).unwrap();
    }
    let ran = bench.ok(lr("lr=1e-5"));
    assert!(ran.err.contains("from step 2"), "{}", ran.err);
}

/// Runs of released formats translate as they did.
#[test]
fn format_1_translates() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/format-1");
    let bench = Bench::new();
    let at = |name: &str| fixtures.join(name).to_str().unwrap().to_owned();
    for method in ["pix2pix", "cyclegan", "pix2pixhd"] {
        let out = format!("{method}.png");
        let (model, label, inst, img) =
            (at(method), at("inputs/label.png"), at("inputs/inst.png"), at("inputs/img.png"));
        let labels = method == "pix2pixhd";
        let mut args = vec!["translate", "--model", &model, "--output", &out];
        args.extend(if labels {
            vec!["--input", &label, "--inst", &inst, "--encode", &img]
        } else {
            vec!["--input", &img]
        });
        bench.ok(args);
        let levels = |path: &Path| image::open(path).unwrap().to_rgb8();
        let (made, expected) = (levels(&bench.path(&out)), levels(&fixtures.join("expected").join(&out)));
        assert_eq!(made.dimensions(), expected.dimensions(), "{method}");
        let worst = made.as_raw().iter().zip(expected.as_raw()).map(|(a, b)| a.abs_diff(*b)).max();
        // Other instruction sets round differently.
        assert!(worst <= Some(1), "{method}: off by {worst:?} levels");
    }
}

#[test]
fn a_description_and_weights_are_a_model() {
    let bench = Bench::new();
    bench.ok(tiny_in("pix2pix", "run", &["max_steps=1"]));
    fs::create_dir(bench.path("model")).unwrap();
    for name in ["model.json", "g.safetensors"] {
        fs::copy(bench.path("run/checkpoints/1").join(name), bench.path("model").join(name)).unwrap();
    }
    image::RgbImage::from_pixel(9, 7, image::Rgb([9, 99, 199])).save(bench.path("in.png")).unwrap();
    let translated = |model: &str| {
        let out = format!("{model}.png");
        bench.ok(["translate", "--model", model, "--input", "in.png", "--output", &out]);
        fs::read(bench.path(&out)).unwrap()
    };
    assert_eq!(translated("model"), translated("run"));
    bench.ok(["summary", "--model", "model"]);
    bench.ok(["convert", "model", "g.pth", "--network", "g"]);
    let text = fs::read_to_string(bench.path("model/model.json")).unwrap();
    fs::write(bench.path("model/model.json"), text.replace("\"input_nc\": 3", "\"input_nc\": 1")).unwrap();
    bench.run(["summary", "--model", "model"]).fails(4, &["g.safetensors"]);
    fs::write(bench.path("model/model.json"), text.replace("\"format\": 1", "\"format\": 99")).unwrap();
    bench.run(["summary", "--model", "model"]).fails(4, &["model.json", "newer version"]);
}
