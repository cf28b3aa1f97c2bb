//! The folder that is carried over. It is made under another name and gets its own when it is complete.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use flate2::Compression;
use flate2::write::GzEncoder;

pub(super) struct Bundle {
    wanted: PathBuf,
    part: PathBuf,
}

impl Bundle {
    /// Nothing may be at `wanted` but an earlier bundle, which is replaced.
    pub(super) fn begin(wanted: &Path) -> Result<Self> {
        let Some(name) = wanted.file_name() else { bail!("{} is no folder that could be made", wanted.display()) };
        if wanted.exists() && !wanted.join("benches/gpu_check.py").is_file() {
            bail!("{} is there already and is no bundle of an earlier run; name another folder", wanted.display());
        }
        let part = wanted.with_file_name(format!("{}.part", name.to_string_lossy()));
        if part.exists() {
            fs::remove_dir_all(&part).with_context(|| format!("cannot remove {}", part.display()))?;
        }
        fs::create_dir_all(&part).with_context(|| format!("cannot make {}", part.display()))?;
        Ok(Bundle { wanted: wanted.to_owned(), part })
    }

    /// Copies the files of a folder of the workspace, the folders in it left out.
    pub(super) fn folder(&self, root: &Path, name: &str) -> Result<()> {
        let (from, to) = (root.join(name), self.part.join(name));
        fs::create_dir_all(&to).with_context(|| format!("cannot make {}", to.display()))?;
        for entry in fs::read_dir(&from).with_context(|| format!("cannot read {}", from.display()))? {
            let path = entry?.path();
            if let (true, Some(name)) = (path.is_file(), path.file_name()) {
                fs::copy(&path, to.join(name)).with_context(|| format!("cannot copy {}", path.display()))?;
            }
        }
        Ok(())
    }

    /// Writes a script.
    pub(super) fn script(&self, name: &str, text: &str) -> Result<()> {
        let path = self.part.join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
        }
        Ok(())
    }

    /// Packs the programs, without symbols where `strip` is at hand, into `programs.tar.gz`.
    pub(super) fn programs(&self, programs: &[(String, PathBuf)]) -> Result<()> {
        let path = self.part.join("programs.tar.gz");
        let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
        let mut tar = tar::Builder::new(GzEncoder::new(file, Compression::default()));
        for (name, program) in programs {
            let stripped = self.part.join("stripped");
            let done = Command::new("strip").arg("-o").arg(&stripped).arg(program).status();
            let from = if done.is_ok_and(|status| status.success()) { &stripped } else { program };
            tar.append_path_with_name(from, name).with_context(|| format!("cannot pack {}", program.display()))?;
            if stripped.exists() {
                fs::remove_file(&stripped)?;
            }
        }
        tar.into_inner()?.finish()?;
        Ok(())
    }

    /// Gives the folder its name; returns its size.
    pub(super) fn finish(self) -> Result<u64> {
        if self.wanted.exists() {
            fs::remove_dir_all(&self.wanted).with_context(|| format!("cannot replace {}", self.wanted.display()))?;
        }
        fs::rename(&self.part, &self.wanted).with_context(|| format!("cannot make {}", self.wanted.display()))?;
        size(&self.wanted)
    }
}

fn size(path: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        bytes += if entry.file_type()?.is_dir() { size(&entry.path())? } else { entry.metadata()?.len() };
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_bundle_is_whole_or_not_there() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        fs::create_dir_all(root.join("benches/deeper")).unwrap();
        fs::write(root.join("benches/gpu_check.py"), "pass").unwrap();
        fs::write(root.join("program"), "no program").unwrap();
        let wanted = folder.path().join("out");
        for _ in 0..2 {
            let bundle = Bundle::begin(&wanted).unwrap();
            bundle.folder(&root, "benches").unwrap();
            bundle.script("run", "#!/bin/sh\n").unwrap();
            bundle.programs(&[("tests/program".into(), root.join("program"))]).unwrap();
            assert!(bundle.finish().unwrap() > 0);
        }
        assert!(wanted.join("benches/gpu_check.py").is_file() && !wanted.join("benches/deeper").exists());
        let archive = File::open(wanted.join("programs.tar.gz")).unwrap();
        let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(archive));
        let names: Vec<_> = archive.entries().unwrap().map(|e| e.unwrap().path().unwrap().into_owned()).collect();
        assert_eq!(names, [Path::new("tests/program")]);
        assert!(!folder.path().join("out.part").exists());
        fs::create_dir(folder.path().join("photos")).unwrap();
        assert!(Bundle::begin(&folder.path().join("photos")).is_err());
    }
}
