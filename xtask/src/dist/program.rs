//! Building the program that is packed.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::artifacts;
use crate::workspace::cargo;

/// The package, and the program in it.
pub(super) const NAME: &str = "gan-cli";

/// Builds the program for `target` and says where it lies. It carries the commit, and no paths of this machine.
pub(super) fn build(root: &Path, target: &str) -> Result<PathBuf> {
    let output = cargo(root)
        .args(["build", "--locked", "--release", "--package", NAME, "--bin", NAME, "--target", target])
        .args(["--message-format", "json-render-diagnostics"])
        .env("CARGO_ENCODED_RUSTFLAGS", flags()?)
        .stderr(Stdio::inherit())
        .output()
        .context("cannot start cargo")?;
    if !output.status.success() {
        bail!("cargo build ended with {}{}", output.status, if target.ends_with("-musl") { MUSL } else { "" });
    }
    let programs = artifacts::read(&String::from_utf8_lossy(&output.stdout));
    let program = programs.into_iter().find(|program| program.name == NAME && !program.is_test);
    Ok(program.with_context(|| format!("cargo built no {NAME}"))?.executable)
}

const MUSL: &str =
    "; a target with musl needs its standard library (rustup target add) and musl-gcc (Debian's musl-tools)";

/// The flags of the environment, and one that names sources of dependencies by the same path everywhere. Paths of this workspace are relative.
fn flags() -> Result<OsString> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home
        .or_else(|| Some(std::env::home_dir()?.join(".cargo")))
        .context("no home directory is known; set CARGO_HOME")?;
    let given = std::env::var("RUSTFLAGS").unwrap_or_default();
    let mut flags = OsString::new();
    for flag in given.split_whitespace() {
        flags.push(flag);
        flags.push("\u{1f}");
    }
    flags.push("--remap-path-prefix=");
    flags.push(home);
    flags.push("=/cargo");
    Ok(flags)
}

/// Copies the program to `to`, without its symbols.
pub(super) fn strip(program: &Path, to: &Path) -> Result<()> {
    let status = Command::new("strip").arg("-o").arg(to).arg(program).status();
    let status = status.context("cannot start strip; install binutils")?;
    if !status.success() {
        bail!("strip {} ended with {status}", program.display());
    }
    Ok(())
}
