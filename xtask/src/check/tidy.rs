//! Rules about files that no lint knows.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// A longer file holds more than one idea.
const MAX_LINES: usize = 600;

/// One line for each breach, in the order of the paths.
pub(super) fn violations(root: &Path) -> Result<Vec<String>> {
    let mut files = Vec::new();
    walk(root, &mut files)?;
    files.sort();
    let mut found = Vec::new();
    for path in &files {
        let shown = path.strip_prefix(root).unwrap_or(path);
        let presets = shown.starts_with("crates/gan-cli/presets");
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("rs") => {
                let text = read(path)?;
                found.extend(source(&text).map(|breach| format!("{}: {breach}", shown.display())));
            }
            Some("c" | "cu" | "cuh" | "h") => {
                let text = read(path)?;
                found.extend(c_source(&text).map(|breach| format!("{}: {breach}", shown.display())));
            }
            Some("toml") if presets => {
                if let Err(error) = read(path)?.parse::<toml::Table>() {
                    found.push(format!("{}: {}", shown.display(), error.to_string().trim_end()));
                }
            }
            _ => {}
        }
    }
    Ok(found)
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

/// Files of the checkout; build outputs and hidden folders are left out.
fn walk(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for child in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let child = child?;
        let name = child.file_name();
        let name = name.to_string_lossy();
        if name.starts_with('.') || name == "target" {
            continue;
        }
        // Links are not followed: they may lead out of the checkout, or round in a circle.
        let kind = child.file_type()?;
        if kind.is_dir() {
            walk(&child.path(), files)?;
        } else if kind.is_file() {
            files.push(child.path());
        }
    }
    Ok(())
}

/// Breaches of one source file.
fn source(text: &str) -> impl Iterator<Item = String> + use<> {
    let first = text.lines().find(|line| !line.trim().is_empty() && !line.starts_with("#!["));
    let silent =
        (!first.is_some_and(|line| line.starts_with("//!"))).then(|| "does not begin with a `//!` line".into());
    long(text).into_iter().chain(silent)
}

/// Breaches of a file in C or in CUDA's C++.
fn c_source(text: &str) -> impl Iterator<Item = String> + use<> {
    let silent = !text.trim_start().starts_with("//") && !text.trim_start().starts_with("/*");
    let silent = silent.then(|| "does not begin with a comment that says what it holds".into());
    long(text).into_iter().chain(silent)
}

fn long(text: &str) -> Option<String> {
    let lines = text.lines().count();
    (lines > MAX_LINES).then(|| format!("{lines} lines; split it ({MAX_LINES} at most)"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn checkout(files: &[(&str, &str)]) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        violations(dir.path()).unwrap()
    }

    #[test]
    fn this_workspace_is_tidy() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        assert_eq!(violations(&root).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn sources_say_what_they_are_and_stay_short() {
        let long = format!("//! x\n{}", "\n".repeat(600));
        let found = checkout(&[
            ("a.rs", "//! fine\n"),
            ("b.rs", "#![allow(x)]\n\n//! fine\n"),
            ("c.rs", "use std::fs;\n//! late\n"),
            ("d.rs", ""),
            ("e.rs", &long),
            ("target/f.rs", "fn main() {}"),
            (".hidden/g.rs", "fn main() {}"),
        ]);
        let said = ["c.rs: does not begin", "d.rs: does not begin", "e.rs: 601 lines"];
        assert_eq!(found.len(), said.len(), "{found:?}");
        assert!(found.iter().zip(said).all(|(line, said)| line.starts_with(said)), "{found:?}");
    }

    #[test]
    fn kernels_say_what_they_are_and_stay_short() {
        let long = format!("// x\n{}", "\n".repeat(600));
        let found = checkout(&[
            ("a.cu", "// fine\n"),
            ("b.cuh", "/* fine */\n#pragma once\n"),
            ("c.cu", "#include <cuda_bf16.h>\n// late\n"),
            ("d.cu", &long),
            ("e.c", ""),
        ]);
        let said = ["c.cu: does not begin", "d.cu: 601 lines", "e.c: does not begin"];
        assert_eq!(found.len(), said.len(), "{found:?}");
        assert!(found.iter().zip(said).all(|(line, said)| line.starts_with(said)), "{found:?}");
    }

    #[test]
    fn presets_are_toml() {
        let found = checkout(&[
            ("crates/gan-cli/presets/pix2pix/good.toml", "lr = 1\n"),
            ("crates/gan-cli/presets/pix2pix/bad.toml", "lr = \n"),
            ("other/bad.toml", "lr = \n"),
        ]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("crates/gan-cli/presets/pix2pix/bad.toml: "));
    }
}
