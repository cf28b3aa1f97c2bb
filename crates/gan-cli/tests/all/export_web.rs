//! `export web`: what it refuses. Its folder is tested beside the command, its page in a browser (`.ci/browser`).

use crate::support::{Bench, tiny_in};
use std::fs;
use std::path::Path;

fn fixture(name: &str) -> String {
    format!("{}/tests/fixtures/interchange/{name}", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn bad_runtimes_and_places_are_refused_and_leave_nothing() {
    let bench = Bench::new();
    let unet = fixture("unet.pth");
    fs::write(bench.path("package.tgz"), "no archive").unwrap();
    fs::create_dir_all(bench.path("installed/dist")).unwrap();
    fs::create_dir_all(bench.path("full")).unwrap();
    fs::write(bench.path("full/file"), "mine").unwrap();
    fs::write(bench.path("installed/dist/ort.webgpu.bundle.min.mjs"), "another version").unwrap();
    let names = || {
        let mut names: Vec<_> =
            fs::read_dir(bench.path(".")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let before = names();
    let how = "npm pack onnxruntime-web@";
    for (args, code, words) in [
        (vec!["site"], 2, vec![how, "--runtime onnxruntime-web-"]),
        (vec!["site", "--runtime", "nowhere.tgz"], 2, vec!["nowhere.tgz does not exist", how]),
        (vec!["site", "--runtime", "package.tgz"], 3, vec!["package.tgz is no sound .tgz", how]),
        (vec!["site", "--runtime", "installed"], 3, vec!["ort.webgpu.bundle.min.mjs", "SHA-256", how]),
        (vec!["site", "--runtime", "installed", "--backend", "wasm"], 3, vec!["holds no dist/ort.wasm", how]),
        (vec!["full", "--runtime", "package.tgz"], 2, vec!["full exists and is not empty"]),
        (vec!["full/file", "--runtime", "package.tgz"], 2, vec!["is a file"]),
        (vec!["installed/site", "--runtime", "installed"], 2, vec!["is read"]),
    ] {
        bench.run([&["export", "web", &unet], &args[..]].concat()).fails(code, &words);
        assert_eq!(names(), before, "{args:?}");
    }
}

#[test]
fn models_with_styles_are_refused() {
    let bench = Bench::new();
    bench.ok(tiny_in("pix2pixhd", "streets", &["max_steps=1", "instance_feat=true", "nef=4", "n_downsample_e=2"]));
    bench.run(["export", "web", "streets", "site"]).fails(4, &["streets", "instance features", "`gan-cli serve`"]);
    assert!(!bench.path("site").exists());
}

#[test]
fn help_and_documentation_name_the_package_that_is_asked_for() {
    let bench = Bench::new();
    let said = bench.run(["export", "web", &fixture("unet.pth"), "site"]).err;
    let fetch = said.split('`').find(|part| part.starts_with("npm pack ")).unwrap();
    let archive = fetch.replace("npm pack ", "").replace('@', "-") + ".tgz";
    let help = bench.ok(["export", "web", "--help"]).out;
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/deploy.md");
    for text in [help, fs::read_to_string(docs).unwrap()] {
        // Help is wrapped.
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.contains(fetch) && text.contains(&archive), "{fetch}, {archive}: {text}");
    }
}
