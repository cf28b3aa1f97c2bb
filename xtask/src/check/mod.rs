//! `cargo xtask check`: everything that must hold before a change is merged, in the order of what is quickest to mend.

mod graph;
mod modules;
mod tidy;
mod tokens;

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::UsageError;
use crate::args::{Arg, Args};
use crate::workspace::{self, cargo};

/// One check: its name on the command line, what it does, and the code.
struct Check {
    name: &'static str,
    about: &'static str,
    run: fn(&Path) -> Result<Outcome>,
}

/// How a check ended, short of failing.
enum Outcome {
    Passed,
    /// Not run, and why.
    Skipped(&'static str),
}

const CHECKS: &[Check] = &[
    Check { name: "fmt", about: "formatting", run: fmt },
    Check { name: "clippy", about: "lints, warnings as errors", run: clippy },
    Check { name: "graph", about: "who may depend on whom, crates and modules", run: graph },
    Check { name: "test", about: "every test of the workspace", run: test },
    Check { name: "msrv", about: "the oldest Rust that is promised (where its toolchain is installed)", run: msrv },
    Check { name: "docs", about: "documentation, warnings as errors", run: docs },
    Check { name: "deny", about: "licences and advisories (where cargo-deny is installed)", run: deny },
    Check { name: "tidy", about: "files, presets", run: tidy },
];

/// Runs the command; `words` are its arguments.
pub(crate) fn command(words: Vec<String>) -> Result<()> {
    let mut only = Vec::new();
    let mut args = Args::new(words);
    while let Some(arg) = args.next().map_err(misuse)? {
        match arg {
            Arg::Flag(flag) if flag == "help" => {
                println!("{}", usage());
                return Ok(());
            }
            Arg::Flag(flag) if flag == "only" => {
                let names = args.value(&flag).map_err(misuse)?;
                for name in names.split(',') {
                    let check = CHECKS.iter().find(|check| check.name == name);
                    only.push(check.ok_or_else(|| UsageError(format!("no check `{name}`\n\n{}", usage())))?.name);
                }
            }
            Arg::Flag(other) | Arg::Word(other) => {
                return Err(UsageError(format!("`{other}` is not understood\n\n{}", usage())).into());
            }
        }
    }
    let root = workspace::root();
    let mut lines = Vec::new();
    let mut failed = Vec::new();
    for check in CHECKS.iter().filter(|check| only.is_empty() || only.contains(&check.name)) {
        eprintln!("== {}: {}", check.name, check.about);
        let began = Instant::now();
        let end = match (check.run)(&root) {
            Ok(Outcome::Passed) => format!("ok       {}", seconds(began.elapsed())),
            Ok(Outcome::Skipped(why)) => format!("skipped  {why}"),
            Err(error) => {
                eprintln!("{error:#}");
                failed.push(check.name);
                format!("FAILED   {}", seconds(began.elapsed()))
            }
        };
        lines.push(format!("{:<8}{end}", check.name));
    }
    println!("{}", lines.join("\n"));
    if !failed.is_empty() {
        bail!("{} failed; repeat one with: cargo xtask check --only {}", failed.join(", "), failed[0]);
    }
    Ok(())
}

fn misuse(error: anyhow::Error) -> UsageError {
    UsageError(format!("{error}\n\n{}", usage()))
}

fn usage() -> String {
    let checks: String = CHECKS.iter().map(|check| format!("\n  {:<8}{}", check.name, check.about)).collect();
    format!("Usage: cargo xtask check [--only NAME[,NAME…]]\n\nChecks, in this order:{checks}")
}

fn seconds(elapsed: Duration) -> String {
    format!("{:.1} s", elapsed.as_secs_f64())
}

fn run(mut command: Command) -> Result<Outcome> {
    let status = command.status().with_context(|| format!("cannot start {:?}", command.get_program()))?;
    if !status.success() {
        bail!("{status}");
    }
    Ok(Outcome::Passed)
}

/// Whether cargo has this command: components and tools may be missing.
fn has(root: &Path, command: &str) -> bool {
    cargo(root).args([command, "--version"]).output().is_ok_and(|output| output.status.success())
}

fn fmt(root: &Path) -> Result<Outcome> {
    if !has(root, "fmt") {
        return Ok(Outcome::Skipped("rustfmt is not installed (rustup component add rustfmt)"));
    }
    let mut command = cargo(root);
    command.args(["fmt", "--all", "--check"]);
    run(command)
}

fn clippy(root: &Path) -> Result<Outcome> {
    if !has(root, "clippy") {
        return Ok(Outcome::Skipped("clippy is not installed (rustup component add clippy)"));
    }
    let mut command = cargo(root);
    command.args(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]);
    run(command)
}

fn test(root: &Path) -> Result<Outcome> {
    let mut command = cargo(root);
    command.args(["test", "--workspace"]);
    run(command)
}

/// Checks the libraries and programs with the toolchain of `rust-version`.
fn msrv(root: &Path) -> Result<Outcome> {
    let manifest: toml::Table = std::fs::read_to_string(root.join("Cargo.toml"))?.parse()?;
    let version = manifest.get("workspace").and_then(|w| w.get("package")?.get("rust-version")?.as_str());
    let version = version.context("Cargo.toml has no workspace.package.rust-version")?;
    let rustup = |args: &[&str]| Command::new("rustup").args(args).current_dir(root).output();
    let installed = rustup(&["run", version, "cargo", "--version"]).is_ok_and(|output| output.status.success());
    if !installed {
        return Ok(Outcome::Skipped(
            "the toolchain of rust-version is not installed (rustup toolchain install VERSION)",
        ));
    }
    let mut command = Command::new("rustup");
    command.args(["run", version, "cargo", "check", "--workspace"]).current_dir(root);
    // Its build files would replace those of the toolchain in use.
    command.env("CARGO_TARGET_DIR", root.join("target/msrv")).env_remove("CARGO").env_remove("RUSTUP_TOOLCHAIN");
    run(command)
}

fn docs(root: &Path) -> Result<Outcome> {
    let mut command = cargo(root);
    command.args(["doc", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings");
    run(command)
}

fn deny(root: &Path) -> Result<Outcome> {
    if !has(root, "deny") {
        return Ok(Outcome::Skipped("cargo-deny is not installed (cargo install cargo-deny)"));
    }
    let mut command = cargo(root);
    command.args(["deny", "check"]);
    run(command)
}

fn graph(root: &Path) -> Result<Outcome> {
    let mut found = graph::violations(&graph::read(root)?);
    found.extend(modules::violations(root)?);
    report(&found)
}

fn tidy(root: &Path) -> Result<Outcome> {
    report(&tidy::violations(root)?)
}

fn report(violations: &[String]) -> Result<Outcome> {
    if violations.is_empty() { Ok(Outcome::Passed) } else { bail!("{}", violations.join("\n")) }
}
