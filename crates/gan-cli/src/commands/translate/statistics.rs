//! `--statistics`: one look for many images.

use crate::wording::worded;
use gan_translate::{FileJob, Model, Statistics};
use std::cell::RefCell;
use std::path::Path;

/// Most images whose statistics are taken.
const SAMPLE: usize = 16;

/// Lets the model translate by the statistics of a file. If there is none, they are gathered over a sample of the inputs, and written.
///
/// # Errors
/// The file cannot be read or written, or is of another model; none of the sample can be read.
pub(super) fn apply(model: &mut Model, path: &Path, jobs: &[FileJob<'_>]) -> anyhow::Result<()> {
    let statistics = if path.exists() { Statistics::load(path).map_err(worded)? } else { gather(model, path, jobs)? };
    model.use_statistics(Some(&statistics)).map_err(worded)
}

fn gather(model: &Model, path: &Path, jobs: &[FileJob<'_>]) -> anyhow::Result<Statistics> {
    let count = jobs.len().min(SAMPLE);
    let sample = (0..count).map(|i| &jobs[(2 * i + 1) * jobs.len() / (2 * count)]);
    let failed = RefCell::new(None);
    let read = |job: &FileJob<'_>| model.read(&job.files).map_err(|error| failed.replace(Some(error))).ok();
    // A file that cannot be read is reported when its turn comes.
    let mut readable = sample.filter_map(read).map(Ok).peekable();
    let any = readable.peek().is_some();
    let statistics = match failed.take() {
        Some(error) if !any => return Err(worded(error).context("no image whose statistics are wanted can be read")),
        _ => model.statistics_of(readable).map_err(worded)?,
    };
    statistics.save(path).map_err(worded)?;
    note!("statistics of {} images are in {}: name it again for the same look", statistics.images(), path.display());
    Ok(statistics)
}
