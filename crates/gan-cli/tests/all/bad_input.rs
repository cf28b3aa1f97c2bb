//! What is wrong is said in a sentence that names it and tells what to do, with the exit code of its kind.
#![allow(clippy::unwrap_used)]

use crate::support;

use image::{GrayImage, Luma, RgbImage};
use std::fs;
use std::path::Path;
use support::{Bench, Ran, assert_same_tensors, has_checkpoint, newest, resume, tiny_in, wait, wait_until};

/// Training on files in `data`.
fn train(bench: &Bench, method: &str, run: &str, more: &[&str]) -> Ran {
    let spec = gan_train::find(gan_train::METHODS, method).unwrap();
    let settings = spec.smoke_overrides.iter().chain(&["workers=0", "max_steps=2"]).chain(more);
    let settings = settings.flat_map(|s| ["--set", s]);
    bench.run(["train", method, "--data", "data", "--out", run].into_iter().chain(settings))
}

fn image(path: &Path, width: u32, height: u32) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    RgbImage::from_fn(width, height, |x, y| image::Rgb([x as u8, y as u8, 99])).save(path).unwrap();
}

/// A PNG that says it has `side` x `side` pixels; its header is sound.
fn announced(side: u32) -> Vec<u8> {
    let mut png = Vec::new();
    image::ImageEncoder::write_image(
        image::codecs::png::PngEncoder::new(&mut png),
        &[0; 3],
        1,
        1,
        image::ExtendedColorType::Rgb8,
    )
    .unwrap();
    png[16..20].copy_from_slice(&side.to_be_bytes());
    png[20..24].copy_from_slice(&side.to_be_bytes());
    let crc = crc32(&png[12..29]);
    png[29..33].copy_from_slice(&crc.to_be_bytes());
    png
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |c, _| if c & 1 == 1 { 0xEDB8_8320 ^ (c >> 1) } else { c >> 1 })
    })
}

#[test]
fn images_that_are_none() {
    let bench = Bench::new();
    image(&bench.path("data/train/a.png"), 64, 32);
    let bad = bench.path("data/train/b.png");
    for (content, words) in [
        (b"<html>not found</html>".to_vec(), ["b.png", ""]),
        (Vec::new(), ["b.png", "empty"]),
        (announced(65_535), ["b.png", "65535x65535"]),
        (fs::read(bench.path("data/train/a.png")).unwrap()[..60].to_vec(), ["b.png", ""]),
    ] {
        fs::write(&bad, content).unwrap();
        train(&bench, "pix2pix", "run", &[]).fails(3, &words);
        let _ = fs::remove_dir_all(bench.path("run"));
    }
}

#[test]
fn a_bad_image_does_not_cost_the_steps_before_it() {
    let bench = Bench::new();
    for name in ["a.png", "b.png", "c.png", "d.png"] {
        image(&bench.path("data/train").join(name), 64, 32);
    }
    fs::write(bench.path("data/train/d.png"), "<html>").unwrap();
    let settings = ["shuffle=false", "max_steps=6", "save_minutes=0"];
    train(&bench, "pix2pix", "run", &settings).fails(3, &["d.png", "not an image"]);
    assert_eq!(newest(&bench.path("run")).step, 3);
    image(&bench.path("data/train/d.png"), 64, 32);
    bench.ok(resume("pix2pix", "run"));
    assert_eq!(train(&bench, "pix2pix", "whole", &settings).code, Some(0));
    assert_same_tensors(&newest(&bench.path("run")), &newest(&bench.path("whole")));
}

#[test]
fn images_to_translate_that_are_none() {
    let bench = Bench::new();
    bench.ok(tiny_in("pix2pix", "run", &["max_steps=1"]));
    let translate = |input: &str| bench.run(["translate", "--model", "run", "--input", input, "--output", "out"]);
    fs::create_dir(bench.path("in")).unwrap();
    translate("in").fails(3, &["no images in", "in"]);
    translate("nowhere.png").fails(3, &["nowhere.png"]);
    fs::write(bench.path("in/page.jpg"), "<html>").unwrap();
    translate("in").fails(3, &["page.jpg"]);
    fs::write(bench.path("in/page.jpg"), announced(65_535)).unwrap();
    translate("in").fails(3, &["page.jpg", "65535x65535", "scale it down"]);
    image(&bench.path("in/page.png"), 8, 8);
    translate("in").fails(3, &["1 of 2 images in out; 1 failed", "page.jpg is 65535x65535"]);
    assert!(bench.path("out/page.png.png").is_file() && !bench.path("out/page.jpg.png").exists());
}

#[test]
fn folders_that_are_no_dataset() {
    let bench = Bench::new();
    train(&bench, "pix2pix", "run", &[]).fails(3, &["data"]);
    fs::create_dir(bench.path("data")).unwrap();
    train(&bench, "pix2pix", "run", &[]).fails(3, &["no usable dataset in data", "train"]);
    train(&bench, "cyclegan", "run", &[]).fails(3, &["no usable dataset in data", "trainA"]);
    train(&bench, "pix2pixhd", "run", &[]).fails(3, &["no usable dataset in data", "train_label"]);
    fs::create_dir(bench.path("data/train")).unwrap();
    train(&bench, "pix2pix", "run", &[]).fails(3, &["data/train"]);
    for name in ["trainA/one.png", "trainA/two.png", "trainB/one.png", "trainB/three.png"] {
        image(&bench.path("data").join(name), 40, 40);
    }
    fs::remove_dir(bench.path("data/train")).unwrap();
    train(&bench, "pix2pix", "run", &[]).fails(3, &["do not pair up", "two", "three", "trainA", "trainB"]);
    assert!(!bench.path("run").exists(), "refused runs leave nothing behind");
}

#[test]
fn labels_out_of_range() {
    let bench = Bench::new();
    for (folder, value) in [("train_label", 7u8), ("train_inst", 1)] {
        let path = bench.path("data").join(folder).join("s.png");
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        GrayImage::from_fn(64, 64, |x, y| Luma([if (x, y) == (3, 2) { value } else { 0 }])).save(path).unwrap();
    }
    image(&bench.path("data/train_img/s.png"), 64, 64);
    let refused = train(&bench, "pix2pixhd", "run", &["label_nc=7"]);
    refused.fails(3, &["s.png", "label 7", "x=3, y=2", "raise label_nc"]);
    assert!(!bench.path("run").exists());
    let ran = train(&bench, "pix2pixhd", "run", &["label_nc=8"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
}

#[test]
fn settings_that_do_not_exist() {
    let bench = Bench::new();
    let run = |more: &[&str]| bench.run(tiny_in("pix2pix", "run", more));
    run(&["train.n_epoch=3"]).fails(4, &["n_epoch", "did you mean", "train.n_epochs"]);
    run(&["lambda_l2=3"]).fails(4, &["lambda_l2", "did you mean", "lambda_l1"]);
    run(&["arch=unet_512"]).fails(4, &["ambiguous", "generator.arch", "discriminator.arch"]);
    run(&["direction=BtoA"]).fails(4, &["unknown variant", "did you mean `b2a`?"]);
    run(&["generator.arch=unet256"]).fails(4, &["did you mean `unet_256`?"]);
    run(&["lr=fast"]).fails(4, &["lr=fast"]);
    run(&["lr=nan"]).fails(4, &["lr"]);
    fs::write(bench.path("my.toml"), "[train]\nlr = 1e-4\nn_epoch = 3\n").unwrap();
    let with_file = |file: &str| bench.run(["train", "pix2pix", "--out", "run", "--config", file]);
    with_file("my.toml").fails(4, &["my.toml:3:1", "did you mean", "train.n_epochs"]);
    with_file("missing.toml").fails(4, &["missing.toml"]);
    let preset = bench.run(["train", "pix2pix", "--out", "run", "--preset", "facade"]);
    preset.fails(4, &["did you mean `facades`", "edges2photo"]);
    assert!(!bench.path("run").exists());
}

#[test]
fn wrong_usage() {
    let bench = Bench::new();
    bench.run(["train", "pix2pixe", "--out", "run"]).fails(2, &["pix2pixe", "cyclegan"]);
    bench.run(["train", "pix2pix"]).fails(2, &["--out"]);
    bench.run(["trian"]).fails(2, &["train"]);
    bench.run(["train", "pix2pix", "--out", "run"]).fails(2, &["name the dataset with --data"]);
    bench.run(["train", "--out", "run"]).fails(2, &["METHOD"]);
    bench
        .run(tiny_in("pix2pix", "run", &[]).into_iter().chain(["--device".into(), "tpu".into()]))
        .fails(5, &["tpu", "cuda"]);
    // No machine has as many GPUs, and a build without CUDA has none.
    bench
        .run(tiny_in("pix2pix", "run", &[]).into_iter().chain(["--device".into(), "cuda:9999".into()]))
        .fails(5, &["cuda:9999", "--device cpu"]);
    let bf16 = bench.run(tiny_in("pix2pix", "run", &["precision=bf16"]));
    bf16.fails(4, &["bf16", "--device cuda", "precision=f32"]);
    assert!(!bench.path("run").exists());
    #[cfg(not(feature = "cuda"))]
    bench
        .run(tiny_in("pix2pix", "run", &[]).into_iter().chain(["--device".into(), "cuda".into()]))
        .fails(5, &["--device cpu"]);
}

#[test]
fn run_folders_that_cannot_be_used() {
    let bench = Bench::new();
    bench.ok(tiny_in("pix2pix", "run", &["max_steps=2"]));
    bench.run(tiny_in("pix2pix", "run", &[])).fails(4, &["run", "already contains a run", "resume"]);
    bench.run(resume("pix2pix", "nowhere")).fails(4, &["nowhere", "no run in it"]);
    bench.run(resume("cyclegan", "run")).fails(4, &["this run is pix2pix, not cyclegan"]);
    fs::create_dir(bench.path("photos")).unwrap();
    fs::write(bench.path("photos/holiday.jpg"), "x").unwrap();
    bench.run(tiny_in("pix2pix", "photos", &[])).fails(4, &["photos", "holiday.jpg", "choose another folder"]);
    bench.run(tiny_in("pix2pix", "photos/holiday.jpg", &[])).fails(1, &["holiday.jpg", "not taken"]);

    let wider = resume("pix2pix", "run").into_iter().chain(["--set", "ngf=8", "--set", "lr=1e-4"]);
    bench.run(wider).fails(4, &["generator.ngf: 4 -> 8", "start a new run", "train.lr"]);
    let longer = resume("pix2pix", "run").into_iter().chain(["--set", "max_steps=3", "--set", "lr=1e-4"]);
    bench.ok(longer);
    assert_eq!(newest(&bench.path("run")).step, 3);
}

#[test]
fn damaged_checkpoints() {
    let bench = Bench::new();
    bench.ok(tiny_in("pix2pix", "run", &["max_steps=4", "save_latest_freq=2"]));
    let weights = |step: u64| bench.path("run/checkpoints").join(step.to_string()).join("g.safetensors");
    let damage = |path: &Path| {
        let mut bytes = fs::read(path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(path, bytes).unwrap();
    };
    damage(&weights(4));
    let ran = bench.ok(resume("pix2pix", "run").into_iter().chain(["--set", "max_steps=3"]));
    assert!(ran.err.contains("from step 2") && ran.err.contains("4/g.safetensors"), "{}", ran.err);
    for step in [2, 3] {
        damage(&weights(step));
    }
    bench.run(resume("pix2pix", "run")).fails(4, &["3/g.safetensors", "2/g.safetensors", "restore one"]);
    let translate = ["translate", "--model", "run", "--input", "run/gallery/images", "--output", "out"];
    bench.run(translate).fails(4, &["g.safetensors"]);
    bench.run(["summary", "--model", "nowhere"]).fails(4, &["nowhere"]);
}

#[test]
fn second_trainer_is_told_who_trains() {
    let bench = Bench::new();
    let mut first = bench.command(tiny_in("pix2pix", "run", &["n_epochs=100000"])).spawn().unwrap();
    wait_until("the first step", || bench.path("run/gallery/index.html").exists());
    let pid = format!("process {}", first.id());
    bench.run(tiny_in("pix2pix", "run", &[])).fails(4, &["run", &pid, "choose another run folder"]);
    bench.run(resume("pix2pix", "run")).fails(4, &["run", &pid, "choose another run folder"]);
    assert!(first.try_wait().unwrap().is_none(), "the first one trains on");
    first.kill().unwrap();
    wait(&mut first);
    // The lock ends with its owner.
    bench.ok(resume("pix2pix", "run").into_iter().chain(["--set", "max_steps=1"]));
}

#[test]
fn missing_weights_of_the_perceptual_loss() {
    let bench = Bench::new();
    let elsewhere = bench.run(tiny_in("pix2pixhd", "run", &["perceptual=vgg19", "loss.vgg19=no/such.safetensors"]));
    elsewhere.fails(4, &["no/such.safetensors"]);
    let default = bench.run(tiny_in("pix2pixhd", "run", &["perceptual=vgg19"]));
    default.fails(4, &["data-dir", "vgg19", "gan-cli fetch vgg19", "loss.perceptual"]);
    assert!(!bench.path("run").exists());
}

#[test]
fn diverged_runs_end_and_keep_good_checkpoints() {
    let bench = Bench::new();
    for method in ["pix2pix", "cyclegan", "pix2pixhd"] {
        let every = ["lr=1e30", "save_latest_freq=1", "print_freq=1", "keep=0"];
        let ran = bench.run(tiny_in(method, method, &every));
        ran.fails(6, &["diverged", "not finite", "lower learning rate"]);
        if has_checkpoint(&bench.path(method)) {
            for (file, tensors) in newest(&bench.path(method)).tensors {
                for (name, tensor) in tensors {
                    let all = tensor.to_dtype(candle_core::DType::F64).unwrap().flatten_all().unwrap();
                    assert!(all.to_vec1::<f64>().unwrap().iter().all(|x| x.is_finite()), "{file}: {name}");
                }
            }
        }
    }
}

/// The weights leave the finite numbers in the last step: no later gradient shows it, the checkpoint is refused.
#[test]
fn diverged_in_the_last_step() {
    let bench = Bench::new();
    let ran = bench.run(tiny_in("cyclegan", "run", &["lr=1e39", "max_steps=1"]));
    ran.fails(6, &["diverged", "lower learning rate", "there is no checkpoint", "start anew"]);
    assert!(!has_checkpoint(&bench.path("run")));
}
