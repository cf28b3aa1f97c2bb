//! Joining two folders into side-by-side pairs, and taking such pairs apart.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;

use crate::decode::{AlphaPolicy, DecodeOptions, decode, probe};
use crate::dynamic_image::Image;
use crate::encode::write_image;
use crate::error::{Error, Result};
use crate::image_file::{ImageFile, distinct_names, shown, with_suffix};
use crate::listing::{Exclude, list_images};
use crate::pairing::{Names, pair_by_stem};
use crate::raster::Raster;
use crate::results::Plan;

/// What a call has written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Written {
    /// The files, in order.
    pub files: Vec<PathBuf>,
    /// What a user should know: what was left out, which names were changed.
    pub notes: Vec<String>,
}

/// Writes every pair of `left` and `right` (matched by name, whatever the extension; sub-folders included) side by
/// side into `folder`, as PNG. `progress` hears how many are done, and of how many.
///
/// # Errors
/// Before anything is written, [`Error::Unmatched`] lists all names without a partner, and [`Error::Output`] refuses a
/// folder that is read or holds other files. [`Error::Failed`] lists pairs that could not be made, for example because
/// the parts differ in size; the others are written.
pub fn combine(
    left: &Path,
    right: &Path,
    folder: &Path,
    options: &DecodeOptions,
    progress: impl Fn(usize, usize) + Sync,
) -> Result<Written> {
    let exclude = Exclude::outputs([folder]);
    let (listed, partners) = (list_images(left, &exclude)?, list_images(right, &exclude)?);
    let mut notes = [listed.notes(left), partners.notes(right)].concat();
    let pairs = pair_by_stem((left, &listed.files), (right, &partners.files), Names::Whole)?;
    if pairs.is_empty() {
        return Err(nothing(left, &notes, "name the two folders with the images"));
    }
    let outputs: Vec<PathBuf> = pairs.iter().map(|(left, _)| with_suffix(folder, &left.stem, "png")).collect();
    let inputs: Vec<&Path> = pairs.iter().flat_map(|(left, right)| [left.path.as_path(), &right.path]).collect();
    notes.extend(alpha_note(&inputs, options));
    Plan { sources: &[left, right], inputs, folders: vec![folder.to_path_buf()], outputs: &outputs }.prepare()?;
    write_each(&pairs, progress, |at| {
        let (left, right) = &pairs[at];
        let pair = beside_images(decode(&left.path, options)?, decode(&right.path, options)?, &left.path)?;
        write_image(&outputs[at], &pair)
    })?;
    Ok(Written { files: outputs, notes })
}

/// Takes the side-by-side pairs of `folder` apart into `left` and `right`, as PNG under the same names. `progress`
/// hears how many are done, and of how many. Returns the left files.
///
/// # Errors
/// [`Error::Dataset`] if there are no pairs; [`Error::Output`] as [`combine`]; [`Error::Failed`] lists files that could
/// not be taken apart, for example because a width is odd; the others are written.
pub fn separate(
    folder: &Path,
    left: &Path,
    right: &Path,
    options: &DecodeOptions,
    progress: impl Fn(usize, usize) + Sync,
) -> Result<Written> {
    let listing = list_images(folder, &Exclude::outputs([left, right]))?;
    let (mut notes, files) = (listing.notes(folder), &listing.files);
    if files.is_empty() {
        return Err(nothing(folder, &notes, "name the folder with the pairs"));
    }
    let names = distinct_names(files);
    notes.extend(renamed(files, &names));
    let within = |side: &Path| names.iter().map(|name| with_suffix(side, name, "png")).collect::<Vec<_>>();
    let (lefts, rights) = (within(left), within(right));
    let outputs = [lefts.clone(), rights.clone()].concat();
    let inputs: Vec<&Path> = files.iter().map(|file| file.path.as_path()).collect();
    notes.extend(alpha_note(&inputs, options));
    let folders = vec![left.to_path_buf(), right.to_path_buf()];
    Plan { sources: &[folder], inputs, folders, outputs: &outputs }.prepare()?;
    write_each(files, progress, |at| {
        let pair = decode(&files[at].path, options)?;
        let (width, height) = pair.size();
        if width % 2 != 0 {
            let reason = format!("its width of {width} pixels does not divide into two equal parts");
            return Err(Error::item(&files[at].path, reason, "is it a pair? then crop it to an even width"));
        }
        write_image(&lefts[at], &pair.crop(0, 0, width / 2, height))?;
        write_image(&rights[at], &pair.crop(width / 2, 0, width / 2, height))
    })?;
    Ok(Written { files: lefts, notes })
}

/// The error for a folder without images; `notes` may say why.
pub(super) fn nothing(folder: &Path, notes: &[String], remedy: &str) -> Error {
    let mut reason = "there is not one image in it".to_owned();
    notes.iter().for_each(|note| reason += &format!("; {note}"));
    Error::dataset(folder, reason, remedy)
}

/// The note to give when alpha channels of these files are dropped.
pub(super) fn alpha_note(paths: &[&Path], options: &DecodeOptions) -> Option<String> {
    let has_alpha = |path: &&&Path| probe(path, options).is_ok_and(|header| matches!(header.channels, 2 | 4));
    let count = if options.alpha == AlphaPolicy::Drop { paths.par_iter().filter(has_alpha).count() } else { 0 };
    (count > 0).then(|| format!("alpha of {count} {} is dropped", if count == 1 { "image" } else { "images" }))
}

/// The note to give when results keep the extensions of their sources.
pub(super) fn renamed(files: &[ImageFile], names: &[PathBuf]) -> Option<String> {
    let kept: Vec<_> = files.iter().zip(names).filter(|(file, name)| file.stem != **name).collect();
    let (_, example) = kept.first()?;
    let count = kept.len();
    Some(format!(
        "{count} results keep the extension in their names, as files differ in it alone ({}.png, …)",
        shown(example)
    ))
}

/// Runs `write` with the index of every item, in parallel. Goes on after failures and lists them at the end.
pub(super) fn write_each<T: Sync>(
    items: &[T],
    progress: impl Fn(usize, usize) + Sync,
    write: impl Fn(usize) -> Result<()> + Sync,
) -> Result<()> {
    let done = AtomicUsize::new(0);
    let written: Vec<Result<()>> = (0..items.len())
        .into_par_iter()
        .map(|at| {
            let outcome = write(at);
            progress(done.fetch_add(1, Ordering::Relaxed) + 1, items.len());
            outcome
        })
        .collect();
    all_done(written)
}

/// The failures among the outcomes, if there are any; one failure of one item is that error itself.
pub(super) fn all_done(outcomes: Vec<Result<()>>) -> Result<()> {
    let total = outcomes.len();
    let mut failures: Vec<Error> = outcomes.into_iter().filter_map(Result::err).collect();
    match failures.len() {
        0 => Ok(()),
        1 if total == 1 => Err(failures.remove(0)),
        failed => Err(Error::Failed { done: total - failed, total, failures }),
    }
}

/// Two images of one size, left and right; the narrower kind (grey, 8 bits) is adapted to the other.
pub(super) fn beside_images(left: Image, right: Image, path: &Path) -> Result<Image> {
    if left.size() != right.size() {
        let ((w, h), (rw, rh)) = (left.size(), right.size());
        let reason = format!("it is {w}x{h} and its partner is {rw}x{rh}");
        return Err(Error::item(path, reason, "resize one of them: the parts of a pair have one size"));
    }
    side_by_side(vec![left, right], path)
}

/// Images of one height in a row; the narrower kinds (grey, 8 bits) are adapted to the others. `path` is for messages.
///
/// # Errors
/// [`Error::Item`] for images of several heights, and where one cannot be given the channels of another.
pub fn side_by_side(images: Vec<Image>, path: &Path) -> Result<Image> {
    let most = images.iter().map(Image::channels).max().unwrap_or(1);
    // Grey with alpha beside colour needs colour with alpha.
    let channels = if most == 3 && images.iter().any(|image| image.channels() == 2) { 4 } else { most };
    let height = images.first().map_or(0, |image| image.size().1);
    if let Some(other) = images.iter().find(|image| image.size().1 != height) {
        let reason = format!("images of {height} and of {} rows do not stand side by side", other.size().1);
        return Err(Error::item(path, reason, "resize them to one height"));
    }
    let adapt = |image: Image| {
        let error = || Error::item(path, format!("it cannot have {channels} channels"), "convert the images to RGB");
        image.with_channels(channels).ok_or_else(error)
    };
    let images = images.into_iter().map(adapt).collect::<Result<Vec<_>>>()?;
    let eight: Option<Vec<&Raster<u8>>> =
        images.iter().map(|image| if let Image::U8(raster) = image { Some(raster) } else { None }).collect();
    if let Some(eight) = eight {
        return Ok(Image::U8(row(&eight)));
    }
    let sixteen: Vec<Raster<u16>> = images.into_iter().map(sixteen_bits).collect();
    Ok(Image::U16(row(&sixteen.iter().collect::<Vec<_>>())))
}

/// Eight bits stretched to sixteen: 255 becomes 65535.
fn sixteen_bits(image: Image) -> Raster<u16> {
    match image {
        Image::U16(raster) => raster,
        Image::U8(raster) => {
            let samples = raster.samples().iter().map(|&s| u16::from(s) * 257).collect();
            Raster::new(raster.width(), raster.height(), raster.channels(), samples)
        }
    }
}

/// Two images of one height, left and right.
pub(crate) fn beside<T: Copy + Default>(left: &Raster<T>, right: &Raster<T>) -> Raster<T> {
    row(&[left, right])
}

/// Images of one height and number of channels, from left to right.
fn row<T: Copy + Default>(images: &[&Raster<T>]) -> Raster<T> {
    let width = images.iter().map(|image| image.width()).sum();
    let (height, channels) = images.first().map_or((0, 1), |image| (image.height(), image.channels()));
    let mut samples = Vec::with_capacity(width * height * channels);
    for y in 0..height {
        images.iter().for_each(|image| samples.extend_from_slice(image.row(y)));
    }
    Raster::new(width, height, channels, samples)
}
