//! The `[data]` table of a configuration: everything a dataset needs except the seed.

use std::path::PathBuf;

use gan_range::Range;
use serde::{Deserialize, Serialize};

use crate::channels::has_alpha;
use crate::decode::{AlphaPolicy, DecodeLimits, DecodeOptions};
use crate::error::{Error, Result};
use crate::label_rule::LabelRule;
use crate::loader::LoaderConfig;
use crate::transform::{Preprocess, Transform, check_pixels};

/// Most bytes that the input and target tensors of a batch may take.
const MAX_BATCH_BYTES: u128 = 1 << 36;
/// Most items of a procedural dataset: their order is drawn in memory.
const MAX_DRAWN: usize = 10_000_000;

/// How items are made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DataMode {
    /// Pairs of pictures of the same scene: side by side in one file, or in two folders.
    #[default]
    Aligned,
    /// Two folders of unrelated pictures.
    Unaligned,
    /// Label maps, photographs and instance maps (pix2pixHD).
    Labelled,
    /// Pictures without a target, to be translated.
    Single,
    /// Photographs, taken apart into lightness (input) and colour (target).
    Colorization,
    /// Procedural: coloured label maps of facades and their renderings. Needs no files.
    Facades,
    /// Procedural: label and instance maps of streets and their renderings. Needs no files.
    Streets,
    /// Procedural: two unrelated collections, facades by day and facades by night. Needs no files.
    Unpaired,
}

impl DataMode {
    /// Whether items are drawn rather than read.
    #[must_use]
    pub fn is_procedural(self) -> bool {
        matches!(self, Self::Facades | Self::Streets | Self::Unpaired)
    }
}

/// Which domain is the input.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Side A (left half, folder A) is the input.
    #[default]
    A2b,
    /// Side B is the input.
    B2a,
}

/// Configuration of a dataset; the seed is given where randomness is used.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DataConfig {
    /// How items are made.
    pub mode: DataMode,
    /// The dataset's folder (for `single` also one file); unused by procedural modes.
    pub root: PathBuf,
    /// Which part of the dataset: `train`, `test`, `val`, …
    pub phase: String,
    /// Which side is the input. Batches have the input in `a`, whatever the direction.
    pub direction: Direction,
    /// Channels of the input: 1 makes it grey, 3 colour, 2 and 4 the same with the file's alpha. Not a key of the table: the
    /// generator says what it takes.
    #[serde(skip)]
    pub input_nc: usize,
    /// Channels of the target; from the generator, too.
    #[serde(skip)]
    pub output_nc: usize,
    /// What happens to a picture's size.
    pub preprocess: Preprocess,
    /// Side, or width, after resizing; in pixels. Procedural pictures are drawn at this size.
    pub load_size: usize,
    /// Side after cropping; in pixels.
    pub crop_size: usize,
    /// With `preprocess = "none"`, sides become multiples of this: 4, or 16 and 32 for pix2pixHD's generators.
    pub multiple: usize,
    /// Whether half of the pictures are mirrored.
    pub flip: bool,
    /// Items a batch.
    pub batch_size: usize,
    /// Whether the order changes every epoch; without, unaligned partners are taken in order as well.
    pub shuffle: bool,
    /// Use only this many items, in order of their names; procedural modes draw this many (default 400).
    pub max_dataset_size: Option<usize>,
    /// Threads that prepare batches; 0 prepares them where they are used.
    pub workers: usize,
    /// Number of labels of `labelled` data; 0 means that the inputs are ordinary colour pictures.
    pub label_nc: usize,
    /// Whether `labelled` data has instance maps.
    pub instances: bool,
    /// Label of pixels that nobody labelled (often 255); it becomes label `label_nc`.
    pub dont_care: Option<u32>,
    /// Whether the EXIF orientation of photographs is obeyed.
    pub exif: bool,
    /// What becomes of an alpha channel where the network has no channel for it.
    pub alpha: AlphaPolicy,
    /// Folder in which decoded pictures are kept, uncompressed, for later epochs and runs; empty: none are kept. It
    /// grows to the size of all decoded pictures and can be deleted at any time.
    pub cache: PathBuf,
}

impl Default for DataConfig {
    fn default() -> Self {
        Self {
            mode: DataMode::Aligned,
            root: PathBuf::new(),
            phase: "train".to_owned(),
            direction: Direction::A2b,
            input_nc: 3,
            output_nc: 3,
            preprocess: Preprocess::ResizeAndCrop,
            load_size: 286,
            crop_size: 256,
            multiple: 4,
            flip: true,
            batch_size: 1,
            shuffle: true,
            max_dataset_size: None,
            workers: 4,
            label_nc: 35,
            instances: true,
            dont_care: None,
            exif: true,
            alpha: AlphaPolicy::Drop,
            cache: PathBuf::new(),
        }
    }
}

impl DataConfig {
    /// The ranges of the numeric keys.
    pub const RANGES: &'static [Range] = &[
        Transform::LOAD_SIZE,
        Transform::CROP_SIZE,
        Transform::MULTIPLE,
        Range::whole("batch_size", 1, 65_536),
        Range::whole("max_dataset_size", 1, 1_000_000_000_000),
        Range::whole("workers", 0, 256),
        Range::whole("label_nc", 0, 65_535),
        Range::whole("dont_care", 0, u32::MAX as u64),
    ];

    /// The values of the keys in [`RANGES`](Self::RANGES), in that order.
    fn numbers(&self) -> [Option<u64>; Self::RANGES.len()] {
        let whole = |n: usize| Some(n as u64);
        [
            whole(self.load_size),
            whole(self.crop_size),
            // With what the generator asks for it may be a multiple that the key does not take.
            None,
            whole(self.batch_size),
            self.max_dataset_size.map(|n| n as u64),
            whole(self.workers),
            whole(self.label_nc),
            self.dont_care.map(u64::from),
        ]
    }

    /// The side of all items' images, as far as the configuration tells, and the key that it comes from. With
    /// `preprocess = "crop"`, smaller images keep their size; with `scale_width`, it is the width.
    #[must_use]
    pub fn side(&self) -> Option<(&'static str, usize)> {
        if self.preprocess.crops() {
            Some(("crop_size", self.crop_size))
        } else if self.preprocess == Preprocess::None {
            let drawn = self.transform().size_after_crop((self.load_size, self.load_size)).0;
            self.mode.is_procedural().then_some(("load_size", drawn))
        } else {
            Some(("load_size", self.load_size))
        }
    }

    /// The augmentation this configuration describes.
    #[must_use]
    pub fn transform(&self) -> Transform {
        Transform {
            preprocess: self.preprocess,
            load_size: self.load_size,
            crop_size: self.crop_size,
            flip: self.flip,
            multiple: self.multiple,
            minimum_height: !matches!(self.mode, DataMode::Labelled | DataMode::Streets),
        }
    }

    /// The rule for the ids of label maps.
    #[must_use]
    pub fn label_rule(&self) -> LabelRule {
        LabelRule { label_nc: self.label_nc, dont_care: self.dont_care }
    }

    /// How the files of inputs are read.
    #[must_use]
    pub fn decode_options(&self) -> DecodeOptions {
        self.decode_options_for(self.input_nc)
    }

    /// How files are read for a network of so many channels: alpha is kept where it has one for it.
    #[must_use]
    pub fn decode_options_for(&self, channels: usize) -> DecodeOptions {
        let alpha = if has_alpha(channels) { AlphaPolicy::Keep } else { self.alpha };
        DecodeOptions { limits: DecodeLimits::default(), alpha, exif: self.exif }
    }

    /// How batches are loaded in a run with this seed: two batches ahead for every worker.
    #[must_use]
    pub fn loader(&self, seed: u64) -> LoaderConfig {
        LoaderConfig {
            batch_size: self.batch_size,
            shuffle: self.shuffle,
            seed,
            workers: self.workers,
            prefetch: 2 * self.workers.max(1),
        }
    }

    /// Refuses contradictions before any file is touched.
    ///
    /// # Errors
    /// [`Error::Config`].
    pub fn validate(&self) -> Result<()> {
        for (range, value) in Self::RANGES.iter().zip(self.numbers()) {
            value.map_or(Ok(()), |value| range.check_whole(value))?;
        }
        self.transform().validate()?;
        self.check_memory()?;
        if self.input_nc == 0 || self.output_nc == 0 {
            return Err(Error::config("input_nc and output_nc must be positive", "set them to 3"));
        }
        if self.mode.is_procedural() && self.max_dataset_size.is_some_and(|items| items > MAX_DRAWN) {
            let reason = format!("max_dataset_size is {}", self.max_dataset_size.unwrap_or(0));
            return Err(Error::config(reason, format!("draw {MAX_DRAWN} scenes at most")));
        }
        if self.mode == DataMode::Colorization && (self.input_nc, self.output_nc) != (1, 2) {
            return Err(Error::config(
                "colorization turns lightness into two colour channels",
                "set input_nc = 1 and output_nc = 2",
            ));
        }
        let drawn = match self.mode {
            DataMode::Facades | DataMode::Unpaired => vec![("input_nc", self.input_nc), ("output_nc", self.output_nc)],
            DataMode::Streets => vec![("output_nc", self.output_nc)],
            _ => Vec::new(),
        };
        if let Some((key, channels)) = drawn.iter().find(|(_, channels)| !matches!(channels, 1 | 3)) {
            let reason = format!("procedural images have 3 channels, or 1 as grey, and {key} is {channels}");
            return Err(Error::config(reason, format!("set {key} = 3")));
        }
        let one_way = matches!(self.mode, DataMode::Colorization | DataMode::Labelled | DataMode::Streets);
        if one_way && self.direction == Direction::B2a {
            return Err(Error::config("this mode has only one direction", "set direction = \"a2b\""));
        }
        Ok(())
    }

    /// Refuses sizes that no machine has the memory for.
    fn check_memory(&self) -> Result<()> {
        let Some((key, side)) = self.side() else { return Ok(()) };
        let loads =
            self.mode.is_procedural() || matches!(self.preprocess, Preprocess::Resize | Preprocess::ResizeAndCrop);
        if loads {
            check_pixels("load_size", (self.load_size, self.load_size))?;
        }
        if self.preprocess == Preprocess::ScaleWidth {
            return Ok(()); // the heights are the images'
        }
        check_pixels(key, (side, side))?;
        let (side, channels) = (side as u128, self.input_nc as u128 + self.output_nc as u128);
        let item = side * side * channels * 4;
        if item * self.batch_size as u128 > MAX_BATCH_BYTES {
            let reason = format!(
                "batch_size = {} batches of {side}x{side} pixels take {} GiB and {} are allowed",
                self.batch_size,
                (item * self.batch_size as u128) >> 30,
                MAX_BATCH_BYTES >> 30
            );
            let most = (MAX_BATCH_BYTES / item).max(1);
            return Err(Error::config(reason, format!("set batch_size = {most} or less")));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn numbers_out_of_range_are_refused_by_name() {
        let default = DataConfig::default;
        for (config, key) in [
            (DataConfig { load_size: 0, ..default() }, "load_size: 0"),
            (DataConfig { load_size: 1_000_000_000_000_000_000, ..default() }, "load_size: 1000000000000000000"),
            (DataConfig { crop_size: usize::MAX, ..default() }, "crop_size"),
            (DataConfig { multiple: 0, ..default() }, "multiple"),
            (DataConfig { batch_size: 0, ..default() }, "batch_size"),
            (DataConfig { batch_size: usize::MAX, ..default() }, "batch_size"),
            (DataConfig { max_dataset_size: Some(0), ..default() }, "max_dataset_size"),
            (DataConfig { workers: usize::MAX, ..default() }, "workers"),
            (DataConfig { label_nc: 65_536, ..default() }, "label_nc"),
        ] {
            let text = config.validate().unwrap_err().to_string();
            assert!(text.contains(key) && text.contains("out of range"), "{text}");
        }
        default().validate().unwrap();
    }

    #[test]
    fn every_number_of_the_table_has_a_range() {
        let all = DataConfig { max_dataset_size: Some(7), dont_care: Some(255), ..DataConfig::default() };
        let table = toml::Table::try_from(&all).unwrap();
        let mut numeric: Vec<&str> = table
            .iter()
            .filter(|(_, value)| value.is_integer() || value.is_float())
            .map(|(key, _)| key.as_str())
            .collect();
        let mut ranged: Vec<&str> = DataConfig::RANGES.iter().map(|range| range.key).collect();
        numeric.sort_unstable();
        ranged.sort_unstable();
        assert_eq!(numeric, ranged);
        for (range, number) in DataConfig::RANGES.iter().zip(all.numbers()) {
            let value = table[range.key].as_integer().unwrap() as u64;
            assert!(number.is_none_or(|number| number == value), "{}", range.key);
        }
    }

    #[test]
    fn what_no_memory_holds_is_refused() {
        let resized = DataConfig { load_size: 65_535, ..DataConfig::default() };
        assert!(resized.validate().unwrap_err().to_string().contains("load_size"));
        let batch = DataConfig { batch_size: 65_536, ..DataConfig::default() };
        let text = batch.validate().unwrap_err().to_string();
        assert!(text.contains("batch_size = 65536") && text.contains("or less"), "{text}");
        let drawn = DataConfig { mode: DataMode::Facades, max_dataset_size: Some(1 << 39), ..DataConfig::default() };
        assert!(drawn.validate().unwrap_err().to_string().contains("scenes at most"));
        // Files are there already: a limit above their number is no fault.
        DataConfig { max_dataset_size: Some(1 << 39), ..DataConfig::default() }.validate().unwrap();
    }
}
