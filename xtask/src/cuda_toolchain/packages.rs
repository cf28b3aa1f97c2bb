//! What the packages that speak to CUDA from Rust declare: the functions that a program of this workspace may call.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::program;
use crate::workspace::cargo;

/// What cargo knows of the workspace, as far as it is needed here.
#[derive(Debug, Deserialize)]
pub(super) struct Metadata {
    packages: Vec<Package>,
    /// Where cargo builds.
    pub(super) target_directory: PathBuf,
}

/// A package of the workspace's dependencies, with its sources on this machine.
#[derive(Debug, Deserialize)]
pub(super) struct Package {
    name: String,
    pub(super) version: String,
    manifest_path: PathBuf,
}

impl Metadata {
    /// Asks cargo, which fetches the sources that are not here yet.
    ///
    /// # Errors
    /// When cargo fails, for want of a network for instance.
    pub(super) fn read(root: &Path) -> Result<Self> {
        let mut command = cargo(root);
        command.args(["metadata", "--format-version=1", "--features=gan-cli/cuda"]);
        command.arg("--filter-platform=x86_64-unknown-linux-gnu");
        let said = program::output(&mut command, "install Rust")?;
        serde_json::from_str(&said).context("cannot read what `cargo metadata` says")
    }

    /// The package of that name.
    ///
    /// # Errors
    /// When there is none, or more than one version of it.
    pub(super) fn package(&self, name: &str) -> Result<&Package> {
        let mut named = self.packages.iter().filter(|package| package.name == name);
        match (named.next(), named.next()) {
            (Some(package), None) => Ok(package),
            (None, _) => bail!("no package `{name}` among the dependencies of gan-cli with the feature cuda"),
            (Some(a), Some(b)) => bail!("two versions of `{name}` at once: {} and {}", a.version, b.version),
        }
    }
}

impl Package {
    /// The C functions that the package's source file `path` declares.
    ///
    /// # Errors
    /// When it cannot be read or declares none: then the package has changed, and so must this program.
    pub(super) fn functions(&self, path: &str) -> Result<BTreeSet<String>> {
        let path = self.manifest_path.with_file_name(path);
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let names = declared(&text);
        if names.is_empty() {
            bail!("no function is declared in {}", path.display());
        }
        Ok(names)
    }
}

/// The names in lines such as `pub unsafe fn cuInit(…` and `pub fn launch(…`, without those of the bindings themselves:
/// `culib` and `is_culib_present` are about the library, and methods belong to its types.
fn declared(text: &str) -> BTreeSet<String> {
    let name = |line: &str| {
        let line = line.trim_start();
        let rest = line.strip_prefix("pub unsafe fn ").or_else(|| line.strip_prefix("pub fn "))?;
        let (name, arguments) = rest.split_once('(')?;
        let plain = !name.is_empty() && name.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_');
        let about = matches!(name, "culib" | "is_culib_present") || arguments.starts_with("self");
        (plain && !about).then(|| name.to_owned())
    };
    text.lines().filter_map(name).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn functions_of_bindings() {
        let bindings = "\
pub type CUresult = cudaError_enum;
#[cfg(feature = \"cuda-13000\")]
pub unsafe fn cuInit(Flags: ::core::ffi::c_uint) -> CUresult {
    (load::<F>(\"cuInit\"))(Flags)
}
    pub unsafe fn cuCtxSynchronize() -> CUresult {
pub unsafe fn cuInit(Flags: ::core::ffi::c_uint) -> CUresult {
fn load<F: Copy>(name: &str) -> F {
pub unsafe fn is_culib_present() -> bool {
pub unsafe fn culib() -> &'static ::libloading::Library {
    pub fn new_bitfield_1(self) -> u32 {
// pub unsafe fn cuGone();
extern \"C\" {
    pub fn launch_mmq(
        x: *const f32,
    );
}
";
        let names: Vec<_> = declared(bindings).into_iter().collect();
        assert_eq!(names, ["cuCtxSynchronize", "cuInit", "launch_mmq"]);
    }

    #[test]
    fn packages_are_found_by_name() {
        let metadata = |packages: &str| -> Metadata {
            serde_json::from_str(&format!("{{\"packages\":[{packages}],\"target_directory\":\"/t\",\"x\":1}}")).unwrap()
        };
        let package = |name: &str, version: &str| {
            format!("{{\"name\":\"{name}\",\"version\":\"{version}\",\"manifest_path\":\"/r/{name}/Cargo.toml\"}}")
        };
        let one = metadata(&package("cudarc", "0.19.10"));
        assert_eq!(one.package("cudarc").unwrap().version, "0.19.10");
        let said = one.package("candle-kernels").unwrap_err().to_string();
        assert!(said.contains("no package `candle-kernels`"), "{said}");
        let two = metadata(&[package("cudarc", "0.18.0"), package("cudarc", "0.19.10")].join(","));
        assert!(two.package("cudarc").unwrap_err().to_string().contains("0.18.0 and 0.19.10"));
    }

    #[test]
    fn a_package_that_has_changed_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("sys.rs"), "//! nothing\n").unwrap();
        let manifest_path = dir.path().join("Cargo.toml");
        let package = Package { name: "cudarc".into(), version: "1.0.0".into(), manifest_path };
        assert!(package.functions("sys.rs").unwrap_err().to_string().contains("no function is declared in"));
        assert!(package.functions("gone.rs").unwrap_err().to_string().contains("cannot read"));
    }
}
