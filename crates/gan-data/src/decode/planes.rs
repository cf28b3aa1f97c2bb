//! Images of any number of channels: a folder of grey files, one a channel.

use std::path::{Path, PathBuf};

use super::{DecodeOptions, Header};
use crate::dynamic_image::Image;
use crate::error::{Error, Result};
use crate::image_name::is_image;
use crate::raster::Raster;

/// The files of a folder of planes, in order of their names.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let listed = std::fs::read_dir(folder).and_then(|entries| entries.map(|e| Ok(e?.path())).collect());
    let paths: Vec<PathBuf> = listed.map_err(|e| Error::io("list", folder, e))?;
    // Whatever else bears such a name is refused when it is opened: leaving it out would lose a channel.
    let mut planes: Vec<PathBuf> = paths.into_iter().filter(|path| is_image(path)).collect();
    planes.sort();
    if planes.is_empty() {
        return Err(Error::decode(folder, "there is no plane in it", "put one grey image a channel there"));
    }
    Ok(planes)
}

pub(super) fn probe(folder: &Path, options: &DecodeOptions) -> Result<Header> {
    let files = files(folder)?;
    let mut header = super::probe(&files[0], options)?;
    for file in &files[1..] {
        let other = super::probe(file, options)?;
        header.depth = header.depth.max(other.depth);
    }
    let too_many = |_| Error::decode(folder, format!("it has {} planes", files.len()), "at most 255 are supported");
    header.channels = u8::try_from(files.len()).map_err(too_many)?;
    Ok(header)
}

/// Decodes each plane with `decode` and joins them.
pub(crate) fn join_planes(
    folder: &Path,
    options: &DecodeOptions,
    decode: impl Fn(&Path) -> Result<Image>,
) -> Result<Image> {
    let files = files(folder)?;
    let first = super::probe(&files[0], options)?;
    let bytes = u64::from(first.width) * u64::from(first.height) * u64::from(first.depth / 8) * files.len() as u64;
    options.limits.check(folder, first.width, first.height, bytes)?;
    let mut planes = Vec::with_capacity(files.len());
    for file in &files {
        let plane = decode(file)?;
        if plane.channels() != 1 {
            let reason = format!("a plane has one channel and this has {}", plane.channels());
            return Err(Error::decode(file, reason, "save it as grey, or each of its channels as a plane"));
        }
        if plane.size() != (first.width as usize, first.height as usize) {
            let ((w, h), Header { width, height, .. }) = (plane.size(), first);
            let reason = format!("it is {w}x{h} and the first plane is {width}x{height}");
            return Err(Error::decode(file, reason, "give all planes of an image one size"));
        }
        planes.push(plane);
    }
    if planes.iter().all(|plane| plane.depth() == 8) {
        let samples = planes.iter().filter_map(|plane| match plane {
            Image::U8(raster) => Some(raster.samples()),
            Image::U16(_) => None,
        });
        return Ok(Image::U8(interleaved(&samples.collect::<Vec<_>>(), planes[0].size())));
    }
    let samples: Vec<Vec<u16>> = planes.iter().map(sixteen_bits).collect();
    let samples: Vec<&[u16]> = samples.iter().map(Vec::as_slice).collect();
    Ok(Image::U16(interleaved(&samples, planes[0].size())))
}

/// Levels of 16 bits; 255 becomes 65535.
fn sixteen_bits(plane: &Image) -> Vec<u16> {
    match plane {
        Image::U8(raster) => raster.samples().iter().map(|&s| u16::from(s) * 257).collect(),
        Image::U16(raster) => raster.samples().to_vec(),
    }
}

fn interleaved<T: Copy + Default>(planes: &[&[T]], (width, height): (usize, usize)) -> Raster<T> {
    let mut samples = Vec::with_capacity(width * height * planes.len());
    for at in 0..width * height {
        samples.extend(planes.iter().map(|plane| plane[at]));
    }
    Raster::new(width, height, planes.len(), samples)
}
