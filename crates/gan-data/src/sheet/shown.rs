//! Items of a dataset as images for people.

use candle_core::{DType, Tensor};
use gan_rng::{Key, Purpose};

use crate::config::{DataConfig, DataMode, Direction};
use crate::dataset::Dataset;
use crate::dynamic_image::Image;
use crate::encode::{Depth, Quantize, image_from_tensor};
use crate::error::Result;
use crate::lab::image_from_lab;
use crate::label_colours::label_colours;
use crate::preprocess::Preprocess;
use crate::raster::Raster;
use crate::resample::{Filter, resize_nearest, resize_u8};

/// An item as the dataset makes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownItem {
    /// Its name.
    pub name: String,
    /// Input, target, instance map, as far as the item has them.
    pub images: Vec<ShownImage>,
}

/// One part of an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownImage {
    /// What it is: `input (A)`, `target (B)`, `instances`.
    pub caption: &'static str,
    /// Its pixels, in three channels.
    pub pixels: Raster<u8>,
    /// Whether the pixels stand for ids: then they are not blended when the size changes.
    pub ids: bool,
}

impl ShownImage {
    /// The image with no side longer than this.
    #[must_use]
    pub fn at_most(&self, longest: usize) -> Self {
        let (width, height) = self.pixels.size();
        let own = width.max(height).max(1);
        if own <= longest {
            return self.clone();
        }
        let side = |side: usize| (side * longest / own).max(1);
        let (width, height) = (side(width), side(height));
        let pixels = match self.ids {
            true => resize_nearest(&self.pixels, width, height),
            false => resize_u8(&self.pixels, width, height, Filter::Bicubic),
        };
        Self { pixels, ..self.clone() }
    }
}

/// The configuration under which items are shown: whole images in the size that they have before they are cropped, unchanged by
/// chance, each domain in order.
#[must_use]
pub fn whole_images(config: &DataConfig) -> DataConfig {
    let preprocess = match config.preprocess {
        Preprocess::ResizeAndCrop => Preprocess::Resize,
        Preprocess::ScaleWidthAndCrop => Preprocess::ScaleWidth,
        Preprocess::Crop => Preprocess::None,
        other => other,
    };
    // As they are, images need not suit any network.
    let multiple = if preprocess == Preprocess::None { 1 } else { config.multiple };
    DataConfig { preprocess, multiple, shuffle: false, batch_size: 1, ..config.clone().without_augmentation() }
}

/// At most `most` indices below `len`, spread from the first to the last.
#[must_use]
pub fn spread(len: usize, most: usize) -> Vec<usize> {
    match (len, most) {
        (0, _) | (_, 0) => Vec::new(),
        (_, 1) => vec![0],
        (len, most) if len <= most => (0..len).collect(),
        (len, most) => (0..most).map(|at| at * (len - 1) / (most - 1)).collect(),
    }
}

/// Item `index` of the dataset that `config` describes, as people see it: label maps in the colours of their labels, instance maps
/// in a colour for each object, lightness in grey beside the photograph.
///
/// # Errors
/// Whatever is wrong with the item's files.
pub fn show_item(dataset: &dyn Dataset, config: &DataConfig, index: usize) -> Result<ShownItem> {
    let item = dataset.item(index, Key::new(0, Purpose::Augment).at(index as u64))?;
    let of_labels = item.a.dtype() != DType::F32;
    let sided = [DataMode::Aligned, DataMode::Unaligned, DataMode::Facades, DataMode::Unpaired].contains(&config.mode);
    let captions = match (of_labels, sided, config.direction) {
        (true, ..) => ["input: labels", "target"],
        (_, true, Direction::A2b) => ["input (A)", "target (B)"],
        (_, true, Direction::B2a) => ["input (B)", "target (A)"],
        _ if config.mode == DataMode::Single => ["image", ""],
        _ => ["input", "target"],
    };
    let input =
        if of_labels { label_colours(&item.a.unsqueeze(0)?, config.label_rule().classes())? } else { rgb(&item.a)? };
    let mut images = vec![ShownImage { caption: captions[0], pixels: input, ids: of_labels }];
    if let Some(target) = &item.b {
        let pixels = match config.mode {
            DataMode::Colorization => three(&image_from_lab(&item.a, target)?),
            _ => rgb(target)?,
        };
        images.push(ShownImage { caption: captions[1], pixels, ids: false });
    }
    if let Some(instances) = &item.inst {
        images.push(ShownImage { caption: "instances", pixels: instance_colours(instances)?, ids: true });
    }
    Ok(ShownItem { name: item.name, images })
}

/// An image `[C, H, W]` in three channels.
fn rgb(image: &Tensor) -> Result<Raster<u8>> {
    Ok(three(&image_from_tensor(image, Depth::U8, Quantize::Round)?))
}

/// The first three channels, or the first one three times; of more than 8 bits the upper ones.
fn three(image: &Image) -> Raster<u8> {
    let (width, height) = image.size();
    let channels = image.channels();
    let pick = |c: usize| if channels >= 3 { c } else { 0 };
    match image {
        Image::U8(raster) => Raster::from_fn(width, height, |x, y| [0, 1, 2].map(|c| raster.pixel(x, y)[pick(c)])),
        Image::U16(raster) => {
            Raster::from_fn(width, height, |x, y| [0, 1, 2].map(|c| (raster.pixel(x, y)[pick(c)] >> 8) as u8))
        }
    }
}

/// An instance map `[1, H, W]` with a colour for each object. Neighbouring numbers get colours far apart.
fn instance_colours(instances: &Tensor) -> Result<Raster<u8>> {
    let (_, height, width) = instances.dims3()?;
    let ids = instances.flatten_all()?.to_dtype(DType::U32)?.to_vec1::<u32>()?;
    // A multiplicative hash: the golden ratio spreads consecutive numbers over all of them.
    let colour = |id: u32| {
        let bytes = id.wrapping_add(1).wrapping_mul(0x9E37_79B9).to_be_bytes();
        [bytes[0], bytes[1], bytes[2]].map(|byte| 40 + byte / 5 * 4)
    };
    Ok(Raster::new(width, height, 3, ids.into_iter().flat_map(colour).collect()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::kinds::open;
    use crate::synth::{SynthFiles, SynthKind, write_synth};

    #[test]
    fn indices_are_spread_from_first_to_last() {
        assert_eq!(spread(3, 12), [0, 1, 2]);
        assert_eq!(spread(100, 4), [0, 33, 66, 99]);
        assert_eq!((spread(0, 4), spread(9, 1)), (vec![], vec![0]));
    }

    /// Captions and sizes of what is shown, and the images.
    type Shown = (Vec<(&'static str, (usize, usize))>, Vec<Raster<u8>>);

    /// What is shown of the first item of a drawn dataset.
    fn shown(kind: SynthKind, config: DataConfig) -> Shown {
        let dir = tempfile::TempDir::new().unwrap();
        write_synth(dir.path(), &SynthFiles { kind, seed: 1, size: 32, train: 2, test: 0 }, |_, _| ()).unwrap();
        let config = whole_images(&DataConfig { root: dir.path().into(), load_size: 48, crop_size: 40, ..config });
        let item = show_item(&*open(&config).unwrap(), &config, 0).unwrap();
        let seen = item.images.iter().map(|image| (image.caption, image.pixels.size())).collect();
        (seen, item.images.into_iter().map(|image| image.pixels).collect())
    }

    #[test]
    fn items_are_shown_as_they_are_parsed() {
        let pairs = DataConfig { mode: DataMode::Aligned, ..DataConfig::default() };
        let (seen, a2b) = shown(SynthKind::Facades, pairs.clone());
        assert_eq!(seen, [("input (A)", (48, 48)), ("target (B)", (48, 48))]);
        let (seen, b2a) = shown(SynthKind::Facades, DataConfig { direction: Direction::B2a, ..pairs.clone() });
        assert_eq!(seen, [("input (B)", (48, 48)), ("target (A)", (48, 48))]);
        assert!(a2b[0] == b2a[1] && a2b[1] == b2a[0] && a2b[0] != a2b[1]);
        // What is cropped at random is shown whole, in its own size.
        let (seen, _) = shown(SynthKind::Facades, DataConfig { preprocess: Preprocess::Crop, ..pairs });
        assert_eq!(seen[0].1, (32, 32));
        let streets = DataConfig { mode: DataMode::Labelled, label_nc: 16, ..DataConfig::default() };
        let (seen, images) = shown(SynthKind::Streets, streets);
        assert_eq!(seen.iter().map(|image| image.0).collect::<Vec<_>>(), ["input: labels", "target", "instances"]);
        assert!(images.iter().all(|image| image.channels() == 3));
        let colours = DataConfig { mode: DataMode::Colorization, input_nc: 1, output_nc: 2, ..DataConfig::default() };
        let (seen, images) = shown(SynthKind::Facades, colours);
        assert_eq!((seen[0].0, seen[1].0), ("input", "target"));
        assert!(images[0].samples().chunks(3).all(|p| p[0] == p[1] && p[1] == p[2]), "lightness is grey");
        assert!(images[1].samples().chunks(3).any(|p| p[0] != p[1]), "the target is the photograph");
    }
}
