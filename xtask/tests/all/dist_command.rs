//! `cargo xtask dist` with a program made for the test, which answers as gan-cli does: packages are whole, and the same each time.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::Command;

use flate2::read::GzDecoder;
use serde_json::Value;

/// Writes a page, prints a completion, or prints a version.
const PROGRAM: &str = r##"
fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match (words[0].as_str(), words.get(1)) {
        ("man", Some(folder)) => {
            std::fs::create_dir_all(folder).unwrap();
            std::fs::write(format!("{folder}/gan-cli.1"), ".TH gan-cli 1\n").unwrap();
        }
        ("completions", Some(shell)) => println!("# for {shell}"),
        _ => println!("gan-cli 0.1.0"),
    }
}
"##;

/// Builds the program in `folder`.
fn program(folder: &Path) -> std::path::PathBuf {
    let (source, program) = (folder.join("program.rs"), folder.join("program"));
    fs::write(&source, PROGRAM).unwrap();
    let status = Command::new("rustc").args(["--edition", "2024", "-o"]).args([&program, &source]).status().unwrap();
    assert!(status.success());
    program
}

fn xtask(args: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.arg("dist").args(args).env("SOURCE_DATE_EPOCH", "1795000000").env_remove("DEBFULLNAME");
    command.env("CARGO_NET_OFFLINE", "true");
    let output = command.output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

/// The files of a folder by their names.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read(&path).unwrap())).collect()
}

#[test]
fn packages_are_whole_and_the_same_each_time() {
    let dir = tempfile::tempdir().unwrap();
    let program = program(dir.path());
    let out = dir.path().join("out");
    let pack = || {
        let (code, text) = xtask(&["--program", program.to_str().unwrap(), "--out", out.to_str().unwrap()]);
        assert_eq!(code, Some(0), "{text}");
        assert!(text.contains("for glibc 2."), "{text}");
        files(&out)
    };
    let made = pack();
    let again = pack();
    assert!(made.keys().eq(again.keys()) && made.iter().all(|(name, bytes)| again[name] == *bytes));
    let one = |end: &str| {
        let found: Vec<_> = made.keys().filter(|name| name.ends_with(end)).collect();
        assert_eq!(found.len(), 1, "{end}: {:?}", made.keys());
        found[0].clone()
    };
    let (archive, wheel, package, materials) = (one(".tar.gz"), one(".whl"), one(".deb"), one(".cdx.json"));
    assert_eq!(made.len(), 5, "{:?}", made.keys());

    let sums = String::from_utf8(made["SHA256SUMS"].clone()).unwrap();
    assert_eq!(sums.lines().count(), 4);
    for name in [&archive, &wheel, &package, &materials] {
        let sum = gan_fetch::digest::sha256(&made[name]);
        assert!(sums.contains(&format!("{sum}  {name}\n")), "{sums}");
    }

    let mut entries = BTreeMap::new();
    for entry in tar::Archive::new(GzDecoder::new(&made[&archive][..])).entries().unwrap() {
        let mut entry = entry.unwrap();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        let path = entry.path().unwrap().display().to_string();
        let (_, path) = path.split_once('/').unwrap();
        entries.insert(path.to_owned(), content);
    }
    assert_eq!(entries["share/man/man1/gan-cli.1"], b".TH gan-cli 1\n");
    assert_eq!(entries["share/bash-completion/completions/gan-cli"], b"# for bash\n");
    let licences = String::from_utf8(entries["share/doc/gan-cli/THIRD-PARTY.txt"].clone()).unwrap();
    let materials: Value = serde_json::from_slice(&made[&materials]).unwrap();
    let components = materials["components"].as_array().unwrap();
    let of_registry: Vec<_> = components.iter().filter(|component| component["hashes"].is_array()).collect();
    assert!(of_registry.len() > 100);
    for component in of_registry {
        let line = format!("{} {}\n", component["name"].as_str().unwrap(), component["version"].as_str().unwrap());
        assert!(licences.contains(&line), "no licence of {line}");
    }
    assert!(!licences.contains("gan-nets "), "our own are not of others");
    // What an archive holds runs where it is unpacked.
    let unpacked = dir.path().join("unpacked");
    tar::Archive::new(GzDecoder::new(&made[&archive][..])).unpack(&unpacked).unwrap();
    let name = archive.strip_suffix(".tar.gz").unwrap();
    let output = Command::new(unpacked.join(name).join("bin/gan-cli")).arg("--version").output().unwrap();
    assert_eq!(output.stdout, b"gan-cli 0.1.0\n");
}

#[test]
fn what_cannot_be_packed_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let script = dir.path().join("script");
    fs::write(&script, "#!/bin/sh\n").unwrap();
    let (code, text) =
        xtask(&["--program", script.to_str().unwrap(), "--out", dir.path().join("out").to_str().unwrap()]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("strip"), "{text}");
    assert!(files(&dir.path().join("out")).is_empty());
    let (code, text) = xtask(&["--targets", "x"]);
    assert!(
        code == Some(2) && text.contains("no option --targets") && text.contains("Usage: cargo xtask dist"),
        "{text}"
    );
    let (code, text) = xtask(&["--help"]);
    assert!(code == Some(0) && text.starts_with("Usage: cargo xtask dist"), "{text}");
}
