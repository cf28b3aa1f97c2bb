//! The wheels that a compiler for CUDA is made of, and bringing them here.
//!
//! All are of one release, 13.0, and not of a newer one: what the compiler writes (PTX) is compiled once more by the
//! driver of the machine that it runs on, and a driver refuses PTX that is newer than itself. 13.0 is what drivers from
//! 580 on take, and the release that current PyTorch wheels bring the libraries of.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::program;
use gan_fetch::{digest, human};

/// One wheel.
#[derive(Debug)]
pub(super) struct Wheel {
    /// Its name for pip.
    pub(super) name: &'static str,
    pub(super) version: &'static str,
    /// The rest of its file's name: the systems it is for.
    tag: &'static str,
    pub(super) sha256: &'static str,
    bytes: u64,
}

/// The release of CUDA, as `nvcc --version` says it.
pub(super) const RELEASE: &str = "13.0";
/// The version of PTX that this release writes.
pub(super) const PTX_VERSION: &str = "9.0";

pub(super) const WHEELS: [Wheel; 5] = [
    // nvcc and the programs it runs.
    Wheel {
        name: "nvidia-cuda-nvcc",
        version: "13.0.88",
        tag: "py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64",
        sha256: "56fe502eb77625a12f25172caa3cdddb4e4c8ba2c8c17dba44b164761b380f03",
        bytes: 37_384_532,
    },
    // The headers that are nvcc's own.
    Wheel {
        name: "nvidia-cuda-crt",
        version: "13.0.88",
        tag: "py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64",
        sha256: "2c8043c7c9e02492716426e9919fc78d2c5b3b2a7a768a88e952676b08aa55a4",
        bytes: 134_086,
    },
    // The compiler of device code, cicc, and libdevice.
    Wheel {
        name: "nvidia-nvvm",
        version: "13.0.88",
        tag: "py3-none-manylinux2010_x86_64.manylinux_2_12_x86_64",
        sha256: "c5f41ffeb6466944a026dfa5317d7d85355c119bbec279205d22f1869d1054e0",
        bytes: 61_601_415,
    },
    // The headers that every kernel includes, and the static runtime.
    Wheel {
        name: "nvidia-cuda-runtime",
        version: "13.0.96",
        tag: "py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64",
        sha256: "7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548",
        bytes: 2_243_632,
    },
    // Headers that cuda_fp16.h and cuda_bf16.h include.
    Wheel {
        name: "nvidia-cuda-cccl",
        version: "13.0.85",
        tag: "py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64",
        sha256: "e0da7ad981f3a8aff08241b5bfc1af868742a63e2762f53a5171c492ef242649",
        bytes: 3_120_526,
    },
];

impl Wheel {
    /// The name that pip saves it under.
    pub(super) fn file_name(&self) -> String {
        format!("{}-{}-{}.whl", self.name.replace('-', "_"), self.version, self.tag)
    }

    fn is_intact(&self, path: &Path) -> bool {
        digest::of_file(path, |_| {}).is_ok_and(|found| found.sha256 == self.sha256)
    }

    /// Brings the wheel to `folder`, unless it is there already, and returns its path.
    ///
    /// # Errors
    /// When Python or pip is missing, pip fails, or the file is not the one that is expected.
    pub(super) fn bring(&self, folder: &Path) -> Result<PathBuf> {
        let path = folder.join(self.file_name());
        let (name, version) = (self.name, self.version);
        if self.is_intact(&path) {
            eprintln!("{name} {version}: here already");
            return Ok(path);
        }
        eprintln!("{name} {version}: {}", human::bytes(self.bytes));
        // A damaged one would only be found "already downloaded".
        if path.exists() {
            std::fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
        let mut pip = python();
        pip.args(["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--progress-bar=off"]);
        pip.arg("--disable-pip-version-check").arg("--dest").arg(folder).arg(format!("{name}=={version}"));
        program::output(&mut pip, NO_PYTHON).with_context(|| by_hand(folder, self))?;
        if !path.is_file() {
            bail!("{}: pip brought another file than {}", by_hand(folder, self), self.file_name());
        }
        if !self.is_intact(&path) {
            bail!("{} has another sha256 than {}: it is damaged or is not the real one", path.display(), self.sha256);
        }
        Ok(path)
    }
}

const NO_PYTHON: &str = "install Python 3 with pip, or name it in the variable PYTHON";

fn python() -> Command {
    Command::new(std::env::var_os("PYTHON").filter(|name| !name.is_empty()).unwrap_or_else(|| "python3".into()))
}

/// Finds out that pip can be used before anything is begun.
///
/// # Errors
/// When Python or pip is missing.
pub(super) fn need_pip() -> Result<()> {
    program::output(python().args(["-m", "pip", "--version"]), NO_PYTHON).map(drop).context(
        "pip is needed to bring the compiler (Debian and Ubuntu: apt install python3-pip; elsewhere: python3 -m ensurepip)",
    )
}

/// What can be done where pip cannot reach its index.
fn by_hand(folder: &Path, wheel: &Wheel) -> String {
    let missing: String = WHEELS
        .iter()
        .map(Wheel::file_name)
        .filter(|name| !folder.join(name).exists())
        .map(|name| format!("\n  {name}"))
        .collect();
    format!(
        "cannot bring {} {}; without a network, put these files into {} and run this again:{missing}\nreason",
        wheel.name,
        wheel.version,
        folder.display()
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_table_is_of_one_release() {
        for wheel in &WHEELS {
            assert!(wheel.version.starts_with(&format!("{RELEASE}.")), "{wheel:?}");
            assert!(wheel.sha256.len() == 64, "{wheel:?}");
            assert!(wheel.sha256.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f')), "{wheel:?}");
            assert!(wheel.name.starts_with("nvidia-") && !wheel.name.contains('_'), "{wheel:?}");
            assert!(wheel.tag.ends_with("x86_64"), "{wheel:?}");
        }
        for (i, wheel) in WHEELS.iter().enumerate() {
            assert!(WHEELS[..i].iter().all(|other| other.name != wheel.name && other.sha256 != wheel.sha256));
        }
        let total: u64 = WHEELS.iter().map(|wheel| wheel.bytes).sum();
        assert_eq!(human::bytes(total), "104 MB");
    }

    #[test]
    fn names_of_files() {
        let names: Vec<_> = WHEELS.iter().map(Wheel::file_name).collect();
        assert_eq!(names[2], "nvidia_nvvm-13.0.88-py3-none-manylinux2010_x86_64.manylinux_2_12_x86_64.whl");
    }

    #[test]
    fn a_wheel_that_is_here_is_not_fetched_and_a_damaged_one_is_not_taken() {
        let dir = tempfile::tempdir().unwrap();
        let wheel = Wheel { sha256: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", ..WHEELS[0] };
        let path = dir.path().join(wheel.file_name());
        std::fs::write(&path, "abc").unwrap();
        assert_eq!(wheel.bring(dir.path()).unwrap(), path);
        std::fs::write(&path, "abd").unwrap();
        assert!(!wheel.is_intact(&path));
    }

    #[test]
    fn the_way_without_a_network_is_told() {
        let said = by_hand(Path::new("/d/wheels"), &WHEELS[1]);
        assert!(said.contains("cannot bring nvidia-cuda-crt 13.0.88"), "{said}");
        assert!(
            said.contains("put these files into /d/wheels and run this again:\n  nvidia_cuda_nvcc-13.0.88-"),
            "{said}"
        );
        assert_eq!(said.matches(".whl").count(), WHEELS.len());
    }
}
