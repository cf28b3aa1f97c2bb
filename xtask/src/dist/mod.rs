//! `cargo xtask dist`: packages that install the program without a compiler.
//!
//! All of them hold the same program and files. What a package asks of a system is read off the program ([`elf`]). Nothing in them
//! depends on anything but the program, the sources and one date ([`source_date`]).

mod archive;
mod checksums;
mod contents;
mod deb;
mod elf;
mod licences;
mod packages;
mod program;
mod release;
mod sbom;
mod source_date;
mod toolchain;
mod tree;
mod wheel;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use gan_fs::Durability;

use crate::args::{Arg, Args};
use crate::{UsageError, workspace};
use release::Release;
use sbom::Subject;
use toolchain::Toolchain;

const USAGE: &str = "\
Usage: cargo xtask dist [--target TARGET] [--program FILE] [--out DIR]

Builds gan-cli and packs it with its manual pages, completions and licences: an archive, a Python wheel, for a program that is linked
with glibc a package for Debian, a bill of materials, and SHA256SUMS of all that lies in DIR.

  --target TARGET   what to build for (default: this machine); a target with musl makes a program that runs on every Linux
  --program FILE    pack this program, built for the target before, instead of building one
  --out DIR         where the packages go (default: target/dist)

SOURCE_DATE_EPOCH is the date of everything packed (default: the date of the commit), DEBFULLNAME and DEBEMAIL tell who maintains the
package for Debian (default: the authors, without an address). The program is run to write its manual pages.";

/// What was asked for.
#[derive(Debug, Default)]
struct Request {
    target: Option<String>,
    program: Option<PathBuf>,
    out: Option<PathBuf>,
}

/// Runs the command; `words` are its arguments.
pub(crate) fn command(words: Vec<String>) -> Result<()> {
    let Some(request) = parse(words).map_err(|error| UsageError(format!("{error}\n\n{USAGE}")))? else {
        println!("{USAGE}");
        return Ok(());
    };
    let root = workspace::root();
    let toolchain = Toolchain::read(&root)?;
    let target = request.target.as_deref().unwrap_or(&toolchain.host);
    let date = source_date::read(&root)?;
    let packages = packages::read(&root, program::NAME, target)?;
    let further = toolchain.licences(target)?;
    let built = match request.program {
        Some(program) => program,
        None => program::build(&root, target)?,
    };
    let out = request.out.unwrap_or_else(|| root.join("target/dist"));
    let work = Work::begin(&out)?;
    let program = work.0.join(program::NAME);
    program::strip(&built, &program)?;
    let files = contents::gather(&root, &program, &packages, &further)?;
    let content = fs::read(&program).with_context(|| format!("cannot read {}", program.display()))?;
    let elf = elf::read(&content).with_context(|| built.display().to_string())?;

    let own = packages.iter().find(|package| package.name == program::NAME).context("the program is no package")?;
    let release = Release::new(&root, own, date)?;
    let name = format!("gan-cli-{}-{target}", release.version);
    let below: Vec<_> = files.iter().map(|file| file.at(format!("{name}/{}", file.path))).collect();
    let subject = Subject { package: program::NAME, program: &content, target, rustc: &toolchain.version, date };
    let mut made = vec![
        (format!("{name}.tar.gz"), archive::tar_gz(&below, date)?),
        wheel::pack(&release, &elf, &files)?,
        (format!("{name}.cdx.json"), sbom::json(&subject, &packages)?.into_bytes()),
    ];
    if !elf.is_static() {
        made.push(deb::pack(&release, &elf, &files, &maintainer(&release))?);
    }
    for (name, bytes) in &made {
        write(&out.join(name), bytes)?;
        println!("{}  {:.1} MB", out.join(name).display(), bytes.len() as f64 / 1e6);
    }
    drop(work);
    write(&out.join(checksums::NAME), checksums::of_folder(&out)?.as_bytes())?;
    println!("{target}: {}", asks(&elf));
    Ok(())
}

/// `None` when help was asked for.
fn parse(words: Vec<String>) -> Result<Option<Request>> {
    let mut request = Request::default();
    let mut args = Args::new(words);
    while let Some(arg) = args.next()? {
        match arg {
            Arg::Flag(flag) => match flag.as_str() {
                "help" => return Ok(None),
                "target" => request.target = Some(args.value(&flag)?),
                "program" => request.program = Some(args.value(&flag)?.into()),
                "out" => request.out = Some(args.value(&flag)?.into()),
                _ => anyhow::bail!("no option --{flag}"),
            },
            Arg::Word(word) => anyhow::bail!("`{word}` is not understood"),
        }
    }
    Ok(Some(request))
}

/// What the program asks of a system, for people.
fn asks(elf: &elf::Elf) -> String {
    match elf.glibc() {
        None if elf.is_static() => "static, for every Linux".into(),
        Some((major, minor)) => format!("for glibc {major}.{minor} and newer"),
        None => format!("needs {}", elf.needed.keys().cloned().collect::<Vec<_>>().join(", ")),
    }
}

/// Of the environment, as Debian's tools read it; else the authors, who have no address.
fn maintainer(release: &Release) -> String {
    match (std::env::var("DEBFULLNAME"), std::env::var("DEBEMAIL")) {
        (Ok(name), Ok(address)) => format!("{name} <{address}>"),
        _ => release.authors.clone(),
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    Ok(gan_fs::replace(path, Durability::Visible, |out| out.write_all(bytes))?)
}

/// A folder for what is needed on the way, hidden in the folder of the packages; it goes when this is dropped.
struct Work(PathBuf);

impl Work {
    fn begin(out: &Path) -> Result<Self> {
        let work = out.join(format!(".work-{}", std::process::id()));
        fs::create_dir_all(&work).with_context(|| format!("cannot make {}", work.display()))?;
        Ok(Work(work))
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        // What is left behind is hidden and in nobody's way.
        let _ = fs::remove_dir_all(&self.0);
    }
}
