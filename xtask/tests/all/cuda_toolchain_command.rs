//! `cargo xtask cuda-toolchain` as a command line, with a cargo and a Python made for the test: no network, no wheels.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

/// A cargo that knows the packages with the bindings, and a Python whose pip never finds anything.
fn machine() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let put = |name: &str, script: &str| {
        let path = dir.path().join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    };
    let package = |name: &str| format!(r#"{{"name":"{name}","version":"1.0.0","manifest_path":"/r/Cargo.toml"}}"#);
    let target = dir.path().join("target");
    let packages = [package("cudarc"), package("candle-kernels")].join(",");
    put("cargo", &format!(r#"echo '{{"packages":[{packages}],"target_directory":"{}"}}'"#, target.display()));
    put("python", r#"case $* in *--version*) echo pip 1;; *) echo "no matching distribution" >&2; exit 1;; esac"#);
    fs::create_dir(target).unwrap();
    dir
}

fn xtask(machine: &Path, args: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.arg("cuda-toolchain").args(args).env("CARGO_MANIFEST_DIR", machine.join("xtask"));
    command.env("CARGO", machine.join("cargo")).env("PYTHON", machine.join("python")).env_remove("CC");
    let output = command.output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&text).into_owned())
}

#[test]
fn help_and_misuse() {
    let machine = machine();
    let (code, text) = xtask(machine.path(), &["--help"]);
    assert!(code == Some(0) && text.starts_with("Usage: cargo xtask cuda-toolchain [DIR]"), "{text}");
    let (code, text) = xtask(machine.path(), &["--force"]);
    assert!(code == Some(2) && text.contains("no option --force"), "{text}");
}

#[test]
fn a_toolchain_that_is_not_there_cannot_be_tried() {
    let machine = machine();
    let (code, text) = xtask(machine.path(), &["--check"]);
    let place = machine.path().join("target/cuda-toolchain");
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains(&format!("there is no toolchain in {}", place.display())), "{text}");
}

#[test]
fn without_a_network_nothing_is_made_and_the_way_by_hand_is_told() {
    let machine = machine();
    let (code, text) = xtask(machine.path(), &[]);
    let place = machine.path().join("target/cuda-toolchain");
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("no matching distribution"), "{text}");
    let wheels = machine.path().join("target/cuda-toolchain.part/wheels");
    assert!(text.contains(&format!("put these files into {} and run this again", wheels.display())), "{text}");
    assert!(wheels.is_dir() && !place.exists());
}

#[test]
fn without_python_or_a_compiler_it_does_not_begin() {
    let machine = machine();
    fs::remove_file(machine.path().join("python")).unwrap();
    let (code, text) = xtask(machine.path(), &[]);
    assert!(code == Some(1) && text.contains("pip is needed") && text.contains("install Python 3 with pip"), "{text}");
    assert!(!machine.path().join("target/cuda-toolchain.part").exists());
}
