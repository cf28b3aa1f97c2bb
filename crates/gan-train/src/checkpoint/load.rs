//! Reading a whole checkpoint, as training needs it to go on.

use std::path::{Path, PathBuf};

use gan_weights::checkpoint::{Files, Folder, MANIFEST, MODEL, newest};

use super::{Snapshot, Warning, instruction_set};
use crate::{Error, Result};

/// A checkpoint that was read.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// Its content.
    pub snapshot: Snapshot,
    /// The folder it comes from.
    pub dir: PathBuf,
    /// What the user should know: newer checkpoints that were refused, another instruction set.
    pub warnings: Vec<Warning>,
}

/// Reads the newest checkpoint of a run that verifies.
///
/// With `method` given, checkpoints of other methods are refused.
///
/// # Errors
/// [`NoCheckpoint`](super::Error::NoCheckpoint) if there is none, [`NoUsableCheckpoint`](super::Error::NoUsableCheckpoint) if
/// each was refused, with the reasons.
pub fn load_latest(files: &dyn Files, run: &Path, method: Option<&str>) -> Result<Loaded> {
    load_latest_checked(files, run, method, |_, _| Ok(()))
}

/// As [`load_latest`], for a checkpoint that `check` accepts as well. What `check` refuses is passed over as damaged files
/// are, so whatever would keep a checkpoint from being used belongs there. It gets the checkpoint's folder and content.
///
/// # Errors
/// As [`load_latest`].
pub fn load_latest_checked(
    files: &dyn Files,
    run: &Path,
    method: Option<&str>,
    mut check: impl FnMut(&Path, &Snapshot) -> Result<()>,
) -> Result<Loaded> {
    let (mut loaded, refused) = newest(files, run, |folder| {
        let own = &folder.manifest().method;
        if let Some(method) = method.filter(|method| method != own) {
            let reason = format!("it belongs to the method {own}, this run trains {method}");
            return Err(Error::damaged(&folder.dir().join(MANIFEST), reason));
        }
        let loaded = read(&folder)?;
        check(folder.dir(), &loaded.snapshot)?;
        Ok(loaded)
    })?;
    loaded.warnings.splice(0..0, refused.into_iter().map(Warning::Refused));
    Ok(loaded)
}

/// Reads one checkpoint folder, which may have any name.
///
/// # Errors
/// [`Damaged`](super::Error::Damaged) or [`Io`](super::Error::Io), naming the file.
pub fn load(files: &dyn Files, dir: &Path) -> Result<Loaded> {
    read(&Folder::open(files, dir)?)
}

fn read(folder: &Folder<'_>) -> Result<Loaded> {
    let manifest = folder.manifest();
    let mut snapshot = Snapshot::new(manifest.step, manifest.method.clone());
    snapshot.model = manifest.model.clone();
    snapshot.model_json = folder.has_file(MODEL).then(|| folder.json(MODEL)).transpose()?;
    snapshot.state = folder.state()?;
    for stem in manifest.files.iter().filter_map(|record| record.name.strip_suffix(".safetensors")) {
        snapshot.tensors.push((stem.to_owned(), folder.tensors(stem)?.into_iter().collect()));
    }
    let here = instruction_set();
    let saved = manifest.instruction_set.clone();
    let warnings = if saved == here { Vec::new() } else { vec![Warning::InstructionSet { saved, here }] };
    Ok(Loaded { snapshot, dir: folder.dir().to_owned(), warnings })
}
