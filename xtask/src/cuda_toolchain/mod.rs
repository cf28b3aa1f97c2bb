//! `cargo xtask cuda-toolchain`: all that is needed to build with the feature `cuda` on a machine without CUDA.
//!
//! The compiler comes from NVIDIA's wheels, through pip; the libraries are replaced by stubs that open the real ones
//! when they are first called. The promise: either a toolchain that has compiled a kernel is in its place, or what was
//! there before.

mod check;
mod environment;
mod nvcc;
mod packages;
mod program;
mod stubs;
mod tree;
mod wheels;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::args::{Arg, Args};
use crate::file_lock;
use crate::{UsageError, workspace};
use gan_fetch::digest;
use packages::Metadata;
use wheels::WHEELS;

const USAGE: &str = "\
Usage: cargo xtask cuda-toolchain [DIR] [OPTIONS]

Makes a CUDA toolchain in DIR (default: cuda-toolchain in cargo's target folder): nvcc 13.0 from pip's wheels (104 MB to
fetch, 300 MB unpacked) and stubs for CUDA's libraries. It needs Linux on x86-64, Python 3 with pip, and a C++
compiler, but no root, no GPU and no driver. What is there and up to date is left as it is; what broke off is continued.

Then:  . DIR/env.sh && cargo build --release --features cuda      (docs/cuda.md says more)

Options:
  --check    make nothing; try the toolchain in DIR with a small kernel";

/// What a toolchain was made from; written last, so a folder that has it is whole.
const RECIPE: &str = "recipe.txt";

#[derive(Debug, Default)]
struct Options {
    dir: Option<PathBuf>,
    check: bool,
}

/// Runs the command; `words` are its arguments.
pub(crate) fn command(words: Vec<String>) -> Result<()> {
    let Some(options) = parse(words).map_err(|error| UsageError(format!("{error}\n\n{USAGE}")))? else {
        println!("{USAGE}");
        return Ok(());
    };
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        bail!("the wheels and the stubs are for Linux on x86-64; elsewhere install CUDA 13.0 in the ordinary way");
    }
    let metadata = Metadata::read(&workspace::root())?;
    let home = options.dir.unwrap_or_else(|| metadata.target_directory.join("cuda-toolchain"));
    let home = std::path::absolute(&home).with_context(|| format!("no such path: {}", home.display()))?;
    let recipe = recipe(&home, &metadata)?;
    if options.check {
        if !home.join(RECIPE).is_file() {
            bail!("there is no toolchain in {}: make it with `cargo xtask cuda-toolchain`", home.display());
        }
        let work = beside(&home, "check");
        let tried = check::run(&home, &work);
        fs::remove_dir_all(&work).with_context(|| format!("cannot remove {}", work.display()))?;
        tried?;
        println!("{}: works", home.display());
        return Ok(());
    }
    match fs::read_to_string(home.join(RECIPE)) {
        Ok(found) if found == recipe => eprintln!("{}: up to date", home.display()),
        _ => make(&home, &recipe, &metadata)?,
    }
    let env = environment::quoted(&home.join("env.sh").to_string_lossy());
    println!(". {env} && cargo build --release --features cuda");
    Ok(())
}

/// `None` when help was asked for.
fn parse(words: Vec<String>) -> Result<Option<Options>> {
    let mut options = Options::default();
    let mut args = Args::new(words);
    while let Some(arg) = args.next()? {
        match arg {
            Arg::Flag(flag) if flag == "help" => return Ok(None),
            Arg::Flag(flag) if flag == "check" => options.check = true,
            Arg::Flag(flag) => bail!("no option --{flag}"),
            Arg::Word(dir) if options.dir.is_none() => options.dir = Some(dir.into()),
            Arg::Word(other) => bail!("one DIR is enough; what is `{other}`?"),
        }
    }
    Ok(Some(options))
}

/// All that decides what is in the folder, a line each.
fn recipe(home: &Path, metadata: &Metadata) -> Result<String> {
    let mut lines = vec![format!("folder {}", home.display())];
    lines.extend(WHEELS.iter().map(|wheel| format!("{} {} {}", wheel.name, wheel.version, wheel.sha256)));
    for name in ["cudarc", "candle-kernels"] {
        lines.push(format!("{name} {}", metadata.package(name)?.version));
    }
    lines.push(format!("stubs {}", stubs::LIBRARIES.map(|library| library.link_name).join(" ")));
    let own = [stubs::SOURCE, nvcc::SCRIPT, &environment::script(home)].concat();
    lines.push(format!("own text {}\n", digest::sha256(own.as_bytes())));
    Ok(lines.join("\n"))
}

/// Makes the toolchain beside its place, tries it, and moves it there.
fn make(home: &Path, recipe: &str, metadata: &Metadata) -> Result<()> {
    let occupied = fs::symlink_metadata(home).is_ok();
    if occupied && !home.join(RECIPE).is_file() {
        bail!("{} is there already and is no toolchain of this command; name another folder", home.display());
    }
    wheels::need_pip()?;
    stubs::need_compiler()?;
    let part = beside(home, "part");
    // A run that was broken off leaves its wheels here for the next one.
    let [downloads, work, tree] = ["wheels", "work", "tree"].map(|name| part.join(name));
    fs::create_dir_all(&downloads).with_context(|| format!("cannot make {}", downloads.display()))?;
    let lock = file_lock::acquire(&part, "cuda-toolchain", "this folder")?;
    for folder in [&work, &tree] {
        remove(folder)?;
        fs::create_dir(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    for wheel in &WHEELS {
        tree::unpack(&wheel.bring(&downloads)?, wheel.name, &tree)?;
    }
    eprintln!("stubs for {} libraries", stubs::LIBRARIES.len());
    let lib = tree.join("lib");
    stubs::make_all(metadata.package("cudarc")?, &lib, &work)?;
    // candle-kernels asks for `-lcudart`; the static one opens the driver when it is first called.
    fs::copy(lib.join("libcudart_static.a"), lib.join("libcudart.a")).context("the wheels hold no CUDA runtime")?;
    nvcc::wrap(&tree, metadata.package("candle-kernels")?, &work)?;
    eprintln!("trying it out");
    check::run(&tree, &work)?;
    fs::write(tree.join("env.sh"), environment::script(home))?;
    fs::write(tree.join(RECIPE), recipe)?;
    if occupied {
        let old = part.join("old");
        remove(&old)?;
        fs::rename(home, &old).with_context(|| format!("cannot move {} away", home.display()))?;
    }
    fs::rename(&tree, home).with_context(|| format!("cannot move the toolchain to {}", home.display()))?;
    drop(lock);
    remove(&part)?;
    eprintln!("{}: made", home.display());
    Ok(())
}

/// `DIR.suffix` beside `DIR`: on the same file system, so that it can be moved there.
fn beside(home: &Path, suffix: &str) -> PathBuf {
    let mut name = home.as_os_str().to_owned();
    name.push(format!(".{suffix}"));
    name.into()
}

fn remove(folder: &Path) -> Result<()> {
    if fs::symlink_metadata(folder).is_err() {
        return Ok(());
    }
    fs::remove_dir_all(folder).with_context(|| format!("cannot remove {}", folder.display()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn parsed(line: &str) -> Result<Option<Options>> {
        parse(line.split_whitespace().map(str::to_owned).collect())
    }

    #[test]
    fn command_lines() {
        assert!(parsed("--help").unwrap().is_none());
        let options = parsed("/d --check").unwrap().unwrap();
        assert!(options.check && options.dir.as_deref() == Some(Path::new("/d")));
        let options = parsed("").unwrap().unwrap();
        assert!(!options.check && options.dir.is_none());
        assert!(parsed("a b").unwrap_err().to_string().contains("one DIR is enough; what is `b`?"));
        assert!(parsed("--force").unwrap_err().to_string().contains("no option --force"));
    }

    #[test]
    fn a_recipe_names_all_that_matters() {
        let metadata = |cudarc: &str| -> Metadata {
            let package = |name: &str, version: &str| {
                format!("{{\"name\":\"{name}\",\"version\":\"{version}\",\"manifest_path\":\"/r/Cargo.toml\"}}")
            };
            let packages = [package("cudarc", cudarc), package("candle-kernels", "0.11.1")].join(",");
            serde_json::from_str(&format!("{{\"packages\":[{packages}],\"target_directory\":\"/t\"}}")).unwrap()
        };
        let text = recipe(Path::new("/a"), &metadata("0.19.10")).unwrap();
        assert!(text.starts_with("folder /a\nnvidia-cuda-nvcc 13.0.88 56fe502e"), "{text}");
        assert_ne!(text, recipe(Path::new("/b"), &metadata("0.19.10")).unwrap());
        assert_ne!(text, recipe(Path::new("/a"), &metadata("0.20.0")).unwrap());
    }

    #[test]
    fn a_folder_of_something_else_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("mine"), "x").unwrap();
        let metadata: Metadata = serde_json::from_str("{\"packages\":[],\"target_directory\":\"/t\"}").unwrap();
        let said = make(dir.path(), "", &metadata).unwrap_err().to_string();
        assert!(said.contains("is no toolchain of this command"), "{said}");
        assert!(dir.path().join("mine").is_file());
        assert_eq!(beside(Path::new("/a/b"), "part"), Path::new("/a/b.part"));
    }
}
