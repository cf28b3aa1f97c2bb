//! One checkpoint folder.

use std::io::{self, Read, Take};
use std::path::{Path, PathBuf};

use super::tensors::read_from;
use super::{Error, Files, MANIFEST, Manifest, Result, STATE, networks, read_manifest};
use crate::StateDict;

/// A checkpoint folder whose manifest verifies. Its files are read, and verified, when they are asked for; all of them
/// against this one manifest.
#[derive(Debug, Clone)]
pub struct Folder<'a> {
    files: &'a dyn Files,
    dir: PathBuf,
    manifest: Manifest,
}

impl<'a> Folder<'a> {
    /// Opens the checkpoint folder `dir`, which may have any name.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be read; [`Error::Damaged`] if its manifest is not what was written, or if the folder holds
    /// a file that the manifest does not list.
    pub fn open(files: &'a dyn Files, dir: &Path) -> Result<Self> {
        let manifest = read_manifest(files, dir)?;
        refuse_extra_files(files, dir, &manifest)?;
        Ok(Folder { files, dir: dir.to_owned(), manifest })
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What it consists of.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Names of the networks, which are the stems of their files, in the order of the manifest.
    pub fn networks(&self) -> impl Iterator<Item = &str> {
        let stems = self.manifest.files.iter().filter_map(|file| file.name.strip_suffix(".safetensors"));
        networks(&stems.collect::<Vec<_>>()).into_iter()
    }

    /// Whether the manifest lists the file `name`.
    pub fn has_file(&self, name: &str) -> bool {
        self.manifest.file(name).is_some()
    }

    /// The tensors of the file `<stem>.safetensors`, on the CPU, in the order of the file.
    ///
    /// # Errors
    /// [`Error::Damaged`] if there is no such file, or if it is not what was written; [`Error::Io`].
    pub fn tensors(&self, stem: &str) -> Result<StateDict> {
        let name = format!("{stem}.safetensors");
        if !self.has_file(&name) {
            let have: Vec<_> = self.manifest.files.iter().map(|file| file.name.as_str()).collect();
            return Err(Error::damaged(&self.dir, format!("it has no {name}, only {}", have.join(", "))));
        }
        // What the folder says keeps a file that was cut short from asking for the memory that the manifest promises.
        let entries = self.files.list(&self.dir).map_err(|e| Error::io("list", &self.dir, e))?;
        let length = entries.into_iter().find(|entry| entry.name == name).map_or(0, |entry| entry.bytes);
        self.verified(&name, |path, file| read_from(path, file, usize::try_from(length).unwrap_or(usize::MAX)))
    }

    /// `state.json`.
    ///
    /// # Errors
    /// [`Error::Damaged`] if it is not what was written; [`Error::Io`].
    pub fn state(&self) -> Result<serde_json::Value> {
        self.json(STATE)
    }

    /// The JSON file `name`, such as [`MODEL`](super::MODEL).
    ///
    /// # Errors
    /// [`Error::Damaged`] if the manifest does not list it, or if it is not what was written; [`Error::Io`].
    pub fn json(&self, name: &str) -> Result<serde_json::Value> {
        serde_json::from_slice(&self.read(name)?)
            .map_err(|e| Error::damaged(&self.dir.join(name), format!("it is not JSON ({e})")))
    }

    /// The bytes of a file that the manifest lists.
    ///
    /// # Errors
    /// [`Error::Damaged`] if the manifest does not list it, or if size or hash differ; [`Error::Io`].
    pub fn read(&self, name: &str) -> Result<Vec<u8>> {
        self.verified(name, |path, file| {
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes).map_err(|e| Error::io("read", path, e))?;
            Ok(bytes)
        })
    }

    /// What `read` makes of the file `name`, if that is what the manifest says.
    fn verified<T>(&self, name: &str, read: impl FnOnce(&Path, &mut dyn Read) -> Result<T>) -> Result<T> {
        let path = self.dir.join(name);
        let record = self.manifest.file(name).ok_or_else(|| Error::damaged(&path, "the manifest does not list it"))?;
        let file = self.files.open(&path).map_err(|e| Error::io("open", &path, e))?;
        let mut file = Hashed { file: file.take(record.bytes.saturating_add(1)), hasher: blake3::Hasher::new() };
        let result = read(&path, &mut file);
        // What was not read counts as well; and whatever was found in a damaged file, this is why.
        io::copy(&mut file, &mut io::sink()).map_err(|e| Error::io("read", &path, e))?;
        match file.hasher.count() {
            bytes if bytes > record.bytes => {
                Err(Error::damaged(&path, format!("it is larger than {} bytes", record.bytes)))
            }
            bytes if bytes < record.bytes => {
                Err(Error::damaged(&path, format!("it has {bytes} bytes instead of {}", record.bytes)))
            }
            _ if file.hasher.finalize().to_hex().as_str() != record.blake3 => {
                Err(Error::damaged(&path, "its content does not match the hash in the manifest"))
            }
            _ => result,
        }
    }
}

/// Passes on the bytes of a file, and hashes them.
struct Hashed {
    file: Take<Box<dyn Read + Send>>,
    hasher: blake3::Hasher,
}

impl Read for Hashed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.hasher.update(&buffer[..read]);
        Ok(read)
    }
}

/// A file that the manifest does not list was put there by someone else: better to ask than to guess.
fn refuse_extra_files(files: &dyn Files, dir: &Path, manifest: &Manifest) -> Result<()> {
    let entries = files.list(dir).map_err(|e| Error::io("list", dir, e))?;
    match entries.iter().find(|entry| entry.name != MANIFEST && manifest.file(&entry.name).is_none()) {
        Some(extra) => Err(Error::Damaged {
            path: dir.join(&extra.name),
            reason: "the manifest does not list it".to_owned(),
            remedy: "move it out of the checkpoint folder",
        }),
        None => Ok(()),
    }
}
