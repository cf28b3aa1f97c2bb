//! `cargo xtask …`: the chores of the workspace.
//!
//! The program builds in seconds because it depends on no tensor library, and of the workspace's crates only on gan-fs and gan-fetch.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command line speaks on its standard streams")]

mod args;
mod artifacts;
mod check;
mod cuda_toolchain;
mod dist;
mod fetch;
mod file_lock;
mod gpu_check;
mod progress;
mod release;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;

const USAGE: &str = "\
Usage: cargo xtask <command>

Commands:
  fetch-data [NAME…]      datasets and weights by name, as `gan-cli fetch`
  cuda-toolchain [DIR]    a CUDA compiler from pip's wheels, without root and without a GPU
  gpu-check pack DIR      what a machine with a GPU needs to check everything there
  check                   everything that must hold before a change is merged
  dist                    packages that install gan-cli without a compiler
  release --dry-run       packs every crate and builds it from its package; uploads nothing

`cargo xtask <command> --help` says more.";

/// The command line was not understood: exit code 2, as against 1 for a command that failed.
#[derive(Debug)]
pub(crate) struct UsageError(pub(crate) String);

impl std::fmt::Display for UsageError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for UsageError {}

fn main() -> ExitCode {
    match run(std::env::args().skip(1).collect()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(if error.is::<UsageError>() { 2 } else { 1 })
        }
    }
}

fn run(mut words: Vec<String>) -> Result<()> {
    if words.is_empty() {
        return Err(UsageError(format!("no command given\n\n{USAGE}")).into());
    }
    let rest = words.split_off(1);
    match words[0].as_str() {
        "fetch-data" => fetch::command(rest),
        "cuda-toolchain" => cuda_toolchain::command(rest),
        "gpu-check" => gpu_check::command(rest),
        "check" => check::command(rest),
        "dist" => dist::command(rest),
        "release" => release::command(rest),
        "help" | "--help" | "-h" => {
            println!("{USAGE}");
            Ok(())
        }
        other => Err(UsageError(format!("no command `{other}`\n\n{USAGE}")).into()),
    }
}
