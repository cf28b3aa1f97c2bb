//! The packages that are compiled into the program: what cargo says of them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::workspace::cargo;

/// A package whose code is in the program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Package {
    pub(super) name: String,
    pub(super) version: String,
    /// An SPDX expression.
    pub(super) licence: String,
    pub(super) authors: Vec<String>,
    pub(super) repository: Option<String>,
    pub(super) description: String,
    /// Where its sources lie.
    pub(super) folder: PathBuf,
    /// SHA-256 of the package as the registry has it; `None` for members of the workspace.
    pub(super) sha256: Option<String>,
    /// Names and versions of the packages in the program that it uses.
    pub(super) uses: BTreeSet<(String, String)>,
}

impl Package {
    /// Whether it is a member of the workspace.
    pub(super) fn is_ours(&self) -> bool {
        self.sha256.is_none()
    }
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Described>,
    resolve: Resolve,
}

/// A package in cargo's metadata.
#[derive(Deserialize)]
struct Described {
    id: String,
    name: String,
    version: String,
    license: Option<String>,
    authors: Vec<String>,
    repository: Option<String>,
    description: Option<String>,
    manifest_path: PathBuf,
    source: Option<String>,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    deps: Vec<Edge>,
}

#[derive(Deserialize)]
struct Edge {
    pkg: String,
    dep_kinds: Vec<EdgeKind>,
}

#[derive(Deserialize)]
struct EdgeKind {
    /// `null` for what is compiled in; `build` and `dev` else.
    kind: Option<String>,
}

#[derive(Deserialize)]
struct LockFile {
    package: Vec<Locked>,
}

#[derive(Deserialize)]
struct Locked {
    name: String,
    version: String,
    checksum: Option<String>,
}

/// The packages of the program `root_package` for `target`, in the order of names and versions: its normal dependencies with the
/// default features, without what runs while it is built.
pub(super) fn read(root: &Path, root_package: &str, target: &str) -> Result<Vec<Package>> {
    let tree = output(
        root,
        &["tree", "--locked", "--package", root_package, "--edges", "normal,no-proc-macro", "--target", target]
            .into_iter()
            .chain(["--prefix", "none", "--format", "{p}"])
            .collect::<Vec<_>>(),
    )?;
    let metadata = output(root, &["metadata", "--locked", "--format-version", "1", "--filter-platform", target])?;
    let lock = std::fs::read_to_string(root.join("Cargo.lock")).context("cannot read Cargo.lock")?;
    join(&tree, &metadata, &lock, root_package)
}

fn output(root: &Path, args: &[&str]) -> Result<String> {
    let output = cargo(root).args(args).output().context("cannot start cargo")?;
    if !output.status.success() {
        bail!("cargo {} failed:\n{}", args[0], String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// `tree` says which packages are compiled in (cargo's metadata know no features of a single program), the others what they are.
fn join(tree: &str, metadata: &str, lock: &str, root_package: &str) -> Result<Vec<Package>> {
    let metadata: Metadata = serde_json::from_str(metadata).context("cargo metadata is not understood")?;
    let lock: LockFile = toml::from_str(lock).context("Cargo.lock is not understood")?;
    let sums: BTreeMap<_, _> =
        lock.package.into_iter().filter_map(|locked| Some(((locked.name, locked.version), locked.checksum?))).collect();
    let wanted: BTreeSet<_> = tree.lines().filter_map(name_and_version).collect();
    let key = |package: &Described| (package.name.clone(), package.version.clone());
    let keys: BTreeMap<_, _> = metadata.packages.iter().map(|package| (package.id.as_str(), key(package))).collect();
    let uses: BTreeMap<_, _> =
        metadata.resolve.nodes.iter().map(|node| (node.id.as_str(), node.deps.as_slice())).collect();
    let mut packages = BTreeMap::new();
    for package in metadata.packages.iter().filter(|package| wanted.contains(&key(package))) {
        let key = key(package);
        let sha256 = sums.get(&key).cloned();
        if sha256.is_none() && package.source.is_some() {
            bail!("Cargo.lock has no checksum of {} {}: only packages of a registry can be told apart", key.0, key.1);
        }
        let licence = package.license.as_deref().with_context(|| format!("{} names no licence", key.0))?;
        let dependencies = uses.get(package.id.as_str()).copied().unwrap_or_default();
        let described = Package {
            name: package.name.clone(),
            version: package.version.clone(),
            licence: spdx(licence),
            authors: package.authors.clone(),
            repository: package.repository.as_deref().map(|address| address.trim_end_matches('/').to_owned()),
            description: package.description.clone().unwrap_or_default(),
            folder: gan_fs::parent(&package.manifest_path).to_owned(),
            sha256,
            uses: dependencies
                .iter()
                .filter(|edge| edge.dep_kinds.iter().any(|kind| kind.kind.is_none()))
                .filter_map(|edge| keys.get(edge.pkg.as_str()).cloned())
                .filter(|key| wanted.contains(key))
                .collect(),
        };
        packages.insert(key, described);
    }
    if let Some((name, version)) = wanted.iter().find(|key| !packages.contains_key(*key)) {
        bail!("cargo metadata does not know {name} {version}, which cargo tree names");
    }
    Ok(reachable(packages, root_package))
}

/// The packages that `root_package` leads to. With the features of a whole workspace unified, cargo tree names other members, too.
fn reachable(mut packages: BTreeMap<(String, String), Package>, root_package: &str) -> Vec<Package> {
    let mut open: Vec<_> = packages.keys().filter(|(name, _)| name == root_package).cloned().collect();
    let mut found = BTreeMap::new();
    while let Some(key) = open.pop() {
        if let Some(package) = packages.remove(&key) {
            open.extend(package.uses.iter().cloned());
            found.insert(key, package);
        }
    }
    found.into_values().collect()
}

/// Of a line such as `serde v1.0.0 (*)`.
fn name_and_version(line: &str) -> Option<(String, String)> {
    let mut words = line.split_whitespace();
    Some((words.next()?.to_owned(), words.next()?.strip_prefix('v')?.to_owned()))
}

/// The expression as SPDX writes it: older manifests separate choices by a slash.
fn spdx(licence: &str) -> String {
    licence.split('/').map(str::trim).collect::<Vec<_>>().join(" OR ")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const TREE: &str =
        "gan-cli v0.1.0 (/w/crates/gan-cli)\nserde v1.0.0\nserde v1.0.0 (*)\n\nold v0.3.0\nbuild v1.0.0\n";
    const LOCK: &str = "version = 4\n\n[[package]]\nname = 'serde'\nversion = '1.0.0'\nchecksum = 'aa'\n\n[[package]]\nname = 'old'\n\
                        version = '0.3.0'\nchecksum = 'bb'\n\n[[package]]\nname = 'build'\nversion = '1.0.0'\nchecksum = 'cc'\n\n[[package]]\nname = 'gan-cli'\nversion = '0.1.0'\n";

    fn metadata() -> String {
        let package = |name: &str, version: &str, licence: &str, source: &str| {
            format!(
                r#"{{"id":"{name}","name":"{name}","version":"{version}","license":"{licence}","authors":["A"],"repository":"https://h/{name}/",
                "description":null,"manifest_path":"/r/{name}/Cargo.toml","source":{source}}}"#
            )
        };
        let edge = |name: &str, kind: &str| format!(r#"{{"pkg":"{name}","dep_kinds":[{{"kind":{kind}}}]}}"#);
        let edges = [edge("old", "null"), edge("serde", "null"), edge("build", "\"build\"")].join(",");
        let from_old = edge("serde", "\"dev\"");
        format!(
            r#"{{"packages":[{},{},{},{}],"resolve":{{"nodes":[{{"id":"gan-cli","deps":[{edges}]}},{{"id":"old","deps":[{from_old}]}}]}}}}"#,
            package("serde", "1.0.0", "MIT OR Apache-2.0", "\"registry\""),
            package("gan-cli", "0.1.0", "MIT", "null"),
            package("old", "0.3.0", "MIT/Apache-2.0", "\"registry\""),
            package("build", "1.0.0", "MIT", "\"registry\""),
        )
    }

    #[test]
    fn what_is_compiled_in_is_described() {
        let packages = join(TREE, &metadata(), LOCK, "gan-cli").unwrap();
        let names: Vec<_> = packages.iter().map(|package| package.name.as_str()).collect();
        assert_eq!(names, ["gan-cli", "old", "serde"]);
        let [ours, old, serde] = &packages[..] else { panic!() };
        assert!(ours.is_ours() && !old.is_ours() && old.uses.is_empty() && serde.uses.is_empty());
        let uses: Vec<_> = ours.uses.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(uses, ["old", "serde"], "what runs while it is built is left out");
        assert_eq!((old.licence.as_str(), old.sha256.as_deref()), ("MIT OR Apache-2.0", Some("bb")));
        assert_eq!((old.folder.as_path(), old.repository.as_deref()), (Path::new("/r/old"), Some("https://h/old")));
    }

    #[test]
    fn what_does_not_agree_is_refused() {
        let other = format!("{TREE}new v1.0.0\n");
        for (tree, lock, said) in
            [(other.as_str(), LOCK, "does not know new 1.0.0"), (TREE, "package = []", "no checksum of serde")]
        {
            let error = join(tree, &metadata(), lock, "gan-cli").unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
    }
}
