//! pix2pixHD's styles as a user meets them: train, encode-features, translate.
#![allow(clippy::unwrap_used)]
#![allow(clippy::disallowed_methods, reason = "images are judged by another reader than the one under test")]

use std::path::Path;
use std::process::Command;

/// Runs the binary in a folder; returns its exit code and everything it said.
fn run(folder: &Path, args: &[&str]) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gan-cli"));
    let output = command.args(args).current_dir(folder).env("GAN_DATA_DIR", folder.join("none")).output().unwrap();
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
    (output.status.code().unwrap(), said)
}

#[track_caller]
fn ok(folder: &Path, args: &[&str]) -> String {
    let (code, said) = run(folder, args);
    assert_eq!(code, 0, "{args:?}: {said}");
    said
}

#[test]
fn styles_from_training_to_translation() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    ok(at, &["dataset", "synth", "streets", "--out", "streets", "--size", "64", "--count", "3", "--test", "1"]);
    let settings = "generator.arch=global ngf=4 ndf=4 n_downsample_global=2 n_blocks_global=1 num_d=1 perceptual=none \
                    instance_feat=true nef=4 n_downsample_e=2 label_nc=16 preprocess=none max_steps=2 workers=1";
    let mut train = vec!["train", "pix2pixhd", "--data", "streets", "--out", "run"];
    train.extend(settings.split_whitespace().flat_map(|setting| ["--set", setting]));
    ok(at, &train);

    let translate = |output: &str, more: &[&str]| {
        let mut args = vec!["translate", "--model", "run", "--input", "streets/test_label/00000.png"];
        args.extend(["--inst", "streets/test_inst", "--output", output]);
        args.extend(more);
        run(at, &args)
    };
    let (code, said) = translate("early.png", &[]);
    assert_eq!(code, 4, "{said}");
    assert!(said.contains("gan-cli encode-features --model run"), "{said}");

    let said = ok(at, &["encode-features", "--model", "run", "--sheet", "styles.png"]);
    assert!(said.contains("styles of 3 images"), "{said}");
    let sheet = image::open(at.join("styles.png")).unwrap();
    assert_eq!((sheet.width(), sheet.height()), (7 * 64, 3 * 64), "the photo and six styles of each image");
    let json = std::fs::read_to_string(at.join("run/features/clusters.json")).unwrap();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["step"], &json["pictures"]), (&2.into(), &3.into()));

    let image = |output: &str, more: &[&str]| {
        let (code, said) = translate(output, more);
        assert_eq!(code, 0, "{said}");
        std::fs::read(at.join(output)).unwrap()
    };
    let styles: Vec<_> = (0..4).map(|n| image(&format!("{n}.png"), &["--style", &n.to_string()])).collect();
    assert_eq!(image("default.png", &[]), styles[0]);
    assert_eq!(image("again.png", &["--style", "3"]), styles[3]);
    assert!(styles[1..].iter().any(|s| *s != styles[0]), "every style looks the same");
    let encoded = image("encoded.png", &["--encode", "streets/test_img/00000.png"]);
    assert!(!styles.contains(&encoded));
    assert_eq!(translate("x.png", &["--style", "1", "--encode", "streets/test_img/00000.png"]).0, 2);

    // Other data, and data that is not there.
    let said = ok(at, &["encode-features", "--model", "run", "--data", "streets", "--json"]);
    let found: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!((&found["pictures"], found["labels"].as_array().unwrap().is_empty()), (&3.into(), false));
    let (code, said) = run(at, &["encode-features", "--model", "run", "--data", "nowhere"]);
    assert_eq!(code, 3, "{said}");
    assert!(said.contains("nowhere"), "{said}");
}
