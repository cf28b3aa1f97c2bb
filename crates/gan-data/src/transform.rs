//! Resize, crop, flip: the augmentation of the reference, in its fixed order, with keyed randomness; and what goes beyond it.

use std::path::Path;

use gan_range::Range;
use gan_rng::Key;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::jitter::{Jitter, Part};
use crate::pixels::Pixels;
use crate::preprocess::Preprocess;
use crate::warp::Warp;

/// The whole augmentation of a dataset.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Transform {
    /// Which steps run.
    pub preprocess: Preprocess,
    /// Side, or width, after resizing; in pixels.
    pub load_size: usize,
    /// Side after cropping; in pixels.
    pub crop_size: usize,
    /// Whether half of the images are mirrored.
    pub flip: bool,
    /// With [`Preprocess::None`], sides become multiples of this: what the network asks for.
    pub multiple: usize,
    /// Whether scaling to a width keeps the height at `crop_size` or more. Datasets of label maps do not, as their reference.
    pub minimum_height: bool,
    /// How geometry changes, after resizing and before the crop.
    pub warp: Warp,
    /// How colours change, at the end.
    pub jitter: Jitter,
}

impl Default for Transform {
    fn default() -> Self {
        Self {
            preprocess: Preprocess::ResizeAndCrop,
            load_size: 286,
            crop_size: 256,
            flip: true,
            multiple: 4,
            minimum_height: true,
            warp: Warp::default(),
            jitter: Jitter::default(),
        }
    }
}

/// Decisions that the parts of one item (input, target, instances) share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SharedDraws {
    /// Left edge of the crop.
    pub x: usize,
    /// Upper edge of the crop.
    pub y: usize,
    /// Whether to mirror.
    pub flip: bool,
    /// What the warp and the jitter are drawn from.
    pub key: Key,
}

impl Transform {
    /// The range of `load_size`.
    pub const LOAD_SIZE: Range = Range::whole("load_size", 1, 65_535);
    /// The range of `crop_size`.
    pub const CROP_SIZE: Range = Range::whole("crop_size", 1, 65_535);
    /// The range of `multiple`.
    pub const MULTIPLE: Range = Range::whole("multiple", 1, 1024);
    /// As [`MULTIPLE`](Self::MULTIPLE), with what the deepest networks ask for.
    const ANY_MULTIPLE: Range = Range::whole("multiple", 1, 1 << 24);

    /// Refuses settings that cannot work.
    ///
    /// # Errors
    /// [`Error::Config`].
    pub fn validate(&self) -> Result<()> {
        Self::LOAD_SIZE.check_whole(self.load_size as u64)?;
        Self::CROP_SIZE.check_whole(self.crop_size as u64)?;
        Self::ANY_MULTIPLE.check_whole(self.multiple as u64)?;
        let fixed = self.preprocess == Preprocess::ResizeAndCrop || self.preprocess == Preprocess::ScaleWidthAndCrop;
        if fixed && self.load_size < self.crop_size {
            let reason = format!("load_size {} is below crop_size {}", self.load_size, self.crop_size);
            let remedy = format!("set load_size = {} or more, or crop_size = {}", self.crop_size, self.load_size);
            return Err(Error::config(reason, remedy));
        }
        Ok(())
    }

    /// Whether images of different sizes come out in the same size and stay aligned.
    #[must_use]
    pub fn unifies_sizes(&self) -> bool {
        self.preprocess.resizes()
    }

    /// Draws what the parts of an item share, from the size of its first part: x, then y, then the flip. All three
    /// are drawn even when a step does not use them, so that settings do not shift each other's randomness.
    #[must_use]
    pub fn draw(&self, (width, height): (usize, usize), key: Key) -> SharedDraws {
        let (width, height) = match self.preprocess {
            Preprocess::ResizeAndCrop => (self.load_size, self.load_size),
            // Floor division, as the reference: a height raised to `crop_size` is not taken into account.
            Preprocess::ScaleWidthAndCrop => (self.load_size, self.load_size * height / width.max(1)),
            _ => (width, height),
        };
        let mut stream = key.stream();
        let mut position = |side: usize| stream.below(side.saturating_sub(self.crop_size) as u64 + 1) as usize;
        let (x, y) = (position(width), position(height));
        SharedDraws { x, y, flip: stream.uniform() > 0.5, key }
    }

    /// Transforms one part of an item whose parts share their draws. Where the image is smaller than the crop, the
    /// rest is black.
    #[must_use]
    pub fn apply_shared<P: Pixels>(&self, pixels: P, part: Part, draws: SharedDraws) -> P {
        let mut pixels = self.warped(self.sized(pixels), draws.key);
        let (width, height) = pixels.size();
        if self.preprocess.crops() && (width > self.crop_size || height > self.crop_size) {
            pixels = pixels.cropped(draws.x, draws.y, self.crop_size, self.crop_size);
        }
        self.finish(pixels, draws.flip, part, draws.key)
    }

    /// Transforms an image that stands alone.
    ///
    /// # Errors
    /// [`Error::Item`], naming `path`, if the image is smaller than the crop.
    pub fn apply_alone<P: Pixels>(&self, pixels: P, part: Part, key: Key, path: &Path) -> Result<P> {
        self.check_source(pixels.size(), path)?;
        let mut pixels = self.warped(self.sized(pixels), key);
        let mut stream = key.stream();
        if self.preprocess.crops() {
            let (width, height) = pixels.size();
            let crop = self.crop_size;
            if width < crop || height < crop {
                return Err(self.smaller_than_crop((width, height), path));
            }
            if (width, height) != (crop, crop) {
                let top = stream.below((height - crop) as u64 + 1) as usize;
                let left = stream.below((width - crop) as u64 + 1) as usize;
                pixels = pixels.cropped(left, top, crop, crop);
            }
        }
        Ok(self.finish(pixels, stream.uniform() < 0.5, part, key))
    }

    /// The error about an image that stands alone and is smaller than the crop.
    pub(crate) fn smaller_than_crop(&self, (width, height): (usize, usize), path: &Path) -> Error {
        let crop = self.crop_size;
        let reason = format!("{width}x{height} is smaller than the crop of {crop}x{crop}");
        let remedy = "use preprocess = \"resize_and_crop\", a smaller crop_size, or larger images";
        Error::item(path, reason, remedy)
    }

    /// `(width, height)` before any crop for an image of the given size.
    #[must_use]
    pub fn size_before_crop(&self, (width, height): (usize, usize)) -> (usize, usize) {
        if self.preprocess.resizes() {
            (self.load_size, self.load_size)
        } else if self.preprocess.scales_width() {
            let least = if self.minimum_height { self.crop_size } else { 0 };
            if width == self.load_size && height >= least {
                return (width, height);
            }
            let scaled = self.load_size as f64 * height as f64 / width.max(1) as f64;
            (self.load_size, (scaled.max(least as f64) as usize).max(1))
        } else {
            (width, height)
        }
    }

    /// `(width, height)` of what an image of the given size becomes. An image smaller than the crop keeps its size where
    /// it shares the crop with others ([`apply_shared`](Self::apply_shared)); alone it is refused.
    #[must_use]
    pub fn size_after_crop(&self, size: (usize, usize)) -> (usize, usize) {
        let (width, height) = self.size_before_crop(size);
        match self.preprocess {
            Preprocess::None => (round_to_multiple(width, self.multiple), round_to_multiple(height, self.multiple)),
            crop if crop.crops() && (width > self.crop_size || height > self.crop_size) => {
                (self.crop_size, self.crop_size)
            }
            _ => (width, height),
        }
    }

    /// Refuses an image that would become too large to hold: a narrow one scaled to a width, for example.
    ///
    /// # Errors
    /// [`Error::Item`], naming `path`.
    pub fn check_source(&self, size: (usize, usize), path: &Path) -> Result<()> {
        let rounds = self.preprocess == Preprocess::None;
        let (width, height) = if rounds { self.size_after_crop(size) } else { self.size_before_crop(size) };
        let pixels = width as u128 * height as u128;
        if pixels <= MAX_PIXELS {
            return Ok(());
        }
        let reason = format!("{}x{} would become {width}x{height}, which is too large", size.0, size.1);
        Err(Error::item(path, reason, "lower load_size, or leave this image out"))
    }

    fn sized<P: Pixels>(&self, pixels: P) -> P {
        let (width, height) = self.size_before_crop(pixels.size());
        if pixels.size() == (width, height) { pixels } else { pixels.resized(width, height) }
    }

    fn warped<P: Pixels>(&self, pixels: P, key: Key) -> P {
        match self.warp.draw(pixels.size(), key.at_name("warp")) {
            Some(field) => pixels.warped(&field),
            None => pixels,
        }
    }

    fn finish<P: Pixels>(&self, mut pixels: P, flip: bool, part: Part, key: Key) -> P {
        if self.preprocess == Preprocess::None {
            let (width, height) = pixels.size();
            let rounded = self.size_after_crop((width, height));
            if rounded != (width, height) {
                pixels = pixels.resized(rounded.0, rounded.1);
            }
        }
        if self.flip && flip {
            pixels.flip();
        }
        match self.jitter.draw(part, key.at_name("jitter")) {
            Some(factors) => pixels.jittered(factors),
            None => pixels,
        }
    }
}

/// Most pixels of an image that is resized, drawn or cropped: 16384 x 16384.
const MAX_PIXELS: u128 = 1 << 28;

/// Refuses a size that a key of the configuration gives, if it is too large to hold.
pub(crate) fn check_pixels(key: &str, (width, height): (usize, usize)) -> Result<()> {
    if width as u128 * height as u128 <= MAX_PIXELS {
        return Ok(());
    }
    let reason = format!("{key}: images of {width}x{height} pixels are too large");
    Err(Error::config(reason, format!("set {key} = {} or less", MAX_PIXELS.isqrt())))
}

/// The multiple of `multiple` nearest to `side`; halves go to the even quotient, and the result is never 0.
#[must_use]
pub fn round_to_multiple(side: usize, multiple: usize) -> usize {
    let rounded = (side as f64 / multiple as f64).round_ties_even() as usize;
    rounded.max(1) * multiple
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use gan_rng::Purpose;

    use super::*;
    use crate::dynamic_image::Image;
    use crate::ids::IdMap;
    use crate::raster::Raster;

    fn key(index: u64) -> Key {
        Key::new(7, Purpose::Augment).at(index)
    }

    fn numbered(width: usize, height: usize) -> IdMap {
        IdMap::new(Raster::from_fn(width, height, |x, y| [(1000 * y + x) as u32 + 1]))
    }

    fn transform(preprocess: Preprocess, load_size: usize, crop_size: usize) -> Transform {
        Transform { preprocess, load_size, crop_size, flip: false, ..Default::default() }
    }

    #[test]
    fn multiples_round_half_to_even() {
        for (side, rounded) in [(18, 16), (22, 24), (26, 24), (6, 8), (10, 8), (14, 16), (1, 4), (2, 4), (16, 16)] {
            assert_eq!(round_to_multiple(side, 4), rounded, "{side}");
        }
    }

    #[test]
    fn widths_scale_as_the_references_do() {
        let cyc = transform(Preprocess::ScaleWidth, 200, 150);
        assert_eq!(cyc.size_before_crop((120, 100)), (200, 166));
        assert_eq!(cyc.size_before_crop((120, 60)), (200, 150));
        assert_eq!(cyc.size_before_crop((200, 149)), (200, 150));
        assert_eq!(cyc.size_before_crop((200, 151)), (200, 151));
        let hd = Transform { minimum_height: false, ..cyc };
        assert_eq!(hd.size_before_crop((120, 60)), (200, 100));
        assert_eq!(hd.size_before_crop((200, 10)), (200, 10));
    }

    #[test]
    fn shared_draws_keep_parts_aligned_and_cover_all_positions() {
        let transform = Transform { flip: true, ..transform(Preprocess::Crop, 0, 5) };
        let ids = numbered(9, 7);
        let image = Image::U16(Raster::from_fn(9, 7, |x, y| [(1000 * y + x) as u16 + 1]));
        let mut corners = std::collections::BTreeSet::new();
        for index in 0..200 {
            let draws = transform.draw((9, 7), key(index));
            corners.insert((draws.x, draws.y, draws.flip));
            let ids = transform.apply_shared(ids.clone(), Part::Input, draws);
            let Image::U16(image) = transform.apply_shared(image.clone(), Part::Target, draws) else { panic!("depth") };
            let ids: Vec<u32> = ids.raster().samples().to_vec();
            let levels: Vec<u32> = image.samples().iter().map(|&s| u32::from(s)).collect();
            assert_eq!(ids, levels);
        }
        assert_eq!(corners.len(), 5 * 3 * 2);
    }

    #[test]
    fn shared_crop_pads_with_zero_and_leaves_small_images_alone() {
        let transform = transform(Preprocess::Crop, 0, 5);
        let draws = SharedDraws { x: 1, y: 0, flip: false, key: key(0) };
        let wide = transform.apply_shared(numbered(8, 3), Part::Input, draws);
        assert_eq!(wide.size(), (5, 5));
        assert_eq!(wide.raster().row(2), [2002, 2003, 2004, 2005, 2006]);
        assert_eq!(wide.raster().row(3), [0; 5]);
        assert_eq!(transform.apply_shared(numbered(4, 3), Part::Input, draws).size(), (4, 3));
    }

    #[test]
    fn a_lone_image_smaller_than_the_crop_is_an_error_that_helps() {
        let transform = transform(Preprocess::Crop, 0, 5);
        let error =
            transform.apply_alone(numbered(4, 9), Part::Input, key(0), Path::new("dog.png")).unwrap_err().to_string();
        assert!(error.contains("dog.png") && error.contains("4x9") && error.contains("resize_and_crop"), "{error}");
        assert_eq!(transform.apply_alone(numbered(5, 5), Part::Input, key(0), Path::new("")).unwrap(), numbered(5, 5));
    }

    #[test]
    fn the_same_key_gives_the_same_image_and_others_differ() {
        let transform = Transform { flip: true, ..transform(Preprocess::ResizeAndCrop, 20, 8) };
        let apply = |index| transform.apply_alone(numbered(30, 31), Part::Input, key(index), Path::new("")).unwrap();
        assert_eq!(apply(3), apply(3));
        assert!((0..5).any(|i| apply(i) != apply(3)));
    }

    #[test]
    fn none_rounds_and_nothing_else() {
        let transform = transform(Preprocess::None, 1, 1);
        assert_eq!(
            transform.apply_alone(numbered(18, 22), Part::Input, key(0), Path::new("")).unwrap().size(),
            (16, 24)
        );
        let hd = Transform { multiple: 32, ..transform };
        assert_eq!(hd.apply_alone(numbered(100, 9), Part::Input, key(0), Path::new("")).unwrap().size(), (96, 32));
    }
}
