//! What can go wrong with the files of a checkpoint or a run, with the path, the reason and a remedy.

use std::io;
use std::path::{Path, PathBuf};

use super::Choice;

/// Result of reading a checkpoint.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of the files of a checkpoint or a run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file system refused an operation.
    #[error("cannot {action} {}: {reason}; {remedy}", .path.display())]
    Io {
        /// What was tried, as a verb ("open", "rename", …).
        action: &'static str,
        /// The file or folder concerned.
        path: PathBuf,
        /// What the system answered.
        reason: io::Error,
        /// What the user can do about it.
        remedy: &'static str,
    },
    /// A file of a checkpoint or a run is damaged, incomplete or foreign.
    #[error("{} is refused: {reason}; {remedy}", .path.display())]
    Damaged {
        /// The file or folder refused.
        path: PathBuf,
        /// Why.
        reason: String,
        /// What the user can do about it.
        remedy: &'static str,
    },
    /// There is no checkpoint at all.
    #[error("no checkpoint in {}; train first, or name another run folder", .path.display())]
    NoCheckpoint {
        /// The folder searched.
        path: PathBuf,
    },
    /// A run has not the checkpoint that was chosen.
    #[error("{} has no checkpoint {wanted}{}; there {} {}", .run.display(), why(*.wanted, *.best), if .steps.len() == 1 { "is" } else { "are" }, marked(.steps, *.best))]
    NotThere {
        /// The run.
        run: PathBuf,
        /// What was chosen.
        wanted: Choice,
        /// Steps of the checkpoints that there are, ascending.
        steps: Vec<u64>,
        /// Step of the best checkpoint, where one is named.
        best: Option<u64>,
    },
    /// Every checkpoint was refused.
    #[error("none of the checkpoints in {} can be used:{}; restore one of them from a copy, or start a new run", .path.display(), list(.refused))]
    NoUsableCheckpoint {
        /// The folder searched.
        path: PathBuf,
        /// One sentence for each checkpoint, newest first.
        refused: Vec<String>,
    },
}

impl Error {
    /// An I/O error on `path` while it was tried to `action`, with a remedy chosen by its kind.
    pub fn io(action: &'static str, path: &Path, reason: io::Error) -> Self {
        let remedy = remedy(&reason);
        Error::Io { action, path: path.to_owned(), reason, remedy }
    }

    /// [`Error::Damaged`] with the remedy for a checkpoint: a copy of it, or another one.
    pub fn damaged(path: &Path, reason: impl Into<String>) -> Self {
        Error::Damaged {
            path: path.to_owned(),
            reason: reason.into(),
            remedy: "restore it from a copy, or use another checkpoint",
        }
    }
}

fn remedy(reason: &io::Error) -> &'static str {
    gan_fs::remedy(reason).unwrap_or(match reason.kind() {
        io::ErrorKind::PermissionDenied => "check the permissions of the folder",
        io::ErrorKind::NotFound => "check that the path exists",
        io::ErrorKind::AlreadyExists => "choose a path that is not taken",
        io::ErrorKind::IsADirectory | io::ErrorKind::InvalidInput | io::ErrorKind::FileTooLarge => "move it away",
        _ => "check the disk and try again",
    })
}

fn list(refused: &[String]) -> String {
    refused.iter().map(|reason| format!("\n  {reason}")).collect()
}

/// Why the best checkpoint is not there.
fn why(wanted: Choice, best: Option<u64>) -> String {
    match (wanted, best) {
        (Choice::Best, None) => ", because it was trained without validation".to_owned(),
        (Choice::Best, Some(step)) => format!(": that of step {step} is gone"),
        _ => String::new(),
    }
}

/// `5, 10 (best), 15`.
fn marked(steps: &[u64], best: Option<u64>) -> String {
    let mark = |step: &u64| if Some(*step) == best { format!("{step} (best)") } else { step.to_string() };
    steps.iter().map(mark).collect::<Vec<_>>().join(", ")
}
