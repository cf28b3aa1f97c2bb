//! `cargo xtask gpu-check`: what a machine with a GPU, but without Rust or a network, needs to check everything.

mod bundle;

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail};

use crate::args::{Arg, Args};
use crate::artifacts::{self, Artifact};
use crate::{UsageError, workspace};
use bundle::Bundle;

const USAGE: &str = "\
Usage: cargo xtask gpu-check pack DIR [--without-nccl]

Builds gan-cli and the tests that run on a device with the features `cuda` and `nccl`, and gathers them in DIR with the fixtures and
benches/. DIR can be carried to a machine with a GPU, Python 3.9 and CUDA's libraries (PyTorch's wheels hold them);
`DIR/run` there runs everything and writes gpu-check.json and gpu-check.md. `DIR/run --help` says more.
--without-nccl is for an installed toolkit that has no NCCL beside it.";

/// Test programs that take their device from GAN_TEST_DEVICE.
const TESTS: &[&str] = &[
    "captured",
    "conv",
    "conv_bf16",
    "cuda",
    "elementwise",
    "norm",
    "onehot",
    "blur",
    "patches",
    "augment",
    "images",
    "training",
    "labels",
    "segments",
    "samples",
    "parameters",
    "precision",
    "losses",
    "patch_nce",
    "golden",
    "golden_steps",
    "graph",
    "graphs",
    "nccl",
    "parity",
    "resume",
];

/// Folders that go along as they are: benchmarks, PyTorch's side of them, and what parity is checked against.
const FOLDERS: &[&str] = &["benches", "tests/oracle", "tests/fixtures/parity"];

const RUN: &str = "\
#!/bin/sh
# Checks everything that needs a GPU; see benches/gpu_check.py.
here=$(cd \"$(dirname \"$0\")\" && pwd)
exec python3 \"$here/benches/gpu_check.py\" \"$@\"
";

/// Runs the command; `words` are its arguments.
pub(crate) fn command(words: Vec<String>) -> Result<()> {
    let mut args = Args::new(words);
    let (mut given, mut nccl) = (Vec::new(), true);
    while let Some(arg) = args.next().map_err(|e| UsageError(format!("{e}\n\n{USAGE}")))? {
        match arg {
            Arg::Flag(flag) if flag == "help" => {
                println!("{USAGE}");
                return Ok(());
            }
            Arg::Flag(flag) if flag == "without-nccl" => nccl = false,
            Arg::Flag(other) => return Err(UsageError(format!("--{other} is not understood\n\n{USAGE}")).into()),
            Arg::Word(word) => given.push(word),
        }
    }
    match &given[..] {
        [verb, folder] if verb == "pack" => pack(Path::new(folder), nccl),
        _ => Err(UsageError(format!("expected `pack DIR`\n\n{USAGE}")).into()),
    }
}

fn pack(folder: &Path, nccl: bool) -> Result<()> {
    let root = workspace::root();
    let programs = build(&root, nccl)?;
    let bundle = Bundle::begin(folder)?;
    for from in FOLDERS {
        bundle.folder(&root, from)?;
    }
    bundle.script("run", RUN)?;
    bundle.programs(&programs)?;
    let bytes = bundle.finish()?;
    println!("{}: {} programs, {:.1} MB in all", folder.display(), programs.len(), bytes as f64 / 1e6);
    println!("carry it to the machine with the GPU and run {}/run there", folder.display());
    Ok(())
}

/// Builds the programs and says where each lies and what it is called in the bundle.
fn build(root: &Path, nccl: bool) -> Result<Vec<(String, PathBuf)>> {
    // Tests of the command line bring gan-cli along, made of the same libraries as the tests.
    let mut words = vec!["test", "--no-run", "--test", "cli"];
    let tests = TESTS.iter().copied().filter(|name| nccl || *name != "nccl");
    words.extend(tests.clone().flat_map(|name| ["--test", name]));
    words.extend(["--features", if nccl { "cuda,nccl" } else { "cuda" }]);
    let artifacts = cargo(root, &words)?;
    let find = |name: &str, is_test| {
        let found = artifacts.iter().find(|a| a.name == name && a.is_test == is_test);
        found.map(|a| a.executable.clone()).with_context(|| format!("cargo built no `{name}`"))
    };
    let mut programs = vec![("gan-cli".to_owned(), find("gan-cli", false)?)];
    for name in tests {
        programs.push((format!("tests/{name}"), find(name, true)?));
    }
    Ok(programs)
}

fn cargo(root: &Path, words: &[&str]) -> Result<Vec<Artifact>> {
    let output = workspace::cargo(root)
        .args(words)
        .args(["--release", "--workspace", "--message-format", "json-render-diagnostics"])
        .stderr(Stdio::inherit())
        .output()
        .context("cannot start cargo")?;
    if !output.status.success() {
        bail!("cargo {} ended with {}", words.join(" "), output.status);
    }
    Ok(artifacts::read(&String::from_utf8_lossy(&output.stdout)))
}
