//! The dataset commands lose no image without a word, never write onto what they read, and see what training refuses.
#![allow(clippy::unwrap_used)]

use crate::support;

use gan_data::{DecodeOptions, IdMap, Image, Raster, decode, image_files, write_ids, write_image};
use std::fs;
use std::path::Path;
use support::{Bench, Ran};

/// Something like a photograph of this size: it goes on from left to right.
fn photo(path: &Path, width: usize, height: usize) {
    let wave = |x: usize, y: usize| ((x as f64 * 0.11).sin() + (y as f64 * 0.3).cos()) * 60.0 + 128.0;
    let raster = Raster::from_fn(width, height, |x, y| [wave(x, y) as u8, wave(y, x) as u8, wave(x + y, y) as u8]);
    write_image(path, &Image::U8(raster)).unwrap();
}

/// What the command said, whatever stream it used, and that it succeeded.
fn said(ran: &Ran) -> String {
    assert_eq!(ran.code, Some(0), "{ran:?}");
    format!("{}{}", ran.out, ran.err)
}

#[test]
fn every_dataset_command_names_what_it_leaves_out() {
    let bench = Bench::new();
    for side in ["A", "B"] {
        photo(&bench.path(side).join("x.png"), 24, 16);
        fs::write(bench.path(side).join("film.avif"), "\0\0\0\x1cftypavif").unwrap();
        fs::write(bench.path(side).join("notes.txt"), "").unwrap();
    }
    for args in [
        &["pairs", "A", "--out", "p/train"][..],
        &["combine", "A", "B", "--out", "c"],
        &["split", "A", "--out", "s"],
        &["inspect", "A"],
        &["inspect", "A", "--mode", "colorization"],
    ] {
        let text = said(&bench.run([&["dataset"], args].concat()));
        assert!(text.contains("1 file was left out: 1 .avif (format not supported)"), "{args:?}: {text}");
    }
}

#[test]
fn outputs_and_inputs_stay_apart() {
    let bench = Bench::new();
    for name in ["A/x.png", "A/y.jpg", "B/x.png", "B/y.jpg"] {
        photo(&bench.path(name), 24, 16);
    }
    let before = fs::read(bench.path("A/x.png")).unwrap();
    for args in [
        &["pairs", "A", "--out", "A"][..],
        &["pairs", "A", "--out", "B/../A/."],
        &["combine", "A", "B", "--out", "B"],
        &["split", "A", "--out", "A"],
        &["pairs", "A", "--out", "B"],
        &["synth", "facades", "--out", "A", "--size", "32", "--count", "1", "--test", "0"],
    ] {
        bench.run([&["dataset"], args].concat()).fails(2, &["cannot write to", "name another folder"]);
    }
    assert_eq!(fs::read(bench.path("A/x.png")).unwrap(), before);
    // Below the input: left out, in the first call and in the second.
    for _ in 0..2 {
        said(&bench.run(["dataset", "pairs", "A", "--out", "A/made"]));
        assert_eq!(image_files(&bench.path("A/made")).unwrap().len(), 2);
    }
    let text = said(&bench.run(["dataset", "split", "A", "--out", "A/parts", "--test", "0.25"]));
    assert!(text.contains("3 train") && text.contains("1 test"), "{text}");
    // Another choice would leave files of both in the parts.
    bench.run(["dataset", "split", "A", "--out", "A/parts", "--seed", "7"]).fails(2, &["would not write"]);
    bench.run(["dataset", "pairs", "A", "--out", "q", "--kind", "mosaic", "--amount", "2.5"]).fails(2, &["--amount"]);
    bench.run(["dataset", "split", "A", "--out", "q", "--test", "1.5"]).fails(2, &["no fraction below 1"]);
    assert!(!bench.path("q").exists());
}

#[test]
fn pairs_keep_every_photograph_and_go_on_after_a_bad_one() {
    let bench = Bench::new();
    for name in ["x.jpg", "x.webp", "y.png"] {
        photo(&bench.path("photos").join(name), 24, 16);
    }
    said(&bench.run(["dataset", "pairs", "photos", "--out", "out"]));
    let names: Vec<_> = image_files(&bench.path("out")).unwrap().iter().map(|file| file.name()).collect();
    assert_eq!(names, ["x.jpg", "x.webp", "y"]);
    fs::write(bench.path("photos/torn.png"), "no image").unwrap();
    bench.run(["dataset", "pairs", "photos", "--out", "out"]).fails(3, &["3 of 4 are done", "torn.png"]);
    assert_eq!(image_files(&bench.path("out")).unwrap().len(), 3);
}

#[test]
fn inspect_says_what_a_folder_is_good_for() {
    let bench = Bench::new();
    bench.run(["dataset", "inspect", "nowhere"]).fails(3, &["there is no nowhere"]);
    assert!(!bench.run(["dataset", "inspect", "nowhere"]).err.contains("cannot be used as it is"));
    fs::create_dir(bench.path("photos")).unwrap();
    let ran = bench.run(["dataset", "inspect", "fotos"]);
    assert_eq!(ran.err.trim(), "error: there is no fotos; did you mean photos?");
    bench.run(["dataset", "inspect", "else"]).fails(3, &["the folders in . are photos"]);
    // Unpaired names.
    photo(&bench.path("ab/A/1.png"), 300, 300);
    photo(&bench.path("ab/B/one.png"), 300, 300);
    let text = said(&bench.run(["dataset", "inspect", "ab"]));
    assert!(text.contains("two collections of images without pairs") && text.contains("✓ cyclegan"), "{text}");
    assert!(text.contains("gan-cli train cyclegan --data ab --out runs/ab-cyclegan"), "{text}");
    assert!(text.contains("✗ pix2pix: it needs pairs"), "{text}");
    // Some names match: the others are errors, with the other reading named.
    photo(&bench.path("ab/B/1.png"), 300, 300);
    let ran = bench.run(["dataset", "inspect", "ab"]);
    ran.fails(3, &["1 problem"]);
    assert!(ran.out.contains("no file of this name in ab/A") && ran.out.contains("CycleGAN"), "{ran:?}");
    // Plain photographs, by themselves and as the training part.
    for i in 0..3 {
        photo(&bench.path("flat").join(format!("{i}.png")), 300, 200);
        photo(&bench.path("set/train").join(format!("{i}.png")), 300, 200);
    }
    let text = said(&bench.run(["dataset", "inspect", "flat"]));
    assert!(text.contains("dataset pairs flat") && text.contains("✓ pix2pix: photographs, whose lightness"), "{text}");
    assert!(
        text.contains("✗ cyclegan: it needs two folders of images, A and B") && text.contains("--preset colorization"),
        "{text}"
    );
    let text = said(&bench.run(["dataset", "inspect", "set"]));
    assert!(text.contains("plain photographs"), "{text}");
    // Pairs drawn by the program are not doubted.
    bench.synth("facades", "pairs", 64, 8, 0);
    assert!(said(&bench.run(["dataset", "inspect", "pairs"])).contains("no problems"));
}

#[test]
fn problems_of_one_kind_share_a_line_and_json_has_all() {
    let bench = Bench::new();
    for i in 0..12 {
        let ids = IdMap::new(Raster::new(8, 8, 1, vec![i + 30; 64]));
        write_ids(&bench.path("hd/train_label").join(format!("{i}.png")), &ids).unwrap();
        photo(&bench.path("hd/train_img").join(format!("{i}.png")), 8, 8);
    }
    let args = ["dataset", "inspect", "hd", "--set", "instances=false", "--set", "label_nc=30"];
    let ran = bench.run(args);
    ran.fails(3, &["12 problems"]);
    let errors: Vec<_> = ran.out.lines().filter(|line| line.starts_with("error")).collect();
    assert_eq!(errors.len(), 1, "{ran:?}");
    assert!(errors[0].contains("12 files") && errors[0].contains("label_nc = 42") && errors[0].contains("and 2 more"));
    let json: serde_json::Value = serde_json::from_str(&bench.run([&args[..], &["--json"]].concat()).out).unwrap();
    assert_eq!(json["problems"].as_array().unwrap().len(), 12);
    said(&bench.run(["dataset", "inspect", "hd", "--set", "instances=false", "--set", "label_nc=42"]));
}

#[cfg(target_os = "linux")]
#[test]
fn odd_names_and_odd_files_are_no_obstacle() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let bench = Bench::new();
    // Two names that are the same text, and are not the same.
    for name in [b"\xff.png", b"\xfe.png"] {
        photo(&bench.path("odd").join(OsStr::from_bytes(name)), 24, 16);
    }
    let status = std::process::Command::new("mkfifo").arg(bench.path("odd/pipe.png")).status().unwrap();
    assert!(status.success());
    let text = said(&bench.run(["dataset", "pairs", "odd", "--out", "out"]));
    assert!(text.contains("1 named pipe (pipe.png)"), "{text}");
    for name in [b"\xff.png", b"\xfe.png"] {
        assert!(bench.path("out").join(OsStr::from_bytes(name)).exists());
    }
    let text = said(&bench.run(["dataset", "inspect", "odd", "--json"]));
    assert!(text.contains("pipe.png"), "{text}");
    bench.run(["dataset", "inspect", "odd/pipe.png"]).fails(3, &["1 problem"]);
}

#[test]
fn names_of_another_unicode_form_are_partners() {
    let bench = Bench::new();
    photo(&bench.path("A/caf\u{e9}.png"), 24, 16);
    photo(&bench.path("B/cafe\u{301}.png"), 24, 16);
    let text = said(&bench.run(["dataset", "combine", "A", "B", "--out", "AB"]));
    assert!(text.contains("1 pair in AB"), "{text}");
}

#[test]
fn pairs_have_the_size_and_the_sides_that_are_asked_for() {
    let bench = Bench::new();
    photo(&bench.path("photos/wide.png"), 64, 24);
    photo(&bench.path("photos/tall.png"), 20, 48);
    let sides = |out: &str, args: &[&str]| {
        said(&bench.run([&["dataset", "pairs", "photos", "--out", out], args].concat()));
        let pair = decode(&bench.path(out).join("wide.png"), &DecodeOptions::default()).unwrap();
        let (width, height) = pair.size();
        let Image::U8(pixels) = pair else { panic!("another depth") };
        let grey = |x: usize| (0..height).all(|y| pixels.pixel(x, y).iter().all(|&s| s == pixels.pixel(x, y)[0]));
        ((width, height), (0..width / 2).all(grey), (width / 2..width).all(grey))
    };
    assert_eq!(sides("a", &["--kind", "grey"]), ((128, 24), true, false));
    assert_eq!(sides("b", &["--kind", "grey", "--size", "32"]), ((64, 32), true, false));
    assert_eq!(sides("c", &["--kind", "grey", "--left", "photo", "--size", "20x10"]), ((40, 10), false, true));
    assert_eq!(sides("d", &["--left", "grey", "--right", "edges"]), ((128, 24), true, true));
    assert_eq!(sides("e", &["--right", "grey"]), ((128, 24), false, true));
    let tall = decode(&bench.path("b/tall.png"), &DecodeOptions::default()).unwrap();
    assert_eq!(tall.size(), (64, 32), "all pairs have one size");
    for args in [&["--left", "photo", "--kind", "photo"][..], &["--left", "grey", "--right", "grey"]] {
        bench.run([&["dataset", "pairs", "photos", "--out", "q"], args].concat()).fails(2, &["the same", "--left"]);
    }
    let three = ["--left", "grey", "--right", "blur", "--kind", "edges"];
    bench.run([&["dataset", "pairs", "photos", "--out", "q"], &three[..]].concat()).fails(2, &["leave --kind out"]);
    bench.run(["dataset", "pairs", "photos", "--out", "q", "--size", "0"]).fails(2, &["--size"]);
    assert!(!bench.path("q").exists());
}

#[test]
fn a_split_by_numbers_has_these_numbers() {
    let bench = Bench::new();
    for i in 0..7 {
        photo(&bench.path("all").join(format!("{i}.png")), 8, 8);
    }
    let split = |args: &[&str]| bench.run([&["dataset", "split", "all"], args].concat());
    let text = said(&split(&["--out", "parts", "--count", "--val", "2", "--test", "1"]));
    assert!(text.contains("4 train, 2 val, 1 test"), "{text}");
    assert_eq!(image_files(&bench.path("parts/val")).unwrap().len(), 2);
    let text = said(&split(&["--out", "more", "--count", "--val", "2"]));
    assert!(text.contains("5 train, 2 val, 0 test"), "what is not named is none: {text}");
    split(&["--out", "q", "--test", "2"]).fails(2, &["--test 2 is no fraction", "add --count"]);
    split(&["--out", "q", "--count", "--test", "0.5"]).fails(2, &["no number of images", "leave --count out"]);
    split(&["--out", "q", "--count", "--test", "7"]).fails(2, &["nothing to train on of 7 images"]);
    split(&["--out", "q", "--count"]).fails(2, &["--val and --test"]);
    assert!(!bench.path("q").exists());
}
