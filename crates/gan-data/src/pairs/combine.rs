//! Joining two folders into side-by-side pairs, and taking such pairs apart.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;

use crate::decode::{DecodeOptions, decode};
use crate::encode::write_picture;
use crate::error::{Error, Result};
use crate::folder::{PictureFile, list_pictures, pair_by_stem};
use crate::picture::Picture;
use crate::raster::Raster;

/// Writes every pair of `left` and `right` (matched by name, whatever the extension; sub-folders included) side by
/// side into `folder`, as PNG. `progress` hears how many are done, and of how many. Returns the files in order.
///
/// # Errors
/// [`Error::Unmatched`] lists all names without a partner, before anything is written; [`Error::Item`] if the parts
/// of a pair differ in size; decoding errors; [`Error::Io`] if the disk refuses.
pub fn combine(
    left: &Path,
    right: &Path,
    folder: &Path,
    options: &DecodeOptions,
    progress: impl Fn(usize, usize) + Sync,
) -> Result<Vec<PathBuf>> {
    let pairs = pair_by_stem((left, &list_pictures(left)?), (right, &list_pictures(right)?), None)?;
    if pairs.is_empty() {
        return Err(Error::dataset(left, "there is not one picture in it", "name the two folders with the pictures"));
    }
    write_each(&pairs, progress, |(left, right)| {
        let pair = beside_pictures(decode(&left.path, options)?, decode(&right.path, options)?, &left.path)?;
        let path = folder.join(format!("{}.png", left.stem));
        write_picture(&path, &pair)?;
        Ok(path)
    })
}

/// Takes the side-by-side pairs of `folder` apart into `left` and `right`, as PNG under the same names. `progress`
/// hears how many are done, and of how many. Returns the left files in order.
///
/// # Errors
/// [`Error::Dataset`] if there are no pairs, [`Error::Item`] if a width is odd; decoding errors; [`Error::Io`].
pub fn separate(
    folder: &Path,
    left: &Path,
    right: &Path,
    options: &DecodeOptions,
    progress: impl Fn(usize, usize) + Sync,
) -> Result<Vec<PathBuf>> {
    let files = list_pictures(folder)?;
    if files.is_empty() {
        return Err(Error::dataset(folder, "there is not one picture in it", "name the folder with the pairs"));
    }
    write_each(&files, progress, |file: &PictureFile| {
        let pair = decode(&file.path, options)?;
        let (width, height) = pair.size();
        if width % 2 != 0 {
            let reason = format!("its width of {width} pixels does not divide into two equal parts");
            return Err(Error::item(&file.path, reason, "is it a pair? then crop it to an even width"));
        }
        let path = left.join(format!("{}.png", file.stem));
        write_picture(&path, &pair.crop(0, 0, width / 2, height))?;
        write_picture(&right.join(format!("{}.png", file.stem)), &pair.crop(width / 2, 0, width / 2, height))?;
        Ok(path)
    })
}

/// Runs `write` on every item, in parallel; the first error in order of the items is returned.
pub(super) fn write_each<T: Sync>(
    items: &[T],
    progress: impl Fn(usize, usize) + Sync,
    write: impl Fn(&T) -> Result<PathBuf> + Sync,
) -> Result<Vec<PathBuf>> {
    let done = AtomicUsize::new(0);
    let written: Vec<Result<PathBuf>> = items
        .par_iter()
        .map(|item| {
            let path = write(item);
            progress(done.fetch_add(1, Ordering::Relaxed) + 1, items.len());
            path
        })
        .collect();
    written.into_iter().collect()
}

/// Two pictures of one size, left and right; the narrower kind (grey, 8 bits) is adapted to the other.
pub(super) fn beside_pictures(left: Picture, right: Picture, path: &Path) -> Result<Picture> {
    if left.size() != right.size() {
        let ((w, h), (rw, rh)) = (left.size(), right.size());
        let reason = format!("it is {w}x{h} and its partner is {rw}x{rh}");
        return Err(Error::item(path, reason, "resize one of them: the parts of a pair have one size"));
    }
    let channels = match left.channels().max(right.channels()) {
        // Grey with alpha beside colour needs colour with alpha.
        3 if left.channels() == 2 || right.channels() == 2 => 4,
        channels => channels,
    };
    let adapt = |picture: Picture| {
        let error = || Error::item(path, format!("it cannot have {channels} channels"), "convert the pair to RGB");
        picture.with_channels(channels).ok_or_else(error)
    };
    Ok(match (adapt(left)?, adapt(right)?) {
        (Picture::Eight(left), Picture::Eight(right)) => Picture::Eight(beside(&left, &right)),
        (left, right) => Picture::Sixteen(beside(&sixteen_bits(left), &sixteen_bits(right))),
    })
}

/// Eight bits stretched to sixteen: 255 becomes 65535.
fn sixteen_bits(picture: Picture) -> Raster<u16> {
    match picture {
        Picture::Sixteen(raster) => raster,
        Picture::Eight(raster) => {
            let samples = raster.samples().iter().map(|&s| u16::from(s) * 257).collect();
            Raster::new(raster.width(), raster.height(), raster.channels(), samples)
        }
    }
}

/// Two pictures of one height, left and right.
pub(crate) fn beside<T: Copy + Default>(left: &Raster<T>, right: &Raster<T>) -> Raster<T> {
    let mut samples = Vec::with_capacity(left.samples().len() + right.samples().len());
    for y in 0..left.height() {
        samples.extend_from_slice(left.row(y));
        samples.extend_from_slice(right.row(y));
    }
    Raster::new(left.width() + right.width(), left.height(), left.channels(), samples)
}
