//! Pairs from photographs: the photograph is the target, something made of it the input.

use std::path::Path;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::canny::{Canny, blur, canny_edges};
use super::combine::{Written, alpha_note, beside_images, nothing, renamed, write_each};
use crate::decode::{DecodeOptions, decode};
use crate::dynamic_image::Image;
use crate::encode::write_image;
use crate::error::{Error, Result};
use crate::image_file::{distinct_names, with_suffix};
use crate::listing::{Exclude, list_images};
use crate::raster::Raster;
use crate::resample::{Filter, resize_nearest, resize_u8};
use crate::results::Plan;

/// How the input is made of the photograph. Sizes never change.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PairInput {
    /// The photograph itself.
    Photo,
    /// Without colour: learn to colour.
    Grey,
    /// A line drawing: learn to paint.
    Edges(Canny),
    /// Out of focus, with this standard deviation in pixels: learn to sharpen.
    Blur(f32),
    /// Flat squares of this side in pixels: learn to guess.
    Mosaic(usize),
    /// Shrunk by this factor and enlarged again: learn to add detail.
    Downscale(usize),
}

impl PairInput {
    /// Largest deviation, side or factor, in pixels.
    pub const MOST: usize = 1000;

    /// Refuses a factor, side or deviation that cannot be used: 0, and above [`PairInput::MOST`].
    ///
    /// # Errors
    /// [`Error::Config`].
    pub fn check(self) -> Result<()> {
        let possible = match self {
            Self::Photo | Self::Grey | Self::Edges(_) => true,
            Self::Blur(sigma) => sigma > 0.0 && sigma <= Self::MOST as f32,
            Self::Mosaic(size) | Self::Downscale(size) => (1..=Self::MOST).contains(&size),
        };
        let remedy = format!("give a size above 0 and up to {}", Self::MOST);
        if possible { Ok(()) } else { Err(Error::config(format!("{self:?} is not possible"), remedy)) }
    }

    /// The input for a colour photograph; it has three channels, and 8 bits.
    ///
    /// # Errors
    /// [`Error::Config`] for a factor, side or deviation out of range.
    pub fn apply(self, photo: &Raster<u8>) -> Result<Raster<u8>> {
        self.check()?;
        let (width, height) = photo.size();
        let grey = || Image::U8(photo.clone()).with_channels(1);
        let rgb = |image: Option<Image>| match image.and_then(|p| p.with_channels(3)) {
            Some(Image::U8(raster)) => Ok(raster),
            _ => Err(Error::config("pairs are made of colour photographs", "use 8-bit images of 3 channels")),
        };
        match self {
            Self::Photo => rgb(Some(Image::U8(photo.clone()))),
            Self::Grey => rgb(grey()),
            Self::Edges(settings) => match grey() {
                Some(Image::U8(grey)) => rgb(Some(Image::U8(canny_edges(&grey, settings)))),
                _ => rgb(None),
            },
            Self::Blur(sigma) => {
                let samples = photo.samples().iter().map(|&s| f32::from(s)).collect();
                let blurred = blur(&Raster::new(width, height, photo.channels(), samples), sigma);
                let samples = blurred.samples().iter().map(|s| (s + 0.5) as u8).collect();
                Ok(Raster::new(width, height, photo.channels(), samples))
            }
            Self::Mosaic(side) => {
                // A larger square is cut off at the edges of the photograph anyway.
                let side = side.min(width.max(height));
                let tile = |length: usize| length.div_ceil(side).max(1);
                Ok(mosaic(photo, tile(width), tile(height), side))
            }
            Self::Downscale(factor) => {
                let small = |length: usize| (length / factor).max(1);
                let shrunk = Image::U8(photo.clone()).resize(small(width), small(height), Filter::Bicubic);
                rgb(Some(shrunk.resize(width, height, Filter::Bicubic)))
            }
        }
    }
}

/// What stands left and right in the pairs that [`make_pairs`] makes. A [`PairInput`] alone is what stands left of the photograph.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PairRecipe {
    /// What stands left: side A.
    pub left: PairInput,
    /// What stands right: side B.
    pub right: PairInput,
    /// Width and height of each side in pixels; `None` leaves photographs in their size. They are scaled until they cover it, and
    /// cut around their middle.
    pub size: Option<(usize, usize)>,
}

impl From<PairInput> for PairRecipe {
    fn from(left: PairInput) -> Self {
        Self { left, right: PairInput::Photo, size: None }
    }
}

impl PairRecipe {
    /// Longest side, in pixels.
    pub const MOST: usize = 16_384;

    /// Refuses what [`PairInput::check`] refuses, sides that are the same, and sizes of no pixel or of too many.
    ///
    /// # Errors
    /// [`Error::Config`].
    pub fn check(self) -> Result<()> {
        self.left.check()?;
        self.right.check()?;
        if self.left == self.right {
            return Err(Error::config(
                "both sides are the same: there is nothing to learn",
                "make one of them another thing",
            ));
        }
        match self.size {
            Some((w, h)) if w.min(h) == 0 || w.max(h) > Self::MOST => {
                let reason = format!("no pairs can have sides of {w}x{h} pixels");
                Err(Error::config(reason, format!("give widths and heights from 1 to {}", Self::MOST)))
            }
            _ => Ok(()),
        }
    }

    /// The pair of a colour photograph, side by side.
    fn apply(self, photo: Raster<u8>, path: &Path) -> Result<Image> {
        let photo = match self.size {
            Some(size) => covering(photo, size),
            None => photo,
        };
        beside_images(Image::U8(self.left.apply(&photo)?), Image::U8(self.right.apply(&photo)?), path)
    }
}

/// The image scaled until it covers this size, and cut around its middle.
fn covering(photo: Raster<u8>, (width, height): (usize, usize)) -> Raster<u8> {
    let (w, h) = photo.size();
    // The side that is scaled less has to reach; the other one comes out longer.
    let scaled =
        if width * h >= height * w { (width, (h * width).div_ceil(w)) } else { ((w * height).div_ceil(h), height) };
    let photo = if scaled == (w, h) { photo } else { resize_u8(&photo, scaled.0, scaled.1, Filter::Bicubic) };
    photo.crop((scaled.0 - width) / 2, (scaled.1 - height) / 2, width, height)
}

/// Squares of `side` pixels in their mean colour; those at the right and lower edge may be smaller.
fn mosaic(photo: &Raster<u8>, columns: usize, rows: usize, side: usize) -> Raster<u8> {
    let (width, height) = photo.size();
    let mut tiles = Raster::<u8>::zeros(columns, rows, photo.channels());
    for row in 0..rows {
        for column in 0..columns {
            let (x0, y0) = (column * side, row * side);
            let (x1, y1) = ((x0 + side).min(width), (y0 + side).min(height));
            let pixels = ((x1 - x0) * (y1 - y0)) as u64;
            for channel in 0..photo.channels() {
                let lines = (y0..y1).flat_map(|y| (x0..x1).map(move |x| (x, y)));
                let sum: u64 = lines.map(|(x, y)| u64::from(photo.pixel(x, y)[channel])).sum();
                tiles.pixel_mut(column, row)[channel] = ((sum + pixels / 2) / pixels) as u8;
            }
        }
    }
    resize_nearest(&tiles, columns * side, rows * side).crop(0, 0, width, height)
}

/// Makes a pair of every photograph below `photos` and writes its sides beside each other to `folder`, as PNG under the same names. Photographs whose names differ in the extension alone keep it. `progress` hears how many are
/// done, and of how many.
///
/// # Errors
/// Before anything is written: [`Error::Config`] as [`PairRecipe::check`], [`Error::Dataset`] if there are no
/// photographs, [`Error::Output`] if the folder is read or holds other files. [`Error::Failed`] lists photographs that
/// could not be used; the others are written.
pub fn make_pairs(
    photos: &Path,
    folder: &Path,
    recipe: impl Into<PairRecipe>,
    options: &DecodeOptions,
    progress: impl Fn(usize, usize) + Sync,
) -> Result<Written> {
    let recipe = recipe.into();
    recipe.check()?;
    let listing = list_images(photos, &Exclude::outputs([folder]))?;
    let (mut notes, files) = (listing.notes(photos), &listing.files);
    if files.is_empty() {
        return Err(nothing(photos, &notes, "name the folder of your photographs"));
    }
    let names = distinct_names(files);
    notes.extend(renamed(files, &names));
    let outputs: Vec<_> = names.iter().map(|name| with_suffix(folder, name, "png")).collect();
    let inputs: Vec<&Path> = files.iter().map(|file| file.path.as_path()).collect();
    notes.extend(alpha_note(&inputs, options));
    Plan { sources: &[photos], inputs, folders: vec![folder.to_path_buf()], outputs: &outputs }.prepare()?;
    write_each(files, progress, |at| {
        let path = &files[at].path;
        let unusable = || Error::item(path, "it cannot become an 8-bit colour image", "convert it to RGB");
        let photo = eight_bits(decode(path, options)?.with_channels(3).ok_or_else(unusable)?);
        write_image(&outputs[at], &recipe.apply(photo, path)?)
    })?;
    Ok(Written { files: outputs, notes })
}

/// The upper 8 bits, rounded.
fn eight_bits(image: Image) -> Raster<u8> {
    match image {
        Image::U8(raster) => raster,
        Image::U16(raster) => {
            let samples = raster.samples().par_iter().map(|&s| ((u32::from(s) + 128) / 257) as u8).collect();
            Raster::new(raster.width(), raster.height(), raster.channels(), samples)
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn photo() -> Raster<u8> {
        Raster::from_fn(10, 7, |x, y| [(x * 20) as u8, (y * 30) as u8, 128])
    }

    #[test]
    fn sizes_and_channels_stay() {
        let inputs = [
            PairInput::Grey,
            PairInput::Edges(Canny::default()),
            PairInput::Blur(1.0),
            PairInput::Mosaic(4),
            PairInput::Downscale(3),
        ];
        for input in inputs {
            let made = input.apply(&photo()).unwrap();
            assert_eq!((made.size(), made.channels()), ((10, 7), 3), "{input:?}");
            assert_ne!(made, photo(), "{input:?}");
        }
    }

    #[test]
    fn a_size_is_covered_without_distortion() {
        // Wide photographs lose their left and right, tall ones top and bottom.
        let wide = Raster::from_fn(12, 4, |x, _| [if (4..8).contains(&x) { 200u8 } else { 0 }; 3]);
        assert!(covering(wide, (4, 4)).samples().iter().all(|&s| s == 200));
        let tall = Raster::from_fn(4, 12, |_, y| [if (4..8).contains(&y) { 200u8 } else { 0 }; 3]);
        assert!(covering(tall, (4, 4)).samples().iter().all(|&s| s == 200));
        for size in [(5, 5), (20, 3), (3, 20), (10, 7), (1, 1), (640, 480)] {
            assert_eq!(covering(photo(), size).size(), size);
        }
        let recipe = PairRecipe { left: PairInput::Photo, right: PairInput::Grey, size: Some((6, 5)) };
        let pair = recipe.apply(photo(), Path::new("p.png")).unwrap();
        assert_eq!(pair.size(), (12, 5));
        let Image::U8(pair) = pair else { panic!("another depth") };
        let grey = |x: usize| pair.pixel(x, 2)[0] == pair.pixel(x, 2)[2];
        assert!(grey(6) && grey(11) && !grey(0), "the photograph is left");
    }

    #[test]
    fn recipes_that_teach_nothing_are_refused() {
        let refused = |recipe: PairRecipe| recipe.check().unwrap_err().to_string();
        let recipe = PairRecipe::from(PairInput::Grey);
        recipe.check().unwrap();
        assert!(refused(PairInput::Photo.into()).contains("nothing to learn"));
        assert!(refused(PairRecipe { size: Some((0, 4)), ..recipe }).contains("0x4"));
        assert!(refused(PairRecipe { size: Some((4, 99_999)), ..recipe }).contains("from 1 to"));
    }

    #[test]
    fn a_mosaic_has_the_mean_colour_of_each_square() {
        let made = PairInput::Mosaic(4).apply(&photo()).unwrap();
        assert_eq!(made.pixel(0, 0), [30, 45, 128]);
        assert_eq!(made.pixel(3, 3), [30, 45, 128]);
        assert_eq!(made.pixel(9, 6), [170, 150, 128]);
    }

    #[test]
    fn grey_has_equal_channels_and_blur_keeps_flat_areas() {
        let grey = PairInput::Grey.apply(&photo()).unwrap();
        assert!(grey.samples().as_chunks::<3>().0.iter().all(|p| p[0] == p[1] && p[1] == p[2]));
        let flat = Raster::new(9, 9, 3, vec![77; 243]);
        assert_eq!(PairInput::Blur(2.0).apply(&flat).unwrap(), flat);
        assert!(PairInput::Blur(0.0).apply(&flat).is_err());
        assert!(PairInput::Mosaic(0).apply(&flat).is_err());
    }
}
