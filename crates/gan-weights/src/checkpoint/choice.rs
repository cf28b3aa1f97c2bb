//! Which checkpoint of a run is meant.

use std::fmt::{self, Display};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::newest::step_of;
use super::{Candidate, Error, Files, Result, candidates, checkpoints_dir, read_limited};

/// Name of the file in the folder of checkpoints that names the best one by its step.
pub const BEST: &str = "best";

/// Longest content of that file.
const MAX_STEP: u64 = 32;

/// One checkpoint among those of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Choice {
    /// The newest that can be used.
    #[default]
    Latest,
    /// The best by validation.
    Best,
    /// The one of this step.
    Step(u64),
}

/// A text that is no [`Choice`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` names no checkpoint: write latest, best or the number of a step")]
pub struct InvalidChoice(String);

impl FromStr for Choice {
    type Err = InvalidChoice;

    fn from_str(text: &str) -> Result<Self, InvalidChoice> {
        match text {
            "latest" => Ok(Choice::Latest),
            "best" => Ok(Choice::Best),
            step => step_of(step).map(Choice::Step).ok_or_else(|| InvalidChoice(step.to_owned())),
        }
    }
}

/// As it is parsed.
impl Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Choice::Latest => f.write_str("latest"),
            Choice::Best => f.write_str("best"),
            Choice::Step(step) => write!(f, "{step}"),
        }
    }
}

/// The step that the file [`BEST`] of a run names; `None` without such a file. That checkpoint may be gone.
///
/// # Errors
/// [`Error::Damaged`] if the file holds no step; [`Error::Io`].
pub fn best_step(files: &dyn Files, run: &Path) -> Result<Option<u64>> {
    let path = checkpoints_dir(run).join(BEST);
    let bytes = match read_limited(files, &path, MAX_STEP) {
        Ok(bytes) => bytes,
        Err(Error::Io { reason, .. }) if is_missing(reason.kind()) => return Ok(None),
        Err(error) => return Err(error),
    };
    let step = std::str::from_utf8(&bytes).ok().and_then(|text| step_of(text.trim_end()));
    step.map(Some).ok_or_else(|| Error::damaged(&path, "it does not hold the number of a step"))
}

/// Whether there is no file of this name. A folder is somebody else's.
fn is_missing(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::IsADirectory | ErrorKind::InvalidInput)
}

/// The folder of the checkpoint that is chosen. For [`Choice::Latest`] it is the run itself: which of its checkpoints can be
/// used is known when they are read ([`newest`](super::newest)).
///
/// # Errors
/// [`Error::NotThere`] with what there is, [`Error::NoCheckpoint`] if there is none; those of [`best_step`].
pub fn chosen(files: &dyn Files, run: &Path, choice: Choice) -> Result<PathBuf> {
    let (step, best) = match choice {
        Choice::Latest => return Ok(run.to_owned()),
        Choice::Best => {
            let best = best_step(files, run)?;
            (best, best)
        }
        // What the file says of the best one only helps to find others.
        Choice::Step(step) => (Some(step), best_step(files, run).unwrap_or_default()),
    };
    let dir = checkpoints_dir(run);
    let found = candidates(&files.list(&dir).unwrap_or_default());
    if let Some(Candidate { name, .. }) = found.iter().find(|candidate| Some(candidate.step) == step) {
        return Ok(dir.join(name));
    }
    let mut steps: Vec<u64> = found.into_iter().map(|candidate| candidate.step).collect();
    steps.sort_unstable();
    steps.dedup();
    if steps.is_empty() {
        return Err(Error::NoCheckpoint { path: dir });
    }
    Err(Error::NotThere { run: run.to_owned(), wanted: choice, steps, best })
}
