//! `cargo xtask check` on small workspaces made for the test: sound ones pass, each breach is named.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::process::Command;

/// A workspace of two crates, `gan-data` and `gan-rng`, and a folder where this program would live.
fn workspace(dependency_of_rng: &str, source: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str| {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    let package = |name: &str, dependency: &str| {
        format!("[package]\nname = '{name}'\nversion = '0.1.0'\nedition = '2024'\n[dependencies]\n{dependency}\n")
    };
    put("Cargo.toml", "[workspace]\nresolver = '3'\nmembers = ['gan-*']\n");
    put("gan-rng/Cargo.toml", &package("gan-rng", dependency_of_rng));
    put("gan-rng/src/lib.rs", source);
    put("gan-data/Cargo.toml", &package("gan-data", ""));
    put("gan-data/src/lib.rs", "//! Data.\n");
    fs::create_dir(dir.path().join("xtask")).unwrap();
    dir
}

fn check(workspace: &Path, only: &str) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.args(["check", "--only", only]).env("CARGO_MANIFEST_DIR", workspace.join("xtask"));
    command.env("CARGO_NET_OFFLINE", "true");
    let output = command.output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&text).into_owned())
}

#[test]
fn a_sound_workspace_passes() {
    let sound = workspace("", "//! Randomness.\n");
    let (code, text) = check(sound.path(), "fmt,graph,tidy");
    assert_eq!(code, Some(0), "{text}");
    for name in ["fmt", "graph", "tidy"] {
        assert!(text.lines().any(|line| line.starts_with(name) && line.contains(" ok ")), "{text}");
    }
    assert!(!text.contains("clippy"), "only what was asked for: {text}");
}

#[test]
fn each_breach_is_named() {
    for (dependency, source, only, said) in [
        ("gan-data = { path = '../gan-data' }", "//! x\n", "graph", "gan-rng depends on gan-data: no arrow"),
        ("", "pub fn f() {}\n", "tidy", "gan-rng/src/lib.rs: does not begin"),
        ("", "//! x\npub fn f()   {}\n", "fmt", "fmt failed"),
    ] {
        let broken = workspace(dependency, source);
        let (code, text) = check(broken.path(), only);
        assert_eq!(code, Some(1), "{text}");
        assert!(text.contains(said) && text.contains("FAILED"), "{text}");
    }
}

#[test]
fn a_circle_of_imports_is_named() {
    let sound = workspace("", "//! x\n");
    let src = sound.path().join("crates/knot/src");
    fs::create_dir_all(&src).unwrap();
    for (name, text) in [("lib.rs", "mod a;\nmod b;\n"), ("a.rs", "use crate::b::B;\n"), ("b.rs", "use crate::a::A;\n")]
    {
        fs::write(src.join(name), text).unwrap();
    }
    let (code, text) = check(sound.path(), "graph");
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("knot: a circle of imports: a → b → a"), "{text}");
}

#[test]
fn a_failure_does_not_keep_the_others_from_running() {
    let broken = workspace("gan-data = { path = '../gan-data' }", "//! x\n");
    let (code, text) = check(broken.path(), "graph,tidy");
    assert_eq!(code, Some(1), "{text}");
    assert!(text.lines().any(|line| line.starts_with("tidy") && line.contains(" ok ")), "{text}");
}

#[test]
fn misuse() {
    let sound = workspace("", "//! x\n");
    let (code, text) = check(sound.path(), "lint");
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("no check `lint`") && text.contains("clippy"), "{text}");
}
