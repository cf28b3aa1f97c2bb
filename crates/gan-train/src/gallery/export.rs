//! One file about several runs, to keep or to send.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::html::png_url;
use super::{MAX_CONTENT, Shown, Status, page, thin, unwritable};
use crate::Result;
use crate::run::read_config;
use crate::storage::{Storage, read_limited};

/// Previews of each run that the file holds, spread over its steps.
const PREVIEWS: usize = 12;

/// A page about these run folders with everything in it: curves over one another, and previews. It needs no other file.
///
/// # Errors
/// [`Error::RunFolder`](crate::Error::RunFolder) for a folder without a run, [`Error::Files`](crate::Error::Files) if one cannot be read.
pub fn export(storage: &dyn Storage, runs: &[PathBuf]) -> Result<String> {
    let mut all = Vec::new();
    for folder in runs {
        read_config(storage, folder)?;
        let dir = folder.join("gallery");
        let mut shown = Shown::read(storage, &dir, &folder.join("events.jsonl"), u64::MAX)?;
        shown.content.title = name(folder);
        thin(&mut shown.content.previews, PREVIEWS);
        let status = Status { step: shown.curves.last_step(), epoch: shown.epochs.last(), ..Status::default() };
        let files = shown.content.previews.iter().flat_map(|preview| preview.rows.iter().flatten());
        let images = files.filter_map(|image| {
            let png = read_limited(storage, &dir.join("images").join(&image.file), MAX_CONTENT).ok()?;
            Some((image.file.clone(), png_url(&png)))
        });
        let images: BTreeMap<_, _> = images.collect();
        all.push((shown, status, images));
    }
    let views: Vec<_> =
        all.iter_mut().map(|(shown, status, images)| shown.view(status, std::mem::take(images), false)).collect();
    let data = page::data(&views).map_err(unwritable)?;
    Ok(page::page(&views.iter().map(|run| run.name).collect::<Vec<_>>().join(", "), &views, &data))
}

/// The name of a run: that of its folder.
pub(super) fn name(folder: &Path) -> String {
    let path = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    path.file_name().unwrap_or(folder.as_os_str()).to_string_lossy().into_owned()
}
