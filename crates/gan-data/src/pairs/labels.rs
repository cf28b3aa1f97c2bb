//! Label maps from maps in colour.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::combine::{Written, nothing, renamed, write_each};
use crate::decode::{DecodeOptions, decode};
use crate::encode::write_ids;
use crate::error::Result;
use crate::image_file::{distinct_names, with_suffix};
use crate::listing::{Exclude, list_images};
use crate::palette::Palette;
use crate::results::Plan;

/// Writes a label map for every map in colour below `source` into `folder`, as PNG under the same name: the id that the palette has for
/// each colour; see [`Palette::ids`]. `progress` hears how many are done, and of how many.
///
/// # Errors
/// [`Error::Dataset`](crate::Error::Dataset) if there are no maps; [`Error::Output`](crate::Error::Output) refuses a folder that is read or
/// holds other files; [`Error::Failed`](crate::Error::Failed) lists maps that hold other colours or cannot be read; the others are written.
pub fn label_maps(
    source: &Path,
    folder: &Path,
    palette: &Palette,
    nearest: bool,
    options: &DecodeOptions,
    progress: impl Fn(usize, usize) + Sync,
) -> Result<Written> {
    let listing = list_images(source, &Exclude::outputs([folder]))?;
    let (mut notes, files) = (listing.notes(source), &listing.files);
    if files.is_empty() {
        return Err(nothing(source, &notes, "name the folder with the maps"));
    }
    let names = distinct_names(files);
    notes.extend(renamed(files, &names));
    let outputs: Vec<PathBuf> = names.iter().map(|name| with_suffix(folder, name, "png")).collect();
    let inputs = files.iter().map(|file| file.path.as_path()).collect();
    Plan { sources: &[source], inputs, folders: vec![folder.to_path_buf()], outputs: &outputs }.prepare()?;
    let (pixels, maps) = (AtomicUsize::new(0), AtomicUsize::new(0));
    write_each(files, progress, |at| {
        let path = &files[at].path;
        let (ids, taken) = palette.ids(&decode(path, options)?, nearest, path)?;
        pixels.fetch_add(taken, Ordering::Relaxed);
        maps.fetch_add(usize::from(taken > 0), Ordering::Relaxed);
        write_ids(&outputs[at], &ids)
    })?;
    let (pixels, maps) = (pixels.into_inner(), maps.into_inner());
    notes.extend((pixels > 0).then(|| {
        format!("{pixels} pixels of {maps} maps had colours that are not in the palette; the nearest was taken")
    }));
    Ok(Written { files: outputs, notes })
}
