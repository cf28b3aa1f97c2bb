//! What a release installs: the program, what it prints of itself (manual pages, completions), documents and licences.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::licences::{self, Further};
use super::packages::Package;
use super::tree::File;

/// Where each shell looks below a prefix.
const COMPLETIONS: &[(&str, &str)] = &[
    ("bash", "share/bash-completion/completions/gan-cli"),
    ("zsh", "share/zsh/site-functions/_gan-cli"),
    ("fish", "share/fish/vendor_completions.d/gan-cli.fish"),
];

/// Documents of the workspace.
const DOCUMENTS: &[&str] = &["README.md", "CHANGELOG.md", "LICENSE-MIT", "LICENSE-APACHE"];

/// The files below a prefix. `program` is run to write its pages.
pub(super) fn gather(root: &Path, program: &Path, packages: &[Package], further: &[Further]) -> Result<Vec<File>> {
    let content = fs::read(program).with_context(|| format!("cannot read {}", program.display()))?;
    let mut files = vec![File::program("bin/gan-cli", content)];
    files.extend(pages(program)?);
    for (shell, path) in COMPLETIONS {
        files.push(File::plain(*path, answer(program, &["completions".as_ref(), shell.as_ref()])?));
    }
    for name in DOCUMENTS {
        files.push(File::plain(format!("share/doc/gan-cli/{name}"), document(root, name)?));
    }
    let apache = String::from_utf8_lossy(&document(root, "LICENSE-APACHE")?).into_owned();
    files.push(File::plain("share/doc/gan-cli/THIRD-PARTY.txt", licences::text(packages, further, &apache)?));
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

fn document(root: &Path, name: &str) -> Result<Vec<u8>> {
    fs::read(root.join(name)).with_context(|| format!("cannot read {}", root.join(name).display()))
}

/// The manual pages, as the program writes them.
fn pages(program: &Path) -> Result<Vec<File>> {
    let folder = program.with_file_name("man");
    answer(program, &["man".as_ref(), folder.as_os_str()])?;
    let mut pages = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        pages.push(File::plain(format!("share/man/man1/{name}"), fs::read(&path)?));
    }
    Ok(pages)
}

fn answer(program: &Path, args: &[&std::ffi::OsStr]) -> Result<Vec<u8>> {
    let output = Command::new(program).args(args).output();
    let output =
        output.with_context(|| format!("cannot run {}: a program is packed where it runs", program.display()))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        bail!("`gan-cli {}` ended with {}: {said}", args[0].display(), output.status);
    }
    Ok(output.stdout)
}
