//! Which checkpoint of a run is used.

use std::fmt::{self, Display};
use std::io::ErrorKind;
use std::path::Path;

use super::{Entry, Error, Files, Folder, MANIFEST, Result, checkpoints_dir};

/// Prefix of a checkpoint that is being replaced by one of the same step.
pub const REPLACED: &str = ".old-";

/// A checkpoint that was refused, so that an older one is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Why, with the path of the bad file.
    pub reason: String,
    /// Step of the checkpoint that is used instead.
    pub used: u64,
}

impl Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a checkpoint is skipped, step {} is used instead: {}", self.used, self.reason)
    }
}

/// A folder that has the name of a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The step in its name.
    pub step: u64,
    /// Its name in the folder of checkpoints.
    pub name: String,
}

/// The step of a folder named by its step, written as [`u64`] is displayed.
pub(super) fn step_of(name: &str) -> Option<u64> {
    let step: u64 = name.parse().ok()?;
    (step.to_string() == name).then_some(step)
}

/// All checkpoints among `entries`, in the order in which [`newest`] tries them: newest first, and after each one the
/// predecessor that it was replacing, if that was interrupted.
pub fn candidates(entries: &[Entry]) -> Vec<Candidate> {
    let mut found: Vec<(u64, bool, &str)> = entries
        .iter()
        .filter(|entry| entry.is_dir)
        .filter_map(|entry| {
            let name = entry.name.as_str();
            match name.strip_prefix(REPLACED) {
                Some(rest) => step_of(rest.split('-').next()?).map(|step| (step, false, name)),
                None => step_of(name).map(|step| (step, true, name)),
            }
        })
        .collect();
    found.sort_by(|a, b| b.cmp(a));
    found.into_iter().map(|(step, _, name)| Candidate { step, name: name.to_owned() }).collect()
}

/// Whether a run has a checkpoint, sound or not.
pub fn exists(files: &dyn Files, run: &Path) -> bool {
    files.list(&checkpoints_dir(run)).is_ok_and(|entries| !candidates(&entries).is_empty())
}

/// What `open` makes of the newest checkpoint of `run` that it takes, and a [`Refused`] for each newer one. Every choice of
/// a checkpoint is made here, so whatever would keep one from being used belongs into `open`.
///
/// # Errors
/// [`Error::NoCheckpoint`] if there is none, [`Error::NoUsableCheckpoint`] if each was refused, with the reasons;
/// [`Error::Io`] if the folder of checkpoints cannot be listed.
pub fn newest<'a, T, E: From<Error> + Display>(
    files: &'a dyn Files,
    run: &Path,
    mut open: impl FnMut(Folder<'a>) -> Result<T, E>,
) -> Result<(T, Vec<Refused>), E> {
    let dir = checkpoints_dir(run);
    let entries = match files.list(&dir) {
        Ok(entries) => entries,
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Err(Error::NoCheckpoint { path: dir }.into());
        }
        Err(e) => return Err(Error::io("list", &dir, e).into()),
    };
    let mut reasons = Vec::new();
    for Candidate { step: used, name } in candidates(&entries) {
        match open_step(files, &dir.join(name), used).map_err(E::from).and_then(&mut open) {
            Ok(opened) => {
                return Ok((opened, reasons.into_iter().map(|reason| Refused { reason, used }).collect()));
            }
            Err(error) => reasons.push(error.to_string()),
        }
    }
    Err(if reasons.is_empty() {
        Error::NoCheckpoint { path: dir }.into()
    } else {
        Error::NoUsableCheckpoint { path: dir, refused: reasons }.into()
    })
}

/// Opens a folder that is named by its step.
fn open_step<'a>(files: &'a dyn Files, dir: &Path, step: u64) -> Result<Folder<'a>> {
    let folder = Folder::open(files, dir)?;
    match folder.manifest().step {
        own if own != step => Err(Error::damaged(&dir.join(MANIFEST), format!("it belongs to step {own}"))),
        _ => Ok(folder),
    }
}
