//! Weight files: which ones are published, and what is read from them.

use crate::{Error, Result};
use candle_core::{DType, Device};
use gan_weights::StateDict;
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

/// A published weight file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownFile {
    /// Its name where it is published.
    pub name: &'static str,
    /// Its SHA-256 in hexadecimal digits, or the first eight of them where the publisher tells no more (they end the name).
    pub sha256: &'static str,
}

/// The Inception V3 of 2015-12-05 as pytorch-fid and torch-fidelity publish it.
pub const INCEPTION: KnownFile = KnownFile { name: "pt_inception-2015-12-05-6726825d.pth", sha256: "6726825d" };

/// The SHA-256 of a file; shown as 64 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest(pub [u8; 32]);

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// What is done about a file that is not the published one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OtherFiles {
    /// It is refused.
    Refuse,
    /// It is taken: its digest belongs beside every number computed with it.
    Accept,
}

/// Where weight files are, and which ones are taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WeightFiles {
    /// The folder; the files are called as `gan-cli fetch` calls them, `NAME.pth`.
    pub folder: PathBuf,
    /// What is done about files that are not the published ones.
    pub others: OtherFiles,
}

impl WeightFiles {
    /// The published files in the folder where `gan-cli fetch` puts them.
    pub fn fetched() -> Self {
        WeightFiles { folder: gan_data::data_dir().join("weights"), others: OtherFiles::Refuse }
    }

    /// The path of the file called `name`.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.pth"))
    }

    /// The file called `name`, with its digest.
    ///
    /// # Errors
    /// [`Error::NoWeights`] if it is not there; those of [`verify`].
    pub fn find(&self, name: &'static str, known: &KnownFile) -> Result<(PathBuf, Digest)> {
        let path = self.path(name);
        if !path.exists() {
            return Err(Error::NoWeights { path, network: name });
        }
        let digest = verify(&path, known, self.others)?;
        Ok((path, digest))
    }
}

/// The digest of the file at `path`, which must be that of the `known` file unless others are accepted.
///
/// # Errors
/// [`Error::OtherFile`] names both hashes; [`Error::Io`].
pub fn verify(path: &Path, known: &KnownFile, others: OtherFiles) -> Result<Digest> {
    let digest = digest(path).map_err(|source| Error::Io { path: path.to_path_buf(), source })?;
    let found = digest.to_string();
    if others == OtherFiles::Refuse && !found.starts_with(known.sha256) {
        let expected = match known.sha256.len() {
            64 => known.sha256.to_string(),
            _ => format!("{}…", known.sha256),
        };
        return Err(Error::OtherFile { path: path.to_path_buf(), name: known.name, expected, found });
    }
    Ok(digest)
}

fn digest(path: &Path) -> io::Result<Digest> {
    let ((mut file, _), mut hash, mut piece) = (gan_fs::open_regular(path)?, Sha256::new(), vec![0; 1 << 20]);
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(Digest(hash.finalize().into())),
            n => hash.update(&piece[..n]),
        }
    }
}

/// The tensors of the weight file at `path` whose names `wanted` accepts.
pub(super) fn read(path: &Path, network: &'static str, wanted: impl Fn(&str) -> bool) -> Result<StateDict> {
    let mut state = match gan_weights::read_any(path) {
        Ok(loaded) => loaded.state,
        Err(gan_weights::Error::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {
            return Err(Error::NoWeights { path: path.to_path_buf(), network });
        }
        Err(error) => return Err(error.into()),
    };
    state.retain(|name, _| wanted(name));
    Ok(state)
}

/// Builds a network from the tensors that were read from `path`. What the building lacks makes the file that of another network.
pub(super) fn build<T>(
    path: &Path,
    network: &'static str,
    state: &StateDict,
    (dtype, device): (DType, &Device),
    build: impl FnOnce(gan_layers::Builder<'_>) -> candle_core::Result<T>,
) -> Result<T> {
    let builder = state.var_builder(dtype, device)?.into();
    build(builder).map_err(|e| Error::OtherNetwork { path: path.to_path_buf(), network, reason: e.to_string() })
}
