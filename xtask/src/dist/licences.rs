//! The licences of everything that is compiled in, as one text.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use super::packages::Package;

/// Beginnings of the names of files with licences, in lower case.
const NAMES: &[&str] = &["license", "licence", "copying", "notice", "unlicense", "copyright"];

/// Endings of files that are named so and hold something else.
const OTHER_FILES: &[&str] = &["rs", "c", "h", "py", "toml", "json", "yml", "yaml"];

/// A licence that is not a package's: of the standard library, or of the C library.
pub(super) struct Further {
    pub(super) title: String,
    pub(super) text: String,
}

/// Every package of others with its licence and authors, then the texts, each once. A package without a text of its own gets those of
/// a package of the same repository, or, where it may be used under it, the Apache licence `apache`.
///
/// # Errors
/// When no text is known for a package.
pub(super) fn text(packages: &[Package], further: &[Further], apache: &str) -> Result<String> {
    let mut own = BTreeMap::new();
    for package in packages.iter().filter(|package| !package.is_ours()) {
        let mut texts = Vec::new();
        collect(&package.folder, &mut texts)?;
        own.insert((&package.name, &package.version), texts);
    }
    let mut all = Texts::default();
    let mut list = String::new();
    for package in packages.iter().filter(|package| !package.is_ours()) {
        let mut texts = own[&(&package.name, &package.version)].clone();
        if texts.is_empty() {
            let same = |other: &&Package| other.repository.is_some() && other.repository == package.repository;
            let of_others = packages.iter().filter(same).filter_map(|other| own.get(&(&other.name, &other.version)));
            texts = of_others.flatten().cloned().collect();
        }
        if texts.is_empty() && package.licence.contains("Apache-2.0") {
            texts.push(apache.to_owned());
        }
        if texts.is_empty() {
            bail!("{} {} ({}) comes without the text of its licence", package.name, package.version, package.licence);
        }
        write!(list, "{} {}\n    {}", package.name, package.version, package.licence)?;
        if let Some(address) = &package.repository {
            write!(list, "\n    {address}")?;
        }
        if !package.authors.is_empty() {
            write!(list, "\n    {}", package.authors.join(", "))?;
        }
        writeln!(list, "\n    texts: {}\n", all.numbers(texts))?;
    }
    for Further { title, text } in further {
        writeln!(list, "{title}\n    texts: {}\n", all.numbers(vec![text.clone()]))?;
    }
    let mut out = format!(
        "gan-cli contains the code of these packages, each under its own terms. The numbers are those of the texts below.\n\n{list}"
    );
    for (at, text) in all.in_order.iter().enumerate() {
        write!(out, "{:=<78}\nText {}\n{:=<78}\n\n{text}\n\n", "", at + 1, "")?;
    }
    Ok(out)
}

/// Different texts, numbered from 1.
#[derive(Default)]
struct Texts {
    in_order: Vec<String>,
}

impl Texts {
    /// The numbers of these texts, each once and in order.
    fn numbers(&mut self, texts: Vec<String>) -> String {
        let mut numbers: Vec<_> = texts.into_iter().map(|text| self.number(text)).collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers.iter().map(usize::to_string).collect::<Vec<_>>().join(", ")
    }

    fn number(&mut self, text: String) -> usize {
        let known = self.in_order.iter().position(|other| *other == text);
        known.unwrap_or_else(|| {
            self.in_order.push(text);
            self.in_order.len() - 1
        }) + 1
    }
}

/// Adds the licences of a package and of what it carries along, in the order of their paths.
fn collect(folder: &Path, texts: &mut Vec<String>) -> Result<()> {
    let failed = || format!("cannot read {}; `cargo fetch` brings the sources back", folder.display());
    let entries = fs::read_dir(folder).with_context(failed)?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    paths.sort();
    for path in paths {
        if path.is_dir() {
            collect(&path, texts)?;
        } else if is_licence(&path) {
            let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
            texts.push(tidy(&String::from_utf8_lossy(&bytes)));
        }
    }
    Ok(())
}

fn is_licence(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let extension = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
    NAMES.iter().any(|start| name.starts_with(start)) && !OTHER_FILES.contains(&extension.as_str())
}

/// The text with ends of lines of one kind, so that copies of one text are told to be the same.
fn tidy(text: &str) -> String {
    let lines: Vec<_> = text.trim_start_matches('\u{feff}').lines().map(str::trim_end).collect();
    lines.join("\n").trim_matches('\n').to_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::collections::BTreeSet;

    fn package(root: &Path, name: &str, licence: &str, files: &[(&str, &str)]) -> Package {
        let folder = root.join(name);
        fs::create_dir_all(folder.join("vendored")).unwrap();
        for (file, text) in files {
            fs::write(folder.join(file), text).unwrap();
        }
        Package {
            name: name.into(),
            version: "1.0.0".into(),
            licence: licence.into(),
            authors: vec!["An Author".into()],
            repository: Some(format!("https://h/{}", name.split('-').next().unwrap())),
            description: String::new(),
            folder,
            sha256: Some("00".into()),
            uses: BTreeSet::new(),
        }
    }

    #[test]
    fn every_package_has_a_text_and_every_text_is_there_once() {
        let dir = tempfile::tempdir().unwrap();
        let mut packages = vec![
            package(
                dir.path(),
                "a",
                "MIT",
                &[("LICENSE", "one\r\n"), ("vendored/COPYING.txt", "two"), ("license.rs", "no")],
            ),
            package(dir.path(), "b", "MIT", &[("LICENSE-MIT", "one \n")]),
            package(dir.path(), "b-more", "MIT", &[]),
            package(dir.path(), "c", "MIT OR Apache-2.0", &[]),
        ];
        packages.push(Package { sha256: None, ..package(dir.path(), "ours", "MIT", &[("LICENSE", "ours")]) });
        let std = Further { title: "std".into(), text: "three".into() };
        let text = text(&packages, &[std], "apache").unwrap();
        let (list, texts) = text.split_once("====").unwrap();
        let numbers: Vec<_> = list.lines().filter_map(|line| line.trim().strip_prefix("texts: ")).collect();
        assert_eq!(numbers, ["1, 2", "1", "1", "3", "4"], "{list}");
        for once in ["one", "two", "apache", "three"] {
            assert_eq!(texts.lines().filter(|line| *line == once).count(), 1, "{once}: {texts}");
        }
        assert!(
            !text.contains("ours") && list.contains("a 1.0.0\n    MIT\n    https://h/a\n    An Author\n"),
            "{text}"
        );
    }

    #[test]
    fn a_package_without_a_text_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let packages = [package(dir.path(), "a", "MIT", &[])];
        assert!(text(&packages, &[], "apache").unwrap_err().to_string().contains("a 1.0.0 (MIT) comes without"));
    }
}
