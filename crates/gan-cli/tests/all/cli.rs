//! The commands as a user meets them.
#![allow(clippy::unwrap_used)]
#![allow(clippy::disallowed_methods, reason = "images are judged by another reader than the one under test")]

use crate::support;

use image::{DynamicImage, ImageBuffer, Rgb, RgbImage};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use support::{Bench, newest, tiny_in};

/// Every file below a folder, as paths within it.
fn files(folder: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut pending = vec![folder.to_path_buf()];
    while let Some(current) = pending.pop() {
        for entry in fs::read_dir(current).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            if path.is_dir() {
                pending.push(path);
            } else {
                found.insert(path.strip_prefix(folder).unwrap().display().to_string());
            }
        }
    }
    found
}

fn pattern(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| Rgb([(x * 7) as u8, (y * 5) as u8, (x * y) as u8]))
}

#[test]
fn help_knows_every_method_and_the_exit_codes() {
    let bench = Bench::new();
    let help = bench.ok(["train", "--help"]).out;
    for method in gan_train::METHODS {
        assert!(help.contains(method.name), "{} is missing in: {help}", method.name);
        let about = method.about.split_whitespace().next().unwrap();
        assert!(help.contains(about), "{about} is missing in: {help}");
    }
    for words in
        ["--preset", "pairs", "Your own pairs", "facades", "direction b2a", "horse2zebra", "512p", "--direction"]
    {
        assert!(help.contains(words), "{words} is missing in: {help}");
    }
    let help = bench.ok(["--help"]).out;
    for words in ["demo", "train", "translate", "summary", "dataset", "completions", "130 interrupted", "6 diverged"] {
        assert!(help.contains(words), "{words} is missing in: {help}");
    }
    assert!(bench.ok(["--version"]).out.contains(env!("CARGO_PKG_VERSION")));
    for command in ["demo", "train", "translate", "summary", "dataset", "completions"] {
        let help = bench.ok([command, "--help"]).out;
        assert!(help.contains("Usage: gan-cli"), "{help}");
    }
}

#[test]
fn completions_name_the_commands() {
    let bench = Bench::new();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = bench.ok(["completions", shell]).out;
        for word in ["gan-cli", "translate", "resume"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
        // These shells complete values, too.
        let values = ["bash", "zsh"].contains(&shell);
        assert!(!values || gan_train::METHODS.iter().all(|method| script.contains(method.name)), "{shell}");
    }
}

#[test]
fn synth_draws_what_training_reads() {
    let bench = Bench::new();
    let facades = bench.synth("facades", "facades", 48, 3, 2);
    let names: Vec<String> = (0..3).map(|i| format!("train/{i:05}.png")).collect();
    let mut expected: BTreeSet<String> = names.into_iter().collect();
    expected.extend((0..2).map(|i| format!("test/{i:05}.png")));
    assert_eq!(files(&facades), expected);
    assert_eq!(image::image_dimensions(facades.join("train/00000.png")).unwrap(), (96, 48));
    bench.synth("unpaired", "unpaired", 48, 3, 1);
    bench.synth("streets", "streets", 64, 2, 1);
    let again = bench.synth("facades", "again", 48, 3, 2);
    for name in files(&facades) {
        assert_eq!(fs::read(facades.join(&name)).unwrap(), fs::read(again.join(&name)).unwrap(), "{name}");
    }
    for (method, data, more) in [
        ("pix2pix", "facades", &["data.mode=aligned"][..]),
        ("cyclegan", "unpaired", &["data.mode=unaligned"]),
        ("pix2pixhd", "streets", &["data.mode=labelled"]),
    ] {
        let more: Vec<&str> = more.iter().copied().chain(["max_steps=2"]).collect();
        let mut args = tiny_in(method, method, &more);
        args.extend(["--data".into(), data.into()]);
        bench.ok(args);
        assert_eq!(newest(&bench.path(method)).step, 2);
    }
}

#[test]
fn run_folder_is_as_documented() {
    let bench = Bench::new();
    bench.ok(tiny_in("pix2pix", "run", &["max_steps=4", "save_latest_freq=2", "print_freq=2", "keep=1", "seed=5"]));
    let have = files(&bench.path("run"));
    for file in ["config.toml", "run.json", "events.jsonl", "gallery/index.html", "checkpoints/latest"] {
        assert!(have.contains(file), "{file} is missing: {have:?}");
    }
    for file in ["manifest.json", "g.safetensors", "d.safetensors", "optimizer.safetensors", "state.json"] {
        assert!(have.contains(&format!("checkpoints/4/{file}")), "{file} is missing: {have:?}");
    }
    assert!(!have.iter().any(|file| file.starts_with("checkpoints/2")), "keep=1: {have:?}");
    assert_eq!(fs::read_to_string(bench.path("run/checkpoints/latest")).unwrap(), "4\n");
    let info: serde_json::Value = serde_json::from_slice(&fs::read(bench.path("run/run.json")).unwrap()).unwrap();
    assert_eq!((&info["method"], &info["seed"], &info["device"]), (&"pix2pix".into(), &5.into(), &"cpu".into()));
    assert!(info["argv"].as_array().unwrap().iter().any(|arg| arg == "train"), "{info}");
    let events = fs::read_to_string(bench.path("run/events.jsonl")).unwrap();
    let events: Vec<serde_json::Value> = events.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let points: Vec<_> = events.iter().filter(|e| e["event"] == "progress").collect();
    assert_eq!(points.iter().map(|e| e["step"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 2, 4]);
    for point in points {
        for key in ["epoch", "lr", "images_per_s", "data_wait"] {
            assert!(point[key].is_number(), "{key}: {point}");
        }
        assert!(point["losses"].as_object().unwrap().values().all(|loss| loss.is_number()), "{point}");
    }
    // The written configuration gives the same run again.
    bench.ok(["train", "pix2pix", "--config", "run/config.toml", "--out", "twin"]);
    support::assert_same_tensors(&newest(&bench.path("twin")), &newest(&bench.path("run")));
}

#[test]
fn translation_keeps_names_sizes_and_depth() {
    let bench = Bench::new();
    bench.ok(tiny_in("pix2pix", "run", &["max_steps=1"]));
    let input = bench.path("in");
    fs::create_dir_all(input.join("deeper")).unwrap();
    for (name, width, height) in
        [("tiny.png", 1, 1), ("odd.jpg", 37, 53), ("deeper/wide.bmp", 130, 7), ("even.png", 64, 32)]
    {
        pattern(width, height).save(input.join(name)).unwrap();
    }
    let deep = ImageBuffer::from_fn(33, 35, |x, y| Rgb([(x * 1999) as u16, (y * 1777) as u16, 40_000u16]));
    DynamicImage::ImageRgb16(deep).save(input.join("deep.png")).unwrap();
    image::GrayImage::from_fn(20, 21, |x, _| image::Luma([x as u8 * 12])).save(input.join("grey.png")).unwrap();
    bench.ok(["translate", "--model", "run", "--input", "in", "--output", "out"]);
    let expected = ["deep.png", "deeper/wide.png", "even.png", "grey.png", "odd.png", "tiny.png"];
    assert_eq!(files(&bench.path("out")), expected.map(String::from).into());
    for name in files(&input) {
        let size = image::image_dimensions(input.join(&name)).unwrap();
        let output = bench.path("out").join(Path::new(&name).with_extension("png"));
        let output = image::open(output).unwrap();
        assert_eq!((output.width(), output.height()), size, "{name}");
        let deep = matches!(output, DynamicImage::ImageRgb16(_));
        assert_eq!(deep, name == "deep.png", "{name}: {:?}", output.color());
    }
    // Sixteen bits that carry more than eight would.
    let deep = image::open(bench.path("out/deep.png")).unwrap().to_rgb16();
    assert!(deep.as_raw().iter().any(|&level| level % 257 != 0));

    // One file to one file, in the format of its name, is the same image.
    bench.ok(["translate", "--model", "run", "--input", "in/even.png", "--output", "single.bmp"]);
    let (single, of_folder) = (image::open(bench.path("single.bmp")), image::open(bench.path("out/even.png")));
    assert_eq!(single.unwrap().to_rgb8(), of_folder.unwrap().to_rgb8());
    // Several files into a folder; a checkpoint folder as the model.
    let model = "run/checkpoints/1";
    bench.ok(["translate", "--model", model, "--input", "in/even.png", "in/odd.jpg", "--output", "two"]);
    assert_eq!(files(&bench.path("two")), ["even.png", "odd.png"].map(String::from).into());
    let same = |name: &str| fs::read(bench.path(name)).unwrap();
    assert_eq!(same("two/even.png"), same("out/even.png"));
}

#[test]
fn every_method_translates_what_it_was_trained_on() {
    let bench = Bench::new();
    bench.ok(tiny_in("cyclegan", "cycle", &["max_steps=2"]));
    fs::create_dir(bench.path("in")).unwrap();
    pattern(45, 31).save(bench.path("in/x.png")).unwrap();
    for direction in ["a2b", "b2a"] {
        bench.ok(["translate", "--model", "cycle", "--input", "in", "--output", direction, "--direction", direction]);
        assert_eq!(image::image_dimensions(bench.path(direction).join("x.png")).unwrap(), (45, 31));
    }
    let bytes = |folder: &str| fs::read(bench.path(folder).join("x.png")).unwrap();
    assert_ne!(bytes("a2b"), bytes("b2a"), "two generators");
    bench
        .run(["translate", "--model", "cycle", "--input", "in/x.png", "--output", "y.png", "--direction", "up"])
        .fails(2, &["a2b"]);

    let streets = bench.synth("streets", "streets", 70, 1, 1);
    bench.ok(tiny_in("pix2pixhd", "hd", &["max_steps=2"]));
    let labels = streets.join("test_label").display().to_string();
    let instances = streets.join("test_inst").display().to_string();
    let photo = fs::read_dir(streets.join("test_img")).unwrap().next().unwrap().unwrap().path().display().to_string();
    let hd = ["translate", "--model", "hd", "--input", &labels, "--output", "hd-out"];
    bench.run(hd).fails(4, &["--inst"]);
    bench.ok(hd.into_iter().chain(["--inst", &instances, "--encode", &photo]));
    let made = bench.path("hd-out").join(files(&bench.path("hd-out")).first().unwrap());
    assert_eq!(image::image_dimensions(made).unwrap(), (70, 70));
}

#[test]
fn summary_counts() {
    let bench = Bench::new();
    bench.ok(tiny_in("pix2pix", "run", &["max_steps=1"]));
    let text = bench.ok(["summary", "--model", "run", "--size", "64", "96"]).out;
    assert!(text.contains("64 x 96") && text.contains("parameters") && text.contains("GMAC"), "{text}");
    let total: usize = text.lines().last().unwrap().split(' ').next().unwrap().parse().unwrap();
    let weights = newest(&bench.path("run"));
    let buffers = ["running_mean", "running_var", "num_batches_tracked"];
    let is_parameter = |name: &str| !buffers.iter().any(|buffer| name.ends_with(buffer));
    let counted = weights.file("g").unwrap().iter().filter(|(name, _)| is_parameter(name));
    assert_eq!(total, counted.map(|(_, tensor)| tensor.elem_count()).sum::<usize>());
    let all = ["summary", "--model", "run", "--size", "64", "96", "--network", "all"];
    let text = bench.ok(all).out;
    assert!(text.starts_with("d:\n") && text.contains("\ng:\n") && text.contains("discriminator"), "{text}");
    let json: serde_json::Value = serde_json::from_str(&bench.ok(all.into_iter().chain(["--json"])).out).unwrap();
    let g = &json["networks"][1];
    assert_eq!((g["name"].as_str(), g["parameters"].as_u64()), (Some("g"), Some(total as u64)));
    let counted: u64 = g["layers"].as_array().unwrap().iter().map(|layer| layer["parameters"].as_u64().unwrap()).sum();
    assert_eq!(counted, total as u64);
}

#[test]
fn demo_ends_with_numbers_and_images() {
    let bench = Bench::new();
    let quick = [
        "max_steps=2",
        "max_dataset_size=8",
        "load_size=32",
        "crop_size=32",
        "generator.arch=unet",
        "num_downs=5",
        "ngf=4",
        "ndf=4",
    ];
    let settings = quick.iter().flat_map(|setting| ["--set", setting]);
    let ran = bench.ok(["demo"].into_iter().chain(settings.clone()));
    for words in
        ["L1", "PSNR", "dB", "SSIM", "the trained model", "baseline", "demo/held-out.png", "demo/gallery/index.html"]
    {
        assert!(ran.out.contains(words), "{words} is missing in: {}", ran.out);
    }
    // A row a scene: label map, model, truth.
    let sheet = image::open(bench.path("demo/held-out.png")).unwrap();
    assert_eq!(sheet.width() % 32, 0);
    assert_eq!(sheet.height() % 32, 0);
    assert!(sheet.width() >= 96 || sheet.height() >= 96, "{} x {}", sheet.width(), sheet.height());
    assert!(bench.path("demo/gallery/index.html").is_file());
    // The next demo gets a folder of its own.
    bench.ok(["demo"].into_iter().chain(settings));
    assert!(bench.path("demo-2/held-out.png").is_file());
}

#[test]
fn bench_times_steps_and_translations() {
    let bench = Bench::new();
    let small = ["--size", "32", "64", "--runs", "2", "--warmup", "0", "--json"];
    for (case, networks) in [("infer-resnet9", &[][..]), ("step-pix2pix", &["ngf=2", "ndf=2"])] {
        let settings = networks.iter().flat_map(|set| ["--set", set]);
        let out = bench.ok(["bench", "--case", case].into_iter().chain(small).chain(settings)).out;
        let report: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert_eq!((&report["case"], &report["runs"]), (&case.into(), &2.into()));
        let ms = |key: &str| report[key].as_f64().unwrap();
        assert!(0.0 < ms("min_ms") && ms("min_ms") <= ms("median_ms") && ms("median_ms") <= ms("max_ms"), "{report}");
        assert!(ms("min_ms") <= ms("mean_ms") && ms("mean_ms") <= ms("max_ms"), "{report}");
    }
    bench.run(["bench", "--case", "step-gan"]).fails(2, &["step-gan", "step-pix2pix"]);
}
