//! `cargo xtask release --dry-run`: every crate is packed, in the order of dependencies, and built from its package.

use anyhow::{Context, Result, bail};

use crate::UsageError;
use crate::args::{Arg, Args};
use crate::workspace::{self, cargo};

const USAGE: &str = "\
Usage: cargo xtask release --dry-run [--no-verify] [--allow-dirty]

Packs every crate that is published, in the order of dependencies, and builds each from its package. Nothing is uploaded; what
comes before and after is in RELEASE-CHECKLIST.md. The registry's index is asked, so a network is needed.

  --no-verify     pack only, build nothing
  --allow-dirty   pack what is not committed, too";

/// Runs the command; `words` are its arguments.
pub(crate) fn command(words: Vec<String>) -> Result<()> {
    let (mut dry, mut extra) = (false, Vec::new());
    let mut args = Args::new(words);
    while let Some(arg) = args.next().map_err(|error| UsageError(format!("{error}\n\n{USAGE}")))? {
        match arg {
            Arg::Flag(flag) if flag == "help" => {
                println!("{USAGE}");
                return Ok(());
            }
            Arg::Flag(flag) if flag == "dry-run" => dry = true,
            Arg::Flag(flag) if flag == "no-verify" || flag == "allow-dirty" => extra.push(format!("--{flag}")),
            Arg::Flag(other) | Arg::Word(other) => {
                return Err(UsageError(format!("`{other}` is not understood\n\n{USAGE}")).into());
            }
        }
    }
    if !dry {
        return Err(UsageError(format!("only --dry-run exists: publishing is done by hand\n\n{USAGE}")).into());
    }
    let root = workspace::root();
    let mut publish = cargo(&root);
    publish.args(["publish", "--workspace", "--dry-run"]).args(extra);
    let status = publish.status().context("cannot start cargo")?;
    if !status.success() {
        bail!("a crate cannot be packed or built from its package: {status}");
    }
    Ok(())
}
