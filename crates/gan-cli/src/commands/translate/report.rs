//! What became of the files of a call.

use super::files::{Plan, Translation};
use crate::exit::{BAD_DATA, BAD_MODEL, Coded, DEVICE, DIVERGED, USAGE, code_of};
use serde_json::json;
use std::path::{Path, PathBuf};

/// Exit codes of failed files, the worst first: what the machine refused, what the model made of it, what the file is.
const WORST_FIRST: [u8; 4] = [DEVICE, DIVERGED, FAILED, BAD_DATA];
const FAILED: u8 = 1;

/// What was done so far.
#[derive(Debug, Default)]
pub(super) struct Report {
    written: usize,
    skipped: usize,
    without_alpha: usize,
    failures: Vec<Failure>,
}

/// A file that failed.
#[derive(Debug)]
struct Failure {
    input: PathBuf,
    exit_code: u8,
    error: String,
}

impl Report {
    pub(super) fn wrote(&mut self, lost_alpha: bool) {
        self.written += 1;
        self.without_alpha += usize::from(lost_alpha);
    }

    pub(super) fn skipped(&mut self) {
        self.skipped += 1;
    }

    /// Keeps the failure of one file for the end.
    ///
    /// # Errors
    /// The failure itself, where it would be that of every other file, too, or `fail_fast` is set.
    pub(super) fn failed(&mut self, job: &Translation, error: anyhow::Error, fail_fast: bool) -> anyhow::Result<()> {
        let code = code_of(&error);
        if fail_fast || matches!(code, USAGE | BAD_MODEL) || disk_is_full(&error) {
            if self.written > 0 {
                note!("note: {} written before this failure", images(self.written));
            }
            return Err(error);
        }
        let mut line = sentence(&error);
        if job.output.is_file() {
            line += &format!(" ({} of an earlier call stays)", job.output.display());
        }
        self.failures.push(Failure { input: job.input.clone(), exit_code: code, error: line });
        Ok(())
    }

    /// What failed so far, a line each.
    pub(super) fn failures(&self) -> impl Iterator<Item = &str> {
        self.failures.iter().map(|failure| failure.error.as_str())
    }

    /// Says what was done.
    ///
    /// # Errors
    /// [`Coded`] with the worst code, if files failed.
    pub(super) fn end(self, plan: &Plan, output: &Path, json: bool) -> anyhow::Result<()> {
        if json {
            let failed = self.failures.iter().map(|Failure { input, exit_code, error }| {
                json!({ "input": input.to_string_lossy(), "exit_code": exit_code, "error": error })
            });
            let done = json!({
                "output": output.to_string_lossy(), "written": self.written, "skipped": self.skipped,
                "alpha_dropped": self.without_alpha, "failed": failed.collect::<Vec<_>>(),
            });
            out!("{done:#}");
        }
        if self.without_alpha > 0 {
            let lost = images(self.without_alpha);
            note!(
                "note: the alpha of {lost} was dropped: the model has no channel for it; --alpha keep writes it back"
            );
        }
        let to = if output.is_file() { "written to" } else { "in" };
        let standard_output = Path::new("standard output");
        let output = if output == Path::new("-") { standard_output } else { output }.display();
        let skipped = match self.skipped {
            0 => String::new(),
            n => format!(", {n} skipped that were there already"),
        };
        if self.failures.is_empty() {
            note!("{} {to} {output}{skipped}", images(self.written));
            return Ok(());
        }
        let (failed, all) = (self.failures.len(), plan.jobs.len());
        let code =
            WORST_FIRST.into_iter().find(|worst| self.failures.iter().any(|failure| failure.exit_code == *worst));
        let lines: String = self.failures.iter().map(|failure| format!("\n  {}", failure.error)).collect();
        let message = format!("{} of {} in {output}{skipped}; {failed} failed:{lines}", self.written, images(all));
        Err(Coded(code.unwrap_or(FAILED), message).into())
    }
}

fn images(count: usize) -> String {
    if count == 1 { "1 image".into() } else { format!("{count} images") }
}

/// An error and its causes in one line.
fn sentence(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain() {
        let cause = cause.to_string();
        let cause = cause.lines().next().unwrap_or_default();
        // Transparent wrappers repeat their source.
        if !text.contains(cause) {
            text += if text.is_empty() { "" } else { ": " };
            text += cause;
        }
    }
    text
}

/// Whether the disk takes nothing any more: the other files would be computed in vain.
fn disk_is_full(error: &anyhow::Error) -> bool {
    use std::io::ErrorKind::{QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    error.chain().filter_map(|cause| cause.downcast_ref::<gan_data::Error>()).any(|error| {
        matches!(error, gan_data::Error::Io { action: "write" | "create", source, .. }
            if matches!(source.kind(), StorageFull | QuotaExceeded | ReadOnlyFilesystem))
    })
}
