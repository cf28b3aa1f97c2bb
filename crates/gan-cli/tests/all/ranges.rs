//! Numbers and sizes that cannot be are refused before anything is built, allocated or written.
#![allow(clippy::unwrap_used)]

use crate::support;

use gan_train::checkpoint::{self, Snapshot};
use gan_train::storage::Disk;
use image::RgbImage;
use std::fs;
use std::time::{Duration, Instant};
use support::{Bench, newest, tiny, tiny_in};

/// Longest that a refusal may take: nothing is built for it. (Builds for tests are slow, and so are busy machines.)
const AT_ONCE: Duration = Duration::from_secs(20);

#[test]
fn absurd_numbers_end_no_run_and_begin_none() {
    let bench = Bench::new();
    let started = Instant::now();
    for setting in [
        "save_minutes=1e300",
        "save_minutes=-1",
        "load_size=1000000000000000000",
        "load_size=1000000",
        "crop_size=0",
        "batch_size=1000000000000000000",
        "multiple=0",
        "lr=0",
        "beta1=1",
        "lr_decay_iters=0",
        "max_dataset_size=1000000000000000000",
        "workers=100000",
        "pool_size=1000000000000",
        "generator.ngf=1000000000000000000",
        "generator.ngf=0",
        "generator.output_nc=1000000000000000000",
        "generator.n_blocks=1000000",
        "generator.num_downs=1000000",
        "generator.init_gain=-0.0",
        "discriminator.num_d=0",
        "lambda_l1=-3",
    ] {
        let (key, value) = setting.split_once('=').unwrap();
        bench.run(tiny_in("pix2pix", "run", &[setting])).fails(4, &[setting, key, value, "out of range"]);
    }
    let wide = bench.run(tiny_in("pix2pix", "run", &["generator.arch=resnet_9blocks", "generator.ngf=4096"]));
    wide.fails(4, &["generator.ngf=4096", "parameters"]);
    for setting in ["label_nc=1000000000", "n_local_enhancers=9", "n_downsample_global=40"] {
        bench.run(tiny_in("pix2pixhd", "run", &[setting])).fails(4, &[setting, "out of range"]);
    }
    // In a file, with its place.
    fs::write(bench.path("my.toml"), "[train]\nlr = 1e-4\n\n[generator]\nn_blocks = 1_000_000\n").unwrap();
    let with_file = |file: &str| bench.run(["train", "pix2pix", "--out", "run", "--config", file, "--set", "lr=1e-3"]);
    with_file("my.toml").fails(4, &["my.toml:5:12", "`generator.n_blocks`: 1000000", "from 0 to 1024"]);
    // A table of another kind is not forgotten over a setting.
    fs::write(bench.path("list.toml"), "[[train]]\nlr = 0.01\n").unwrap();
    fs::write(bench.path("number.toml"), "train = 3\n").unwrap();
    with_file("list.toml").fails(4, &["list.toml:1:1", "`train` is a table"]);
    with_file("number.toml").fails(4, &["number.toml:1:9", "`train` is a table"]);
    assert!(!bench.path("run").exists());
    assert!(started.elapsed() < AT_ONCE, "{:?}", started.elapsed());
}

#[test]
fn absurd_numbers_of_a_checkpoint_are_refused() {
    let bench = Bench::new();
    bench.ok(tiny_in("pix2pix", "run", &["max_steps=1"]));
    for (key, value) in [("n_blocks", 1_000_000), ("num_downs", 1_000_000), ("ngf", 4096), ("n_local_enhancers", 60)] {
        let mut snapshot = newest(&bench.path("run"));
        snapshot.step = 1;
        let Snapshot { model, model_json, .. } = &mut snapshot;
        for generator in [&mut model["generator"], &mut model_json.as_mut().unwrap()["generators"][0]["config"]] {
            generator["arch"] = "resnet".into();
            generator[key] = value.into();
        }
        // As this version writes it, and as the first edition did.
        for folder in [format!("{key}-described"), key.to_owned()] {
            checkpoint::save(&Disk, &bench.path(&folder), &snapshot, 0).unwrap();
            snapshot.model_json = None;
            let started = Instant::now();
            bench.run(["summary", "--model", &folder]).fails(4, &[key, "generator", &value.to_string()]);
            let translate = ["translate", "--model", &folder, "--input", "run/gallery/images", "--output", "out"];
            bench.run(translate).fails(4, &[key, "generator", &value.to_string()]);
            assert!(started.elapsed() < AT_ONCE, "{folder}: {:?}", started.elapsed());
        }
    }
    assert!(!bench.path("out").exists());
}

/// Words of the operators' own errors.
const JARGON: [&str; 6] = ["conv2d", "conv_transpose", "kernel", "shape mismatch", "reflection", "dim "];

#[test]
fn sizes_that_do_not_suit_the_networks_are_refused_before_the_run() {
    let bench = Bench::new();
    let unet: &[&str] = &["generator.arch=unet_256"];
    let resnet: &[&str] = &["generator.arch=resnet_6blocks"];
    for (method, base, settings, words) in [
        ("pix2pix", unet, &["load_size=143", "crop_size=128"][..], &["unet_256", "crop_size is 128", "unet_128"][..]),
        ("pix2pix", resnet, &["crop_size=30"], &["resnet_6blocks", "multiples of 4", "data.crop_size = 32"]),
        ("pix2pix", &[], &["load_size=48", "crop_size=48"], &["num_downs = 5", "multiples of 32"]),
        ("pix2pix", &[], &["n_epochs=0", "n_epochs_decay=0"], &["n_epochs", "nothing to train"]),
        ("pix2pix", &[], &["discriminator.arch=n_layers", "n_layers_d=8"], &["n_layers_d = 8", "sides of"]),
        ("cyclegan", &[], &["load_size=8", "crop_size=8"], &["basic discriminator", "sides of 24 or more"]),
        ("cyclegan", &[], &["load_size=4", "crop_size=4"], &["2 contradictions", "from 8 on"]),
        ("cyclegan", &[], &["generator.input_nc=1"], &["identity loss", "loss.lambda_identity = 0"]),
        ("pix2pixhd", &[], &["crop_size=30"], &["local", "multiples of 8"]),
        ("pix2pixhd", &[], &["data.instances=false"], &["2 contradictions", "data.instances = true"]),
    ] {
        let settings: Vec<&str> = base.iter().chain(settings).copied().collect();
        let ran = bench.run(tiny_in(method, "run", &settings));
        ran.fails(4, words);
        assert!(!JARGON.iter().any(|word| ran.err.contains(word)), "{}", ran.err);
        assert!(!bench.path("run").exists(), "{settings:?}");
    }
    // What is proposed works.
    bench.ok(tiny_in("pix2pix", "run", &["generator.arch=resnet_6blocks", "data.crop_size = 32", "max_steps=1"]));
}

#[test]
fn small_images_are_found_before_the_run() {
    let bench = Bench::new();
    for (name, width, height) in [("a.png", 128, 64), ("b.png", 40, 20), ("c.png", 128, 64)] {
        fs::create_dir_all(bench.path("data/train")).unwrap();
        RgbImage::from_fn(width, height, |x, y| image::Rgb([x as u8, y as u8, 9]))
            .save(bench.path("data/train").join(name))
            .unwrap();
    }
    let run = |more: &[&str]| {
        let mut args =
            tiny("pix2pix", &["data.mode=aligned", "generator.arch=resnet", "n_blocks=1", "preprocess=none"]);
        args.extend(more.iter().flat_map(|setting| ["--set".to_owned(), (*setting).to_owned()]));
        args.extend(["--data", "data", "--out", "run"].map(String::from));
        bench.run(args)
    };
    let small = run(&["max_steps=3"]);
    small.fails(3, &["1 of 3 images", "data/train/b.png comes out as 20x20", "basic discriminator takes sides of 24"]);
    assert!(!bench.path("run").exists());
    // Images of several sizes make no batch.
    let ragged = run(&["batch_size=2", "discriminator.arch=pixel"]);
    ragged.fails(3, &["a.png comes out as 64x64", "b.png as 20x20", "batch_size = 1"]);
    assert!(!bench.path("run").exists());
    let ran = run(&["max_steps=3", "discriminator.arch=pixel"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
}

#[test]
fn absurd_sizes_on_the_command_line_are_refused() {
    let bench = Bench::new();
    let huge = "1000000000000000000";
    let synth = |size: &str, count: &str| {
        bench.run(["dataset", "synth", "facades", "--out", "drawn", "--size", size, "--count", count, "--test", "1"])
    };
    synth(huge, "1").fails(4, &["size", huge, "out of range"]);
    synth("0", "1").fails(4, &["size", "out of range"]);
    synth("16", "18446744073709551615").fails(4, &["train", "out of range"]);
    assert!(!bench.path("drawn").exists());
    for size in [huge, "0"] {
        bench.run(["bench", "--case", "infer-unet256", "--size", size, size]).fails(2, &["--size", size]);
    }
    bench
        .run(["bench", "--case", "infer-unet256", "--size", "16", "16"])
        .fails(2, &["--size 16 16", "multiples of 32"]);
    bench.ok(tiny_in("pix2pix", "run", &["max_steps=1"]));
    let summary = |size: &str| bench.run(["summary", "--model", "run", "--size", size, size]);
    summary(huge).fails(2, &["--size", huge]);
    summary("48").fails(2, &["--size 48 48", "sides that are multiples of 32"]);
    let photos = bench.synth("unpaired", "photos", 32, 1, 0).join("trainA");
    for amount in ["1e30", "nan", "0"] {
        for kind in ["blur", "mosaic"] {
            let ran = bench.run([
                "dataset",
                "pairs",
                photos.to_str().unwrap(),
                "--out",
                "pairs",
                "--kind",
                kind,
                "--amount",
                amount,
            ]);
            ran.fails(2, &["size"]);
        }
    }
    let crop = ["translate", "--model", "run", "--input", "run/gallery/images", "--output", "out"];
    let crop = crop.into_iter().chain(["--preprocess", "crop", "--crop-size", huge]);
    bench.run(crop).fails(4, &[huge, "out of range"]);
}
