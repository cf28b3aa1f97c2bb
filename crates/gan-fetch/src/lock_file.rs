//! `fetch.lock.toml`: what was fetched into a data directory, from where, and what it hashed to.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use gan_fs::{Durability, read_regular};
use serde::{Deserialize, Serialize};

use crate::catalog::Kind;
use crate::error::{Error, Result};

/// The most bytes that a lock file may have.
const MAX_BYTES: u64 = 1 << 24;

const HEAD: &str = "\
# Written by `gan-cli fetch`: what is here and what it hashed to when it came.
# Where nobody publishes a hash, a later fetch must give the same file. Should a file have changed at its source for a
# good reason, delete its table here and fetch again.

";

/// One fetched thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// The mirror it came from.
    pub(crate) url: String,
    /// Size of the file as it came, in bytes.
    pub(crate) bytes: u64,
    /// Hash of the file as it came.
    pub(crate) sha256: String,
    /// Path below the data directory.
    pub(crate) stored: String,
    /// Size of what is stored, in bytes.
    pub(crate) stored_bytes: u64,
    /// Number of files stored.
    pub(crate) stored_files: u64,
    /// Hash of the stored file; of a folder, hash of its listing (size and path of each file).
    pub(crate) stored_sha256: String,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Tables {
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    datasets: BTreeMap<String, Record>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    weights: BTreeMap<String, Record>,
}

/// The lock file of one data directory.
#[derive(Debug)]
pub(crate) struct LockFile {
    path: PathBuf,
    tables: Tables,
}

impl LockFile {
    /// Reads the file; a directory without one has an empty one.
    ///
    /// # Errors
    /// When it cannot be read or is no such file: hashes must not be forgotten silently.
    pub(crate) fn read(dir: &Path) -> Result<Self> {
        let path = dir.join("fetch.lock.toml");
        let tables = match read_regular(&path, MAX_BYTES) {
            Ok(bytes) => toml::from_slice(&bytes)
                .map_err(|error| Error::LockFile { path: path.clone(), reason: error.to_string() })?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Tables::default(),
            Err(error) => return Err(Error::io("read", path)(error)),
        };
        Ok(Self { path, tables })
    }

    pub(crate) fn get(&self, kind: Kind, name: &str) -> Option<&Record> {
        match kind {
            Kind::Dataset => self.tables.datasets.get(name),
            Kind::Weights => self.tables.weights.get(name),
        }
    }

    /// Records and writes the file, whole or not at all.
    pub(crate) fn put(&mut self, kind: Kind, name: &str, record: Record) -> Result<()> {
        let table = match kind {
            Kind::Dataset => &mut self.tables.datasets,
            Kind::Weights => &mut self.tables.weights,
        };
        table.insert(name.to_owned(), record);
        let tables = toml::to_string(&self.tables)
            .map_err(|error| Error::LockFile { path: self.path.clone(), reason: error.to_string() })?;
        let text = format!("{HEAD}{tables}");
        Ok(gan_fs::replace(&self.path, Durability::Flushed, |out| out.write_all(text.as_bytes()))?)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::fs;

    #[test]
    fn what_is_put_is_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let record = Record {
            url: "http://h/a.zip".into(),
            bytes: 1,
            sha256: "ab".into(),
            stored: "datasets/a".into(),
            stored_bytes: 2,
            stored_files: 3,
            stored_sha256: "cd".into(),
        };
        let mut lock = LockFile::read(dir.path()).unwrap();
        lock.put(Kind::Dataset, "a", record.clone()).unwrap();
        lock.put(Kind::Weights, "w.1", record.clone()).unwrap();
        let lock = LockFile::read(dir.path()).unwrap();
        assert_eq!(lock.get(Kind::Dataset, "a"), Some(&record));
        assert_eq!(lock.get(Kind::Weights, "w.1"), Some(&record));
        assert_eq!(lock.get(Kind::Weights, "a"), None);
    }

    #[test]
    fn a_damaged_file_is_not_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("fetch.lock.toml"), "[datasets.a]\nurl = 3\n").unwrap();
        assert!(LockFile::read(dir.path()).unwrap_err().to_string().contains("is damaged"));
    }
}
