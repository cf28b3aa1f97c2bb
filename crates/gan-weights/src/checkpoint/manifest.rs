//! The manifest: what a checkpoint consists of, sealed.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Error, Files, MANIFEST, MODEL, Result, STATE, read_limited};

/// The newest format that this version reads. Format 1 has no `model.json`, format 2 has one.
pub const FORMAT: u32 = 2;

/// A manifest is small; anything larger is foreign.
const MAX_BYTES: u64 = 4 << 20;

/// No run has as many steps. Beyond it, sums of counters could overflow.
const MAX_STEP: u64 = 1 << 53;

/// One file of a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileRecord {
    /// File name in the checkpoint folder.
    pub name: String,
    /// Size in bytes.
    pub bytes: u64,
    /// blake3 of the content, in hexadecimal.
    pub blake3: String,
}

/// `manifest.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Version of the layout, up to [`FORMAT`].
    pub format: u32,
    /// The step, which is also the folder's name.
    pub step: u64,
    /// The method, spelt as on the command line.
    pub method: String,
    /// Instruction set that computed the weights; resuming is bit-exact on the same one.
    pub instruction_set: String,
    /// Versions of the programs that wrote the checkpoint.
    pub versions: BTreeMap<String, String>,
    /// The resolved configuration of the run.
    pub model: serde_json::Value,
    /// Every other file of the folder.
    pub files: Vec<FileRecord>,
    /// blake3 of this manifest with an empty seal.
    pub seal: String,
}

impl Manifest {
    /// The format of a checkpoint of these files.
    pub fn format_of(files: &[FileRecord]) -> u32 {
        if files.iter().any(|file| file.name == MODEL) { 2 } else { 1 }
    }

    /// Seals the manifest and returns the bytes of its file.
    ///
    /// # Errors
    /// What the JSON writer says of a value that JSON does not have.
    pub fn encode(&mut self) -> serde_json::Result<Vec<u8>> {
        self.seal = String::new();
        self.seal = blake3::hash(&serde_json::to_vec_pretty(self)?).to_hex().to_string();
        serde_json::to_vec_pretty(self)
    }

    /// Reads and verifies the bytes of the manifest at `path`.
    ///
    /// They have to be exactly those that [`Manifest::encode`] returns: the seal then covers each of them.
    ///
    /// # Errors
    /// [`Error::Damaged`] if they are of a newer format, not what was written, or contradict themselves.
    pub fn decode(path: &Path, bytes: &[u8]) -> Result<Self> {
        #[derive(Deserialize)]
        struct Version {
            format: u32,
        }
        if let Ok(Version { format }) = serde_json::from_slice(bytes)
            && format > FORMAT
        {
            return Err(Error::Damaged {
                path: path.to_owned(),
                reason: format!("it has format {format}, this version reads up to {FORMAT}"),
                remedy: "use a newer version of the program",
            });
        }
        let manifest: Manifest =
            serde_json::from_slice(bytes).map_err(|e| Error::damaged(path, format!("it is not a manifest ({e})")))?;
        let mut sealed = manifest.clone();
        if sealed.encode().ok().as_deref() != Some(bytes) {
            return Err(Error::damaged(path, "its seal does not match its content"));
        }
        // A seal says who wrote it, not that it makes sense.
        manifest.contradiction().map_or(Ok(manifest), |reason| Err(Error::damaged(path, reason)))
    }

    fn contradiction(&self) -> Option<String> {
        let mut names = HashSet::new();
        if self.step > MAX_STEP {
            return Some(format!("it claims step {}", self.step));
        }
        if self.files.iter().any(|record| record.name.contains(['/', '\\'])) {
            return Some("it lists a file outside its folder".to_owned());
        }
        if let Some(twice) = self.files.iter().find(|record| !names.insert(record.name.as_str())) {
            return Some(format!("it lists {} twice", twice.name));
        }
        let known = |name: &str| name == STATE || name == MODEL || name.ends_with(".safetensors");
        if let Some(other) = self.files.iter().find(|record| !known(&record.name)) {
            return Some(format!("it lists {}, which this version does not know", other.name));
        }
        if !names.contains(STATE) {
            return Some(format!("it lists no {STATE}"));
        }
        let needed = Self::format_of(&self.files);
        (self.format != needed).then(|| format!("it has format {}, its files are of format {needed}", self.format))
    }

    /// The record of the file `name`.
    pub fn file(&self, name: &str) -> Option<&FileRecord> {
        self.files.iter().find(|record| record.name == name)
    }
}

/// Reads and verifies the manifest of the checkpoint folder `dir`; the files it lists are not touched.
///
/// # Errors
/// [`Error::Io`] if it cannot be read, [`Error::Damaged`] if it is not what was written.
pub fn read_manifest(files: &dyn Files, dir: &Path) -> Result<Manifest> {
    let path = dir.join(MANIFEST);
    Manifest::decode(&path, &read_limited(files, &path, MAX_BYTES)?)
}
