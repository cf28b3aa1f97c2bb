//! The manifest: what a checkpoint consists of, sealed.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::storage::{Storage, read_limited};
use crate::{Error, Result};

/// The format written by this version. Older ones are read, newer ones refused.
pub const FORMAT: u32 = 1;

/// Name of the manifest in the checkpoint folder.
pub(super) const FILE: &str = "manifest.json";

/// Name of the file of counters.
pub(super) const STATE: &str = "state.json";

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
    /// Version of the layout.
    pub format: u32,
    /// The step, which is also the folder's name.
    pub step: u64,
    /// The method, spelt as on the command line.
    pub method: String,
    /// Instruction set that computed the weights; resuming is bit-exact on the same one.
    pub instruction_set: String,
    /// Versions of the programs that wrote the checkpoint.
    pub versions: BTreeMap<String, String>,
    /// Architecture and preprocessing.
    pub model: serde_json::Value,
    /// Every other file of the folder.
    pub files: Vec<FileRecord>,
    /// blake3 of this manifest with an empty seal.
    pub seal: String,
}

impl Manifest {
    /// Seals the manifest and writes it down.
    pub(super) fn encode(&mut self) -> Result<Vec<u8>> {
        let json = |manifest: &Manifest| {
            serde_json::to_vec_pretty(manifest).map_err(|e| Error::Unsavable { reason: e.to_string() })
        };
        self.seal = String::new();
        self.seal = blake3::hash(&json(self)?).to_hex().to_string();
        json(self)
    }

    /// Reads and verifies a manifest.
    ///
    /// The bytes have to be exactly those that [`Manifest::encode`] writes: the seal then covers each of them.
    pub(super) fn decode(path: &Path, bytes: &[u8]) -> Result<Self> {
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
        if sealed.encode()? != bytes {
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
        (!names.contains(STATE)).then(|| format!("it lists no {STATE}"))
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
pub fn read_manifest(storage: &dyn Storage, dir: &Path) -> Result<Manifest> {
    let path = dir.join(FILE);
    Manifest::decode(&path, &read_limited(storage, &path, MAX_BYTES)?)
}

/// Name of the instruction set that this process computes with, for example `x86_64+avx2+fma`.
pub fn instruction_set() -> String {
    let arch = std::env::consts::ARCH;
    #[cfg(target_arch = "x86_64")]
    {
        let present = [
            ("avx512f", std::arch::is_x86_feature_detected!("avx512f")),
            ("avx2", std::arch::is_x86_feature_detected!("avx2")),
            ("fma", std::arch::is_x86_feature_detected!("fma")),
        ];
        let names = present.iter().filter(|(_, here)| *here).map(|(name, _)| format!("+{name}"));
        std::iter::once(arch.to_owned()).chain(names).collect()
    }
    #[cfg(not(target_arch = "x86_64"))]
    arch.to_owned()
}
