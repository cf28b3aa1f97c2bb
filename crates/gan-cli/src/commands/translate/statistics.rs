//! `--statistics`: one look for many images.

use crate::wording::worded;
use gan_translate::{FileJob, Input, Model, Statistics};
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
    let mut failed = None;
    // A file that cannot be read is reported when its turn comes.
    let readable = sample.filter_map(|job| model.read(&job.files).map_err(|error| failed = Some(error)).ok());
    let mut readable = readable.map(Ok).peekable();
    let statistics = if readable.peek().is_none() { None } else { Some(model.statistics_of::<Inputs<'_>>(Box::new(readable))) };
    let statistics = match (statistics, failed) {
        (Some(statistics), _) => statistics.map_err(worded)?,
        (None, Some(error)) => return Err(worded(error).context("none of the images whose statistics are wanted can be read")),
        (None, None) => anyhow::bail!("there are no images to gather statistics of"),
    };
    statistics.save(path).map_err(worded)?;
    note!("statistics of {} images are in {}: name it again for the same look", statistics.images(), path.display());
    Ok(statistics)
}

type Inputs<'a> = Box<dyn Iterator<Item = gan_translate::Result<Input>> + 'a>;
