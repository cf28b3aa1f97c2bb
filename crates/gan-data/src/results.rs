//! Folders that commands write datasets to: nothing that is read is overwritten, and results of two calls never mix.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use gan_fs::{FileId, is_same};

use crate::error::{Error, Result};
use crate::image_file::shown;
use crate::listing::is_hidden;

/// At most this many names are spelt out.
const NAMES_SHOWN: usize = 3;

/// Foreign files are counted up to here; a home folder named by mistake is not walked to its end.
const COUNTED: usize = 1000;

/// What a call is about to do.
pub(crate) struct Plan<'a> {
    /// Folders that are read.
    pub(crate) sources: &'a [&'a Path],
    /// Files that are read.
    pub(crate) inputs: Vec<&'a Path>,
    /// Folders that must hold nothing but the outputs afterwards.
    pub(crate) folders: Vec<PathBuf>,
    /// All files that will be written.
    pub(crate) outputs: &'a [PathBuf],
}

impl Plan<'_> {
    /// Checks the plan, then removes what an earlier call left under the names of the outputs, so that a call that ends
    /// early leaves nothing old among the new.
    ///
    /// # Errors
    /// [`Error::Output`] before anything is changed: a folder of results that is read, an output that is an input, a
    /// folder with files that this call does not write. [`Error::Io`] if the disk refuses.
    pub(crate) fn prepare(self) -> Result<()> {
        let mut outputs = BTreeSet::new();
        for path in self.outputs {
            if !outputs.insert(path.as_path()) {
                return Err(refused(path, "two results would get this name", "rename one of their sources"));
            }
        }
        let mut foreign = Vec::new();
        for folder in &self.folders {
            if self.sources.iter().any(|source| is_same(source, folder)) {
                return Err(refused(folder, "it is the folder that is read", "name another folder"));
            }
            match fs::metadata(folder) {
                Ok(metadata) if !metadata.is_dir() => {
                    let reason = format!("it is {}", gan_fs::kind(metadata.file_type()));
                    return Err(refused(folder, reason, "name a folder"));
                }
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(error) => return Err(Error::io("read", folder, error)),
            }
            walk(folder, &outputs, &mut foreign)?;
        }
        self.refuse_inputs()?;
        if let Some(first) = foreign.first() {
            let folder = self.folders.iter().find(|folder| first.starts_with(folder)).unwrap_or(first);
            let within = |path: &PathBuf| shown(path.strip_prefix(folder).unwrap_or(path));
            let names: Vec<_> = foreign.iter().take(NAMES_SHOWN).map(within).collect();
            let more = if foreign.len() > NAMES_SHOWN { ", …" } else { "" };
            let holds = match foreign.len() {
                1 => "1 file".to_owned(),
                COUNTED.. => format!("{COUNTED} files or more"),
                n => format!("{n} files"),
            };
            let reason = format!("it holds {holds} that this call would not write ({}{more})", names.join(", "));
            return Err(refused(folder, reason, "name another folder, or empty this one"));
        }
        for path in self.outputs {
            match fs::symlink_metadata(path) {
                Ok(metadata) if metadata.is_dir() => {
                    return Err(refused(path, "it is a folder", "name another folder"));
                }
                Ok(_) => fs::remove_file(path).map_err(|e| Error::io("write", path, e))?,
                Err(_) => {}
            }
        }
        Ok(())
    }

    /// Refuses outputs that are inputs, whatever names lead to them.
    fn refuse_inputs(&self) -> Result<()> {
        let ids = self.inputs.iter().filter_map(|path| Some((FileId::of(path).ok()?, *path)));
        let inputs: BTreeMap<FileId, &Path> = ids.collect();
        for path in self.outputs {
            if let Some(input) = FileId::of(path).ok().and_then(|id| inputs.get(&id)) {
                let reason = format!("it is the same file as {}, which is read", input.display());
                return Err(refused(path, reason, "name another folder"));
            }
        }
        Ok(())
    }
}

fn refused(path: &Path, reason: impl Into<String>, remedy: &'static str) -> Error {
    Error::Output { path: path.to_path_buf(), reason: reason.into(), remedy }
}

/// Files below a folder that are not among the `outputs`. Links are not followed; hidden files, which desktops and
/// interrupted calls leave, are no results.
fn walk(folder: &Path, outputs: &BTreeSet<&Path>, foreign: &mut Vec<PathBuf>) -> Result<()> {
    let listed = fs::read_dir(folder).and_then(|entries| entries.collect::<Result<Vec<_>, _>>());
    let mut entries = listed.map_err(|e| Error::io("list", folder, e))?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let (path, kind) = (entry.path(), entry.file_type().map_err(|e| Error::io("list", folder, e))?);
        if foreign.len() >= COUNTED {
            break;
        } else if is_hidden(&entry.file_name()) {
            continue;
        } else if kind.is_dir() {
            walk(&path, outputs, foreign)?;
        } else if !outputs.contains(path.as_path()) {
            foreign.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn plan<'a>(sources: &'a [&'a Path], inputs: &'a [PathBuf], out: &Path, outputs: &'a [PathBuf]) -> Result<()> {
        let inputs = inputs.iter().map(PathBuf::as_path).collect();
        Plan { sources, inputs, folders: vec![out.to_path_buf()], outputs }.prepare()
    }

    #[test]
    fn results_of_two_calls_do_not_mix() {
        let dir = tempfile::TempDir::new().unwrap();
        let out = dir.path().join("out");
        let outputs = [out.join("a.png"), out.join("s/b.png")];
        plan(&[], &[], &out, &outputs).unwrap();
        fs::create_dir_all(out.join("s")).unwrap();
        outputs.iter().for_each(|path| fs::write(path, "old").unwrap());
        fs::write(out.join(".DS_Store"), "").unwrap();
        // One name less: nothing is touched.
        let error = plan(&[], &[], &out, &outputs[..1]).unwrap_err().to_string();
        assert!(error.contains("holds 1 file that this call would not write (s/b.png)"), "{error}");
        assert!(outputs[0].exists());
        // The same names: the old ones are gone before the first new one is there.
        plan(&[], &[], &out, &outputs).unwrap();
        assert!(!outputs[0].exists() && !outputs[1].exists());
        fs::create_dir(&outputs[0]).unwrap();
        assert!(plan(&[], &[], &out, &outputs).is_err(), "a folder of that name");
        fs::write(dir.path().join("file"), "").unwrap();
        assert!(plan(&[], &[], &dir.path().join("file"), &[]).unwrap_err().to_string().contains("it is a file"));
    }

    #[cfg(unix)]
    #[test]
    fn inputs_are_recognised_by_every_name() {
        let dir = tempfile::TempDir::new().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::create_dir_all(at("in")).unwrap();
        fs::create_dir_all(at("out")).unwrap();
        fs::write(at("in/a.png"), "image").unwrap();
        std::os::unix::fs::symlink(at("in"), at("link")).unwrap();
        let inputs = [at("in/a.png")];
        for folder in ["in", "link", "out/../in"] {
            let outputs = [at(folder).join("a.png")];
            let error = plan(&[&at("in")], &inputs, &at(folder), &outputs).unwrap_err();
            assert!(error.to_string().contains("the folder that is read"), "{error}");
        }
        let output = [at("out/a.png")];
        for link in [fs::hard_link, |from: PathBuf, to: PathBuf| std::os::unix::fs::symlink(from, to)] {
            link(at("in/a.png"), output[0].clone()).unwrap();
            let error = plan(&[&at("in")], &inputs, &at("out"), &output).unwrap_err();
            assert!(error.to_string().contains("same file as"), "{error}");
            fs::remove_file(&output[0]).unwrap();
        }
        assert_eq!(fs::read(&inputs[0]).unwrap(), b"image");
    }
}
