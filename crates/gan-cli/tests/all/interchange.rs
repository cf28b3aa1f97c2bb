//! Weights that PyTorch wrote, through the program: the same images, and back again bit by bit.
//!
//! The fixtures are made by `fixtures/make_interchange.py`.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)] // only images of its own making are opened

use gan_weights::{StateDict, read_any};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn fixture(name: &str) -> String {
    format!("{}/tests/fixtures/interchange/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn gan_cli(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_gan-cli")).args(args).output().unwrap()
}

fn messages(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[track_caller]
fn succeed(args: &[&str]) -> Output {
    let output = gan_cli(args);
    assert!(output.status.success(), "{args:?}: {}", messages(&output));
    output
}

/// Runs what must fail with this exit code, and returns what it says.
#[track_caller]
fn refused(code: i32, args: &[&str]) -> String {
    let output = gan_cli(args);
    assert_eq!(output.status.code(), Some(code), "{args:?}: {}", messages(&output));
    messages(&output)
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Folder(tempfile::tempdir().unwrap())
    }
    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
    fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }
}

#[allow(clippy::disallowed_methods)] // images that the test itself made
fn image(path: impl AsRef<Path>) -> image::RgbImage {
    image::open(path).unwrap().into_rgb8()
}

/// The largest difference of two images in grey levels.
fn difference(a: &image::RgbImage, b: &image::RgbImage) -> u8 {
    assert_eq!(a.dimensions(), b.dimensions());
    a.as_raw().iter().zip(b.as_raw()).map(|(a, b)| a.abs_diff(*b)).max().unwrap()
}

/// Translates and returns the image.
#[track_caller]
fn translated(args: &[&str]) -> image::RgbImage {
    let folder = Folder::new();
    let output = folder.text("out.png");
    succeed(&[&["translate", "--output", &output], args].concat());
    image(output)
}

/// Every fixture: PyTorch's image, and the arguments that make it.
fn cases() -> Vec<(&'static str, Vec<String>)> {
    let args = |model: &str, input: &str, more: &[&str]| {
        let mut args = vec!["--model".to_owned(), fixture(model), "--input".to_owned(), fixture(input)];
        args.extend(more.iter().map(|arg| (*arg).to_owned()));
        args
    };
    let instances = fixture("instances.png");
    vec![
        ("resnet.png", args("resnet.pth", "photo.png", &[])),
        ("resnet.png", args("resnet.pth", "photo.png", &["--arch", "resnet"])),
        ("unet.png", args("unet.pth", "photo.png", &[])),
        ("unet_eval.png", args("unet.pth", "photo.png", &["--eval"])),
        ("global.png", args("global.pth", "labels.png", &["--inst", &instances])),
        ("global.png", args("global.pth", "labels.png", &["--inst", &instances, "--label-nc", "4"])),
        ("local.png", args("training.pth", "labels.png", &["--entry", "netG", "--no-instance"])),
    ]
}

#[test]
fn images_are_those_of_pytorch() {
    for (expected, args) in cases() {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let ours = translated(&args);
        let worst = difference(&ours, &image(fixture(expected)));
        assert!(worst <= 1, "{args:?}: {worst} levels");
    }
    assert!(difference(&image(fixture("unet.png")), &image(fixture("unet_eval.png"))) > 20);
}

fn state(path: &str) -> StateDict {
    read_any(path).unwrap().state
}

/// The tensors' names, types, shapes and bits.
fn bits(state: &StateDict) -> Vec<(String, String, Vec<u8>)> {
    use safetensors::tensor::View;
    let of = |(name, tensor): (&str, &candle_core::Tensor)| {
        (name.to_owned(), format!("{:?}{:?}", tensor.dtype(), tensor.dims()), View::data(&tensor).into_owned())
    };
    state.iter().map(of).collect()
}

#[test]
fn there_and_back_is_the_same_bit_by_bit() {
    for (name, entry) in
        [("resnet.pth", None), ("unet.pth", None), ("global.pth", None), ("training.pth", Some("netD"))]
    {
        let folder = Folder::new();
        let (there, back, again) = (folder.text("a.safetensors"), folder.text("b.pth"), folder.text("c.safetensors"));
        let entry: Vec<&str> = entry.iter().flat_map(|entry| ["--entry", *entry]).collect();
        succeed(&[&["convert", &fixture(name), &there], &entry[..]].concat());
        succeed(&["convert", &there, &back]);
        succeed(&["convert", &back, &again]);
        assert_eq!(bits(&state(&there)), bits(&state(&back)), "{name}");
        if entry.is_empty() {
            assert_eq!(bits(&state(&there)), bits(&state(&fixture(name))), "{name}");
        }
        assert_eq!(std::fs::read(&there).unwrap(), std::fs::read(&again).unwrap(), "{name}: other bytes");
        let twice = folder.text("d.pth");
        let told = succeed(&["convert", &there, &twice, "--json"]);
        let told: serde_json::Value = serde_json::from_slice(&told.stdout).unwrap();
        assert_eq!(
            (told["file"].as_str(), told["tensors"].as_u64()),
            (Some(&*twice), Some(state(&there).len() as u64))
        );
        assert_eq!(std::fs::read(&back).unwrap(), std::fs::read(&twice).unwrap(), "{name}: other bytes");
    }
}

#[test]
fn converted_files_translate_alike() {
    let folder = Folder::new();
    let (file, photo) = (folder.text("unet.safetensors"), fixture("photo.png"));
    succeed(&["convert", &fixture("unet.pth"), &file]);
    let ours = translated(&["--model", &file, "--input", &photo]);
    assert_eq!(ours, translated(&["--model", &fixture("unet.pth"), "--input", &photo]));
}

#[test]
fn prefixes_stay_unless_cleaned() {
    let folder = Folder::new();
    let (raw, clean) = (folder.text("raw.safetensors"), folder.text("clean.pth"));
    let said = messages(&succeed(&["convert", &fixture("training.pth"), &raw, "--entry", "netG"]));
    assert!(said.contains("local generator"), "{said}");
    assert!(state(&raw).names().all(|name| name.starts_with("module.")));
    succeed(&["convert", &raw, &clean, "--clean"]);
    assert!(state(&clean).names().all(|name| name.starts_with("model")));
    assert_eq!(state(&clean).len(), state(&raw).len());
}

#[test]
fn sizes_are_the_references_only_if_asked_for() {
    let folder = Folder::new();
    let odd = folder.text("odd.png");
    image::RgbImage::from_fn(22, 18, |x, y| image::Rgb([10 * x as u8, 12 * y as u8, 99])).save(&odd).unwrap();
    let model = fixture("resnet.pth");
    let size = |more: &[&str]| translated(&[&["--model", &model, "--input", &odd], more].concat()).dimensions();
    assert_eq!(size(&[]), (22, 18));
    assert_eq!(size(&["--preprocess", "none"]), (24, 16));
    assert_eq!(size(&["--preprocess", "resize_and_crop"]), (256, 256));
    assert_eq!(size(&["--preprocess", "resize_and_crop", "--load-size", "40", "--crop-size", "32"]), (32, 32));
    assert_eq!(size(&["--preprocess", "resize_and_crop", "--crop-size", "32"]), (32, 32));
    assert_eq!(size(&["--preprocess", "crop", "--crop-size", "16"]), (16, 16));
    assert_eq!(size(&["--preprocess", "scale_width", "--load-size", "44", "--crop-size", "8"]), (44, 36));
    let wide = ["--preprocess", "scale_width_and_crop", "--load-size", "44", "--crop-size", "20"];
    assert_eq!(size(&wide), (20, 20));
    // The crop depends on the file alone.
    let crop = || translated(&[&["--model", &model, "--input", &odd], &wide[..]].concat());
    assert_eq!(crop(), crop());

    let out = folder.text("out.png");
    let unet = fixture("unet.pth");
    let args = ["translate", "--output", &out, "--model", &unet, "--input", &odd];
    let said = refused(3, &[&args[..], &["--preprocess", "none"]].concat());
    assert!(said.contains("24x16") && said.contains("multiples of 32"), "{said}");
    refused(2, &[&args[..], &["--load-size", "32"]].concat());
    assert_eq!(translated(&["--model", &unet, "--input", &odd]).dimensions(), (22, 18));
    let labels = fixture("labels.png");
    let global = ["--model", &fixture("global.pth"), "--inst", &fixture("instances.png"), "--input", &labels];
    let half = [&global[..], &["--preprocess", "scale_width", "--load-size", "16"]].concat();
    assert_eq!(translated(&half).dimensions(), (16, 8));
}

#[test]
fn dropout_is_off_unless_asked_for() {
    // The fixtures are too shallow for dropout, which starts at six halvings.
    let photo = fixture("photo.png");
    let folder = Folder::new();
    let run = folder.text("run");
    let settings =
        ["data.mode=facades", "generator.arch=unet", "generator.num_downs=6", "ngf=2", "ndf=2", "max_steps=1"];
    let sizes = ["load_size=64", "crop_size=64", "data.workers=0", "data.max_dataset_size=2"];
    let mut args = vec!["train", "pix2pix", "--out", &run];
    settings.iter().chain(&sizes).for_each(|setting| args.extend(["--set", setting]));
    succeed(&args);
    let file = folder.text("g.pth");
    succeed(&["convert", &run, &file, "--network", "g"]);
    for model in [&run, &file] {
        let with = |more: &[&str]| translated(&[&["--model", model, "--input", &photo], more].concat());
        let plain = with(&[]);
        assert_eq!(plain.dimensions(), (32, 32));
        assert_eq!(plain, with(&[]));
        let noisy = with(&["--dropout"]);
        assert_ne!(plain, noisy);
        assert_eq!(noisy, with(&["--dropout", "0"]));
        assert_ne!(noisy, with(&["--dropout", "1"]));
        refused(2, &["translate", "--model", model, "--input", &photo, "--output", "x.png", "--dropout", "--eval"]);
    }
    let (a, b) = (["--model", &run, "--input", &photo], ["--model", &file, "--input", &photo]);
    assert_eq!(translated(&a), translated(&b));
    let resized = |m: &[&str]| translated(&[m, &["--preprocess", "resize_and_crop", "--crop-size", "64"]].concat());
    assert_eq!(resized(&a), resized(&b));
    assert_eq!(resized(&a).dimensions(), (64, 64));
    let said = refused(2, &["convert", &run, &folder.text("x.pth")]);
    assert!(said.contains("--network"), "{said}");
    let said = refused(4, &["convert", &run, &folder.text("x.pth"), "--network", "g_a"]);
    assert!(said.contains("g.safetensors"), "{said}");
    assert!(!folder.path("x.pth").exists());
}

#[test]
fn what_does_not_fit_is_refused_by_name() {
    let folder = Folder::new();
    let out = folder.text("out.png");
    let (photo, labels) = (fixture("photo.png"), fixture("labels.png"));
    let translate = |model: &str, input: &str, more: &[&str]| {
        let mut args = vec!["translate".to_owned(), "--model".into(), fixture(model), "--input".into(), input.into()];
        args.extend(["--output".to_owned(), out.clone()]);
        args.extend(more.iter().map(|arg| (*arg).to_owned()));
        args
    };
    for (args, code, expected) in [
        (translate("resnet.pth", &photo, &["--arch", "unet_256"]), 4, "resnet generator of 1 blocks"),
        (translate("training.pth", &photo, &["--entry", "netD"]), 4, "only generators translate"),
        (translate("training.pth", &photo, &["--entry", "netX"]), 4, "netX"),
        (translate("global.pth", &labels, &[]), 4, "--inst"),
        (translate("global.pth", &labels, &["--label-nc", "7"]), 4, "takes 5 channels"),
        (translate("global.pth", &photo, &["--inst", &fixture("instances.png")]), 3, "in colour"),
        (translate("missing.pth", &photo, &[]), 4, "missing.pth"),
        (translate("photo.png", &photo, &[]), 4, "photo.png"),
        (translate("resnet.pth", &photo, &["--encode", &photo]), 2, "--encode"),
    ] {
        let said = refused(code, &args.iter().map(String::as_str).collect::<Vec<_>>());
        assert!(said.contains(expected), "{args:?}: {said}");
        assert!(!folder.path("out.png").exists());
    }
    let said = refused(2, &["convert", &fixture("resnet.pth"), &folder.text("weights.bin")]);
    assert!(said.contains(".safetensors"), "{said}");
}

#[test]
fn summaries_of_bare_files() {
    let of = |args: &[&str]| {
        let output = succeed(&[&["summary", "--size", "32", "32", "--model"], args].concat());
        String::from_utf8(output.stdout).unwrap()
    };
    let text = of(&[&fixture("training.pth"), "--entry", "netD"]);
    assert!(text.contains("PatchGAN discriminator of 2 layers, 6 channels, width 1, batch norm"), "{text}");
    let text = of(&[&fixture("unet.pth")]);
    assert!(
        text.contains("unet generator of 5 downsampling layers, 3 to 3 channels") && text.contains("parameters"),
        "{text}"
    );
    let text = of(&[&fixture("training.pth"), "--entry", "netG"]);
    assert!(text.contains("local generator of 1 enhancers (1 blocks) on 1 downsampling layers, 1 blocks"), "{text}");
}
