//! Tells the program which revision it is built from: `GAN_REVISION`, or in release builds the commit of the checkout that this crate lies in.
//! Development builds do not ask, so that a commit does not compile the program anew.

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-env-changed=GAN_REVISION");
    let named = std::env::var("GAN_REVISION").ok();
    let released = std::env::var("PROFILE").is_ok_and(|profile| profile == "release");
    if let Some(revision) = named.or_else(|| released.then(of_checkout).flatten()) {
        println!("cargo::rustc-env=GAN_REVISION={revision}");
    }
}

/// The commit, if the checkout is this project's own and not one that holds a copy of the crate.
fn of_checkout() -> Option<String> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).canonicalize().ok()?;
    let git = |args: &[&str]| {
        let output = Command::new("git").arg("-C").arg(&here).args(args).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        output.status.success().then(|| text.trim().to_owned())
    };
    if git(&["rev-parse", "--show-prefix"])? != "crates/gan-cli/" {
        return None;
    }
    // What a commit or a change of branch writes to.
    for file in ["logs/HEAD", "HEAD"] {
        let path = here.join(git(&["rev-parse", "--git-path", file])?);
        if path.exists() {
            println!("cargo::rerun-if-changed={}", path.display());
        }
    }
    git(&["rev-parse", "HEAD"])
}
