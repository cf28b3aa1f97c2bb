//! `evaluate` as a user meets it.
#![allow(clippy::unwrap_used)]
#![allow(clippy::disallowed_methods, reason = "images are made by another writer than the one under test")]

use crate::support;

use candle_core::{DType, Device, Tensor};
use candle_nn::{VarBuilder, VarMap};
use gan_metrics::networks::InceptionV3;
use gan_rng::{Key, Purpose};
use gan_weights::StateDict;
use image::{GrayImage, Luma, Rgb, RgbImage};
use serde_json::Value;
use std::fs;
use std::path::Path;
use support::{Bench, tiny_in};

/// An image without a pattern that any metric would take for flat.
fn scene(number: u32, width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        let at = |c: u32| (x * (3 + c) + y * (5 + number) + x * y / (7 + c) + 40 * c) % 200;
        Rgb([at(0), at(1), at(2)].map(|v| v as u8 + 20))
    })
}

/// Folders `fake` and `real` of `count` pairs, the fakes brighter by 5 levels, the last pair by 9.
pub(super) fn pairs(bench: &Bench, count: u32, width: u32, height: u32) {
    for folder in ["fake", "real"] {
        fs::create_dir_all(bench.path(folder)).unwrap();
    }
    for number in 0..count {
        let real = scene(number, width, height);
        let by = if number + 1 == count { 9 } else { 5 };
        let mut fake = real.clone();
        fake.pixels_mut().for_each(|p| p.0 = p.0.map(|v| v + by));
        real.save(bench.path(&format!("real/{number}.png"))).unwrap();
        fake.save(bench.path(&format!("fake/{number}.png"))).unwrap();
    }
}

const FOLDERS: [&str; 5] = ["evaluate", "--fake", "fake", "--real", "real"];

fn evaluate<'a>(more: &[&'a str]) -> Vec<&'a str> {
    FOLDERS.iter().chain(more).copied().collect()
}

pub(super) fn json(bench: &Bench, name: &str) -> Value {
    serde_json::from_str(&fs::read_to_string(bench.path(name)).unwrap()).unwrap()
}

fn value(report: &Value, metric: &str) -> f64 {
    report["metrics"][metric]["value"].as_f64().unwrap_or_else(|| panic!("no {metric}: {report}"))
}

#[test]
fn pairs_are_measured_and_what_is_left_out_is_said() {
    let bench = Bench::new();
    pairs(&bench, 4, 40, 30);
    let ran = bench.ok(evaluate(&["--json", "report.json"]));
    for words in ["L1", "PSNR", "SSIM", "95 % interval", "4 images"] {
        assert!(ran.out.contains(words), "{words} is missing in: {}", ran.out);
    }
    for words in [
        "no lpips",
        "no fid",
        "no kid",
        "no pr",
        "gan-cli fetch inception",
        "gan-cli fetch alexnet lpips_alex",
        "no ms-ssim",
        "161",
    ] {
        assert!(ran.err.contains(words), "{words} is missing in: {}", ran.err);
    }
    let report = json(&bench, "report.json");
    assert_eq!(value(&report, "L1"), 6.0);
    // The mean of the images' ratios, not the ratio of the mean error.
    let psnr = |level: f64| 20.0 * (255.0 / level).log10();
    assert!((value(&report, "PSNR") - (3.0 * psnr(5.0) + psnr(9.0)) / 4.0).abs() < 1e-9);
    assert!(value(&report, "SSIM") < 1.0 && value(&report, "SSIM") > 0.9, "{report}");
    assert_eq!(report["values"]["l1"], serde_json::json!([5.0, 5.0, 5.0, 9.0]));
    assert_eq!(report["pairs"], serde_json::json!(["0", "1", "2", "3"]));
    assert_eq!(report["metrics"]["L1"]["interval_95"][0], 5.0);
    assert_eq!((&report["fake"]["images"], &report["real"]["sizes"]["40x30"]), (&4.into(), &4.into()));
    assert_eq!(report["fake"]["formats"]["png"], 4);
    assert!(report["left_out"]["fid"].as_str().unwrap().contains("gan-cli fetch inception"));
    // One thread makes the same report; a seed moves the intervals alone.
    let mut one = bench.command(evaluate(&["--json", "one.json"]));
    assert!(one.env("RAYON_NUM_THREADS", "1").output().unwrap().status.success());
    assert_eq!(json(&bench, "one.json"), report);
    bench.ok(evaluate(&["--json", "seed.json", "--seed", "1"]));
    let other = json(&bench, "seed.json");
    assert_eq!(other["values"], report["values"]);
    assert_eq!((&other["seed"], &report["seed"]), (&1.into(), &0.into()));
}

#[test]
fn larger_images_have_a_multi_scale_similarity_and_equal_ones_no_finite_psnr() {
    let bench = Bench::new();
    pairs(&bench, 1, 170, 165);
    fs::copy(bench.path("real/0.png"), bench.path("fake/same.png")).unwrap();
    fs::copy(bench.path("real/0.png"), bench.path("real/same.png")).unwrap();
    let ran = bench.ok(evaluate(&["--metrics", "ms-ssim,psnr,l1", "--json", "report.json"]));
    let report = json(&bench, "report.json");
    assert_eq!(report["values"]["ms-ssim"][1], 1.0);
    assert!(report["values"]["ms-ssim"][0].as_f64().unwrap() < 1.0);
    assert!(ran.err.contains("1 of 2 pairs are equal") && ran.out.contains("inf"), "{ran:?}");
    assert_eq!(report["metrics"]["PSNR"]["value"], Value::Null);
    assert!(report["metrics"].get("SSIM").is_none(), "it was not asked for");
}

#[test]
fn what_was_asked_for_and_cannot_be_computed_fails_after_the_rest() {
    let bench = Bench::new();
    pairs(&bench, 2, 32, 32);
    let ran = bench.run(evaluate(&["--metrics", "l1,fid", "--json", "report.json"]));
    ran.fails(4, &["fid", "gan-cli fetch inception", "--weights-dir", "data-dir/weights/inception.pth"]);
    assert!(ran.out.contains("L1"), "{}", ran.out);
    assert_eq!(value(&json(&bench, "report.json"), "L1"), 7.0);
    bench.run(evaluate(&["--metrics", "lpips", "--lpips-net", "vgg"])).fails(4, &["gan-cli fetch vgg16 lpips_vgg"]);
    bench.run(evaluate(&["--metrics", "ms-ssim"])).fails(3, &["161", "32x32", "fake/0.png"]);
    bench.run(evaluate(&["--metrics", "sharpness"])).fails(2, &["sharpness"]);
}

#[test]
fn pairs_that_are_none_are_named() {
    let bench = Bench::new();
    pairs(&bench, 2, 32, 32);
    scene(7, 33, 32).save(bench.path("real/1.png")).unwrap();
    bench.run(evaluate(&[])).fails(3, &["fake/1.png is 32x32", "real/1.png 33x32"]);
    fs::rename(bench.path("real/1.png"), bench.path("real/other.png")).unwrap();
    bench.run(evaluate(&["--metrics", "l1"])).fails(3, &["only in the first: 1", "only in the second: other"]);
    // Without names there is nothing to compare; said, not hidden.
    let ran = bench.ok(evaluate(&[]));
    assert!(ran.err.contains("no l1: ") && ran.err.contains("only in the second: other"), "{}", ran.err);
    fs::write(bench.path("real/other.png"), "no image").unwrap();
    bench.run(evaluate(&[])).fails(3, &["real/other.png"]);
}

#[test]
fn grey_is_compared_with_grey_and_with_colour() {
    let bench = Bench::new();
    pairs(&bench, 1, 32, 32);
    GrayImage::from_pixel(32, 32, Luma([100])).save(bench.path("fake/0.png")).unwrap();
    RgbImage::from_pixel(32, 32, Rgb([110, 100, 70])).save(bench.path("real/0.png")).unwrap();
    bench.ok(evaluate(&["--metrics", "l1", "--json", "report.json"]));
    assert!((value(&json(&bench, "report.json"), "L1") - 40.0 / 3.0).abs() < 1e-12);
}

#[test]
fn nothing_is_written_among_the_images_and_nothing_is_its_own_truth() {
    let bench = Bench::new();
    pairs(&bench, 1, 32, 32);
    bench.run(evaluate(&["--json", "real/report.json"])).fails(2, &["real/report.json"]);
    bench.run(["evaluate", "--fake", "real", "--real", "real/../real"]).fails(2, &["both --fake and --real"]);
    bench.run(["evaluate", "--fake", "fake"]).fails(2, &["--real"]);
    bench.run(["evaluate"]).fails(2, &["--fake"]);
    fs::create_dir(bench.path("empty")).unwrap();
    bench.run(["evaluate", "--fake", "fake", "--real", "empty"]).fails(3, &["no images in empty"]);
    // A folder of results among the real images is no part of them.
    fs::rename(bench.path("fake"), bench.path("real/results")).unwrap();
    let ran = bench.ok(["evaluate", "--fake", "real/results", "--real", "real", "--metrics", "l1"]);
    assert!(ran.out.contains("real: 1 images"), "{}", ran.out);
}

#[test]
fn a_run_is_measured_on_its_held_out_images() {
    let bench = Bench::new();
    bench.ok(tiny_in("pix2pix", "run", &["max_steps=1"]));
    let model = ["evaluate", "--model", "run", "--limit", "3", "--metrics", "l1,ssim"];
    bench.ok(model.into_iter().chain(["--json", "run/report.json"]));
    let report = json(&bench, "run/report.json");
    assert_eq!((&report["fake"]["images"], &report["real"]["images"]), (&3.into(), &3.into()));
    assert!(value(&report, "L1") > 1.0 && value(&report, "SSIM") < 1.0, "{report}");
    bench.ok(model.into_iter().chain(["--json", "again.json"]));
    assert_eq!(json(&bench, "again.json"), report);
    bench.run(model.into_iter().chain(["--data", "elsewhere"])).fails(2, &["--data"]);
    bench.ok(model.into_iter().chain(["--checkpoint", "1", "--json", "chosen.json"]));
    assert_eq!(json(&bench, "chosen.json")["values"], report["values"]);
    bench.run(model.into_iter().chain(["--checkpoint", "7"])).fails(4, &["7", "1"]);
    bench.run(["evaluate", "--model", "nowhere"]).fails(4, &["nowhere"]);
}

/// The run's own translations in a folder have the same values.
#[test]
fn a_run_and_the_folder_of_its_translations_agree() {
    let bench = Bench::new();
    bench.synth("facades", "drawn", 32, 3, 2);
    let files = ["data.mode=aligned", "direction=b2a", "load_size=32", "crop_size=32", "max_steps=1"];
    bench.ok(tiny_in("pix2pix", "run", &files).into_iter().chain(["--data".into(), "drawn".into()]));
    bench.ok(["evaluate", "--model", "run", "--metrics", "l1,psnr,ssim", "--json", "model.json"]);
    // Halves of the pairs: B is the input.
    for folder in ["inputs", "real"] {
        fs::create_dir(bench.path(folder)).unwrap();
    }
    for entry in fs::read_dir(bench.path("drawn/test")).unwrap() {
        let path = entry.unwrap().path();
        let (pair, name) = (image::open(&path).unwrap(), path.file_name().unwrap().to_owned());
        pair.crop_imm(0, 0, 32, 32).save(bench.path("real").join(&name)).unwrap();
        pair.crop_imm(32, 0, 32, 32).save(bench.path("inputs").join(&name)).unwrap();
    }
    bench.ok(["translate", "--model", "run", "--input", "inputs", "--output", "fake"]);
    bench.ok(evaluate(&["--metrics", "l1,psnr,ssim", "--json", "folders.json"]));
    assert_eq!(json(&bench, "model.json")["values"], json(&bench, "folders.json")["values"]);
    bench.run(evaluate(&["--checkpoint", "best"])).fails(2, &["--checkpoint is for runs"]);
}

#[test]
fn unrelated_sets_have_no_pairs() {
    let bench = Bench::new();
    bench.synth("unpaired", "drawn", 32, 2, 1);
    let files = ["data.mode=unaligned", "load_size=32", "crop_size=32", "max_steps=1"];
    bench.ok(tiny_in("cyclegan", "run", &files).into_iter().chain(["--data".into(), "drawn".into()]));
    bench.run(["evaluate", "--model", "run", "--metrics", "l1"]).fails(2, &["has no pairs", "--metrics fid,kid,pr"]);
}

/// A weight file of the Inception network whose values are drawn.
pub(super) fn write_inception(path: &Path) {
    let names = VarMap::new();
    InceptionV3::build(VarBuilder::from_varmap(&names, DType::F32, &Device::Cpu)).unwrap();
    let mut shapes: Vec<_> = names.data().lock().unwrap().iter().map(|(k, v)| (k.clone(), v.dims().to_vec())).collect();
    shapes.sort();
    let mut state = StateDict::default();
    for (name, shape) in shapes {
        let mut values = vec![1f32; shape.iter().product()];
        if shape.len() > 1 {
            Key::new(1, Purpose::Test).at_name(&name).fill_normal(0, &mut values);
            let scale = (2.0 / shape[1..].iter().product::<usize>() as f32).sqrt();
            values.iter_mut().for_each(|v| *v *= scale);
        } else if !name.ends_with("running_var") && !name.ends_with("weight") {
            values.fill(0.0);
        }
        state.push(name, Tensor::from_vec(values, shape, &Device::Cpu).unwrap());
    }
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    gan_weights::pth::write(path, &state).unwrap();
}

#[test]
fn sets_are_measured_and_their_features_kept() {
    let bench = Bench::new();
    pairs(&bench, 4, 24, 20);
    scene(9, 24, 20).save(bench.path("real/a.jpg")).unwrap();
    write_inception(&bench.path("data-dir/weights/inception.pth"));
    let sets = ["--metrics", "fid,kid,pr"];
    bench.run(evaluate(&sets)).fails(4, &["inception.pth", "6726825d", "--allow-other-weights"]);
    let accepted: Vec<&str> = sets.into_iter().chain(["--allow-other-weights"]).collect();
    let report = |name: &'static str, more: &[&str]| {
        let all: Vec<&str> = accepted.iter().chain(more).copied().chain(["--json", name]).collect();
        let ran = bench.ok(evaluate(&all));
        (json(&bench, name), ran)
    };
    let (first, ran) = report("first.json", &[]);
    for words in ["FID of 4 images: below 2048", "1 of 5 images are JPEG", "no others"] {
        assert!(ran.err.contains(words), "{words} is missing in: {}", ran.err);
    }
    assert_eq!(first["protocol"]["features_computed"], 9);
    assert_eq!(first["protocol"]["name"], "clean");
    assert!(value(&first, "FID") > 0.0 && first["metrics"]["KID"]["interval_95"].is_null(), "{first}");
    assert!((0.0..=1.0).contains(&value(&first, "recall")) && (0.0..=1.0).contains(&value(&first, "precision")));
    // Nothing is computed twice, under whatever name a file lies.
    fs::rename(bench.path("real/0.png"), bench.path("real/renamed.png")).unwrap();
    let (mut second, _) = report("second.json", &[]);
    assert_eq!(second["protocol"]["features_computed"], 0);
    let again: Vec<&str> = accepted.iter().copied().chain(["--json", "one.json"]).collect();
    let one = bench.command(evaluate(&again)).env("RAYON_NUM_THREADS", "1").output().unwrap();
    assert!(one.status.success());
    assert_eq!(json(&bench, "one.json"), second, "on one thread");
    second["protocol"]["features_computed"] = 9.into();
    assert_eq!(second["protocol"], first["protocol"]);
    // In another order of the images, sums differ in their last bits.
    assert!((value(&second, "FID") - value(&first, "FID")).abs() < 1e-9 * value(&first, "FID"));
    // Another protocol has features of its own, and another score.
    let (other, _) = report("other.json", &["--protocol", "pytorch"]);
    assert_eq!(other["protocol"]["features_computed"], 9);
    assert_ne!(value(&other, "FID"), value(&first, "FID"));
}

/// CUT on unpaired images has no metric but KID, whose network is a file.
#[test]
fn a_run_is_validated_by_its_sets() {
    let bench = Bench::new();
    bench.synth("unpaired", "drawn", 32, 2, 2);
    let settings =
        ["data.mode=unaligned", "n_epochs=1", "n_epochs_decay=0", "validation.every=1", "validation.split=test"];
    let train = |run: &str, more: &[&str]| {
        let all: Vec<&str> = settings.iter().chain(more).copied().collect();
        bench.run(tiny_in("cut", run, &all).into_iter().chain(["--data".into(), "drawn".into()]))
    };
    train("none", &[]).fails(4, &["inception.pth", "gan-cli fetch inception", "validation.weights=DIR"]);
    write_inception(&bench.path("weights/inception.pth"));
    train("other", &["validation.weights=weights"]).fails(4, &["6726825d", "validation.other_weights=true"]);
    assert!(!bench.path("other").exists(), "what cannot be measured is refused before the run folder exists");
    let ran = train("run", &["validation.weights=weights", "validation.other_weights=true"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.err.contains("validation after epoch 1, step 2: kid "), "{}", ran.err);
    assert_eq!(fs::read_to_string(bench.path("run/checkpoints/best")).unwrap(), "2\n");
}
