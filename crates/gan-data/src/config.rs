//! The `[data]` table of a configuration: everything a dataset needs except the seed.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::channels::has_alpha;
use crate::decode::{AlphaPolicy, DecodeLimits, DecodeOptions};
use crate::error::{Error, Result};
use crate::loader::LoaderConfig;
use crate::transform::{Preprocess, Transform};

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
            drop_last: false,
        }
    }

    /// Refuses contradictions before any file is touched.
    ///
    /// # Errors
    /// [`Error::Config`].
    pub fn validate(&self) -> Result<()> {
        self.transform().validate()?;
        if self.input_nc == 0 || self.output_nc == 0 || self.batch_size == 0 {
            return Err(Error::config("input_nc, output_nc and batch_size must be positive", "set them to 3, 3 and 1"));
        }
        if self.mode == DataMode::Colorization && (self.input_nc, self.output_nc) != (1, 2) {
            return Err(Error::config(
                "colorization turns lightness into two colour channels",
                "set input_nc = 1 and output_nc = 2",
            ));
        }
        let one_way = matches!(self.mode, DataMode::Colorization | DataMode::Labelled | DataMode::Streets);
        if one_way && self.direction == Direction::B2a {
            return Err(Error::config("this mode has only one direction", "set direction = \"a2b\""));
        }
        Ok(())
    }
}
