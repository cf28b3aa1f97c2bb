//! Settings that explain themselves: presets, keys, the file in the run folder, and a look ahead.

use crate::support;

use serde_json::Value;
use std::fs;
use support::{Bench, newest, resume, tiny_in};

#[test]
fn presets_are_listed_and_printed() {
    let bench = Bench::new();
    let all = bench.ok(["presets"]).out;
    assert!(all.contains("cut\n") && all.contains("  fastcut       FastCUT: two folders"), "{all}");
    assert!(all.contains("resnet_9blocks, 256 pixels, 150 + 50 epochs, loss.flip_equivariance=true"), "{all}");
    let few = bench.ok(["presets", "pix2pix"]).out;
    assert!(few.contains("  few ") && !few.contains("fastcut"), "{few}");
    let json: Value = serde_json::from_str(&bench.ok(["presets", "--json"]).out).unwrap();
    let facades = json.as_array().unwrap().iter().find(|preset| preset["name"] == "facades").unwrap();
    assert_eq!((&facades["method"], &facades["settings"]["data"]["direction"]), (&"pix2pix".into(), &"b2a".into()));
    bench.run(["presets", "pix2pix", "facade"]).fails(4, &["did you mean `facades`"]);
    // What is printed is a configuration.
    fs::write(bench.path("my.toml"), bench.ok(["presets", "pix2pix", "demo"]).out).unwrap();
    let mut args = tiny_in("pix2pix", "run", &["max_steps=1"]);
    args.extend(["--config", "my.toml"].map(String::from));
    bench.ok(args);
}

#[test]
fn keys_are_explained() {
    let bench = Bench::new();
    let lr = bench.ok(["config", "explain", "lr"]).out;
    assert!(
        lr.contains("train.lr\n  Learning rate of Adam.\n  default   0.0002\n  takes     a number above 0"),
        "{lr}"
    );
    let norm = bench.ok(["config", "explain", "norm", "--method", "cut"]).out;
    assert!(norm.contains("generator.norm") && norm.contains("discriminator.norm"), "{norm}");
    bench.run(["config", "explain", "lrr"]).fails(2, &["did you mean `train.lr`?"]);
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md")).unwrap();
    assert_eq!(bench.ok(["config", "explain", "--markdown"]).out, page);
}

#[test]
fn the_file_of_a_run_is_commented_and_may_be_edited() {
    let bench = Bench::new();
    bench.ok(tiny_in("pix2pix", "run", &["max_steps=1", "generator.arch=unet", "num_downs=5"]));
    let file = bench.path("run/config.toml");
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains("# Learning rate of Adam. (a number above 0)\nlr = 0.0002\n"), "{text}");
    assert!(text.contains("\nnum_downs = 5\n") && !text.contains("\nn_blocks = "), "{text}");
    // The checkpoint has every key.
    assert_eq!(newest(&bench.path("run")).model["generator"]["n_blocks"], 9);
    fs::write(&file, text.replace("max_steps = 1\n", "max_steps = 2\n")).unwrap();
    bench.ok(resume("pix2pix", "run"));
    assert_eq!(newest(&bench.path("run")).step, 2);
    // A file of an older version: all keys, no comments. It is written anew.
    let full = toml::Table::try_from(&newest(&bench.path("run")).model).unwrap();
    fs::write(&file, full.to_string().replace("max_steps = 2", "max_steps = 3")).unwrap();
    bench.ok(resume("pix2pix", "run"));
    assert_eq!(newest(&bench.path("run")).step, 3);
    assert_eq!(fs::read_to_string(&file).unwrap(), text.replace("max_steps = 1\n", "max_steps = 3\n"));
    fs::write(&file, text.replace("\nngf = 4\n", "\nngf = 5\n")).unwrap();
    bench.run(resume("pix2pix", "run")).fails(4, &["generator.ngf: 4 -> 5"]);
}

#[test]
fn a_dry_run_tells_and_writes_nothing() {
    let bench = Bench::new();
    fs::write(bench.path("my.toml"), "[loss]\nlambda_l1 = 7.0\n").unwrap();
    let mut args =
        tiny_in("pix2pix", "run", &["n_epochs=3", "n_epochs_decay=1", "max_dataset_size=2", "norm=instance"]);
    args.extend(["--config", "my.toml", "--preset", "demo", "--dry-run"].map(String::from));
    let ran = bench.ok(&args);
    assert!(
        ran.out.lines().any(|line| line.starts_with("train.beta1 = 0.5 ") && line.ends_with("# default")),
        "{}",
        ran.out
    );
    for said in [
        "loss.lambda_l1 = 7.0",
        "# my.toml:2:13",
        "# preset demo:",
        "# setting `n_epochs=3`",
        "# default",
        "parameters:  g ",
        "nothing was written",
    ] {
        assert!(ran.out.contains(said), "{said}: {}", ran.out);
    }
    assert!(ran.err.contains("setting `norm=instance` is for discriminator.norm and generator.norm"), "{}", ran.err);
    let json: Value = serde_json::from_str(&bench.ok(args.iter().map(String::as_str).chain(["--json"])).out).unwrap();
    assert_eq!(json["settings"]["loss.lambda_l1"], serde_json::json!({ "value": 7.0, "origin": "my.toml:2:13" }));
    assert_eq!(json["settings"]["train.beta1"]["origin"], "default");
    assert!(json["seconds_per_step"].as_f64().unwrap() > 0.0 && json["items"] == 2);
    let predicted = json["checkpoint_bytes"].as_u64().unwrap() as f64;
    assert!(!bench.path("run").exists());
    // The run itself, whose checkpoint is about as large.
    bench.ok(args.iter().filter(|arg| *arg != "--dry-run"));
    let saved = newest(&bench.path("run"));
    assert_eq!(json["steps"], saved.step);
    let sizes =
        saved.tensors.iter().flat_map(|(_, tensors)| tensors).map(|(_, t)| t.elem_count() * t.dtype().size_in_bytes());
    let real = sizes.sum::<usize>() as f64;
    assert!((predicted / real - 1.0).abs() < 0.02, "{predicted} of {real}");
    bench.run(["train", "--out", "run", "--resume", "--dry-run"]).fails(2, &["--dry-run"]);
}

#[test]
fn a_key_of_both_networks_is_set_where_it_fits() {
    let bench = Bench::new();
    let ran = bench.ok(tiny_in("pix2pix", "run", &["max_steps=1", "arch=pixel"]));
    assert!(
        ran.err.contains("note: setting `arch=pixel` is for discriminator.arch; not for generator.arch"),
        "{}",
        ran.err
    );
}
