//! Whether side-by-side files look like pairs, or like plain photographs that would be cut in two.

use rayon::prelude::*;

use crate::dynamic_image::{Image, luma};
use crate::image_file::ImageFile;
use crate::reader::Reader;

/// Files that are looked at before training; [`crate::inspect()`] looks at all.
const SAMPLES: usize = 8;

/// Least deviation, in levels, of a column at the seam that tells anything: plain margins meet everywhere.
const TEXTURE: f64 = 4.0;

/// Least correlation of the two columns at the seam of one image. Of 65 photographs some 60 reach it, of the pairs made of
/// them (grey, blurred, darker, labels) one.
const ALIKE: f64 = 0.85;

/// What the middle of one file tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seam {
    /// Width below the height: each half would be more than twice as tall as wide.
    narrow: bool,
    /// The image goes on across the middle.
    continuous: bool,
    /// Both halves are one image.
    doubled: bool,
}

impl Seam {
    /// Measures the columns on either side of the middle of an image of at least four columns.
    pub(crate) fn of(image: &Image) -> Option<Self> {
        let (width, height) = image.size();
        if width < 4 {
            return None;
        }
        let middle = width / 2;
        let columns = [middle - 2, middle - 1, middle, middle + 1].map(|x| column(image, x));
        let step = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).sum::<f64>() / height as f64;
        let across = step(&columns[1], &columns[2]);
        let beside = step(&columns[0], &columns[1]).max(step(&columns[2], &columns[3]));
        let alike = correlation(&columns[1], &columns[2]).is_some_and(|r| r >= ALIKE);
        let half = |x| image.crop(x, 0, middle, height);
        // One level for what rounding and compression do.
        Some(Self {
            narrow: width < height,
            continuous: alike && across <= 2.0 * beside + 1.0,
            doubled: half(0) == half(width - middle),
        })
    }
}

/// The verdict over the files that were looked at, if they are most likely no pairs.
pub(crate) fn doubt(seams: &[Seam]) -> Option<String> {
    let all = seams.len();
    let most = |holds: fn(&Seam) -> bool| Some(seams.iter().filter(|seam| holds(seam)).count()).filter(|n| 2 * n > all);
    if let Some(n) = most(|seam| seam.doubled) {
        return Some(format!("in {} both halves are the same: there is nothing to learn from that", of(n, all)));
    }
    let reason = match (most(|seam| seam.continuous), most(|seam| seam.narrow)) {
        (Some(n), _) => format!("in {} the image goes on across the middle", of(n, all)),
        (None, Some(n)) => format!("{} {} taller than wide", of(n, all), if n == 1 { "is" } else { "are" }),
        (None, None) => return None,
    };
    let what = if all == 1 {
        "this may be a plain photograph and no pair"
    } else {
        "these may be plain photographs and no pairs"
    };
    Some(format!("{what}: {reason}, but the left half is taken as A and the right half as B"))
}

/// `3 of 4 files`, `the only file`.
fn of(count: usize, all: usize) -> String {
    if all == 1 { "the only file".to_owned() } else { format!("{count} of {all} files") }
}

/// The verdict over some of the files, spread over all of them. What cannot be read is passed over: training refuses it.
pub(crate) fn note(files: &[ImageFile], reader: &Reader) -> Option<String> {
    let step = files.len().div_ceil(SAMPLES).max(1);
    let samples: Vec<&ImageFile> = files.iter().step_by(step).collect();
    let seams: Vec<Seam> =
        samples.par_iter().filter_map(|file| Seam::of(&reader.decode(&file.path, false).ok()?)).collect();
    doubt(&seams)
}

/// The luma of a column, in levels 0 … 255.
fn column(image: &Image, x: usize) -> Vec<f64> {
    let grey = |pixel: &[u32]| match pixel {
        [r, g, b, ..] => luma(*r, *g, *b),
        _ => pixel[0],
    };
    let height = image.size().1;
    match image {
        Image::U8(raster) => {
            let level = |y| grey(&raster.pixel(x, y).iter().map(|&s| u32::from(s)).collect::<Vec<_>>());
            (0..height).map(|y| f64::from(level(y))).collect()
        }
        Image::U16(raster) => {
            let level = |y| grey(&raster.pixel(x, y).iter().map(|&s| u32::from(s)).collect::<Vec<_>>());
            (0..height).map(|y| f64::from(level(y)) / 257.0).collect()
        }
    }
}

/// Pearson's correlation; none where a column is nearly flat.
fn correlation(a: &[f64], b: &[f64]) -> Option<f64> {
    let n = a.len() as f64;
    let mean = |v: &[f64]| v.iter().sum::<f64>() / n;
    let (mean_a, mean_b) = (mean(a), mean(b));
    let product =
        |v: &[f64], mv: f64, w: &[f64], mw: f64| v.iter().zip(w).map(|(v, w)| (v - mv) * (w - mw)).sum::<f64>() / n;
    let (var_a, var_b) = (product(a, mean_a, a, mean_a), product(b, mean_b, b, mean_b));
    let textured = var_a.min(var_b) >= TEXTURE * TEXTURE;
    textured.then(|| product(a, mean_a, b, mean_b) / (var_a * var_b).sqrt())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::pairs::beside;
    use crate::raster::Raster;
    use crate::synth::{day, facade, night, street};

    fn seams(images: impl Iterator<Item = Raster<u8>>) -> Vec<Seam> {
        images.map(|raster| Seam::of(&Image::U8(raster)).unwrap()).collect()
    }

    #[test]
    fn drawn_pairs_are_not_doubted() {
        let facades = |i| {
            let (labels, photo) = facade(1, i, 64);
            beside(&labels, &photo)
        };
        assert_eq!(doubt(&seams((0..24).map(facades))), None);
        // The harder case: the same scene twice.
        assert_eq!(doubt(&seams((0..24).map(|i| beside(&day(1, i, 64), &night(1, i, 64))))), None);
        let grey = |i| {
            let photo = street(1, i, 64).2;
            let made = crate::PairInput::Grey.apply(&photo).unwrap();
            beside(&made, &photo)
        };
        assert_eq!(doubt(&seams((0..24).map(grey))), None);
        let blank = Raster::new(64, 32, 3, vec![255; 64 * 32 * 3]);
        let margins = |_| {
            let mut pair = blank.clone();
            pair.pixel_mut(9, 9).fill(0);
            pair
        };
        assert_eq!(doubt(&seams((0..3).map(margins))), None, "white margins tell nothing");
    }

    #[test]
    fn plain_photographs_are_doubted() {
        let photos = |i: u64| street(1, i, 64).2;
        let said = doubt(&seams((0..24).map(photos))).unwrap();
        assert!(said.contains("across the middle"), "{said}");
        let doubled = |i| beside(&day(1, i, 64), &day(1, i, 64));
        assert!(doubt(&seams((0..3).map(doubled))).unwrap().contains("both halves are the same"));
        let tall = Raster::from_fn(20, 60, |x, y| if x < 10 { [0u8] } else { [y as u8] });
        assert!(doubt(&seams(std::iter::repeat_n(tall, 3))).unwrap().contains("taller than wide"));
    }
}
