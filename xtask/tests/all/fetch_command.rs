//! The command line of `fetch-data`. What it calls is tested in gan-fetch.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::process::Command;

/// Exit code and all that was said.
struct Ended {
    code: Option<i32>,
    text: String,
}

impl Ended {
    #[track_caller]
    fn with(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, Some(code), "{}", self.text);
        for word in words {
            assert!(self.text.contains(word), "`{word}` is missing in:\n{}", self.text);
        }
    }
}

fn run(folder: &Path, args: &[&str]) -> Ended {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.args(args).env("GAN_DATA_DIR", folder.join("data")).env("GAN_FETCH_BACKOFF_MS", "1");
    let output = command.output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    Ended { code: output.status.code(), text: String::from_utf8_lossy(&text).into_owned() }
}

#[test]
fn the_list_fits_eighty_columns() {
    let folder = tempfile::tempdir().unwrap();
    let list = run(folder.path(), &["fetch-data", "--list"]);
    list.with(
        0,
        &["facades ", "vgg19 ", "cityscapes ", "manual", "ImageNet: non-commercial", "gan-cli train pix2pix "],
    );
    // The directory and the commands are to be copied as a whole.
    for line in list.text.lines().filter(|line| !line.starts_with("Data directory") && !line.contains("gan-cli ")) {
        assert!(line.chars().count() <= 80, "{line}");
    }
    assert_eq!(run(folder.path(), &["fetch-data"]).text, list.text, "no name: the list");
    assert!(!folder.path().join("data").exists(), "looking changes nothing");
}

#[test]
fn misuse_is_told_apart_from_failure() {
    let folder = tempfile::tempdir().unwrap();
    for (args, said) in [
        (&["fetch-data", "--lsit"][..], "no option --lsit"),
        (&["fetch-data", "--dir"], "--dir needs a value"),
        (&["fetch-data", "horse2zebr"], "did you mean `horse2zebra`"),
        (&["fetch-data", "--base-url", "ftp://h", "facades"], "not an http"),
        (&["fetch"], "no command `fetch`"),
        (&[], "no command given"),
    ] {
        run(folder.path(), args).with(2, &[said]);
    }
    run(folder.path(), &["fetch-data", "--help"]).with(0, &["--accept-licence"]);
    run(folder.path(), &["--help"]).with(0, &["fetch-data"]);
}

#[test]
fn what_has_no_mirror_tells_its_steps() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("data/datasets/cityscapes");
    run(folder.path(), &["fetch-data", "cityscapes"]).with(
        1,
        &["no redistribution", "1. register at https://www.cityscapes-dataset.com/", &place.display().to_string()],
    );
    // What the user put there is found and left alone.
    fs::create_dir_all(place).unwrap();
    run(folder.path(), &["fetch-data", "cityscapes"]).with(0, &["is there already"]);
}

#[test]
fn a_failure_tells_what_helps() {
    let folder = tempfile::tempdir().unwrap();
    let entry = |name: &str, more: &str| {
        format!(
            "[[dataset]]\nname='{name}'\nabout=''\nlicence='CC0'\nformat='zip'\nurls=['http://127.0.0.1:1/a']\n{more}\n"
        )
    };
    let catalog = folder.path().join("catalog.toml");
    let text = format!("{}{}", entry("gone", ""), entry("cats", "restricted=true\nterms='For cats only.'"));
    fs::write(&catalog, text).unwrap();
    let fetch = |args: &[&str]| {
        let all = [&["fetch-data", "--catalog", catalog.to_str().unwrap()], args].concat();
        run(folder.path(), &all)
    };
    fetch(&["cats"]).with(1, &["For cats only.", "--accept-licence", "1 of 1 not fetched"]);
    fetch(&["gone", "cats"]).with(1, &["given up after 5 tries", "by hand:\n  1. download", "2 of 2 not fetched"]);
    fetch(&["gone", "--offline"]).with(1, &["without --offline"]);
}
