//! The `[data]` table of a configuration: everything a dataset needs except the seed.

use std::path::PathBuf;

use gan_range::{Range, documented};
use serde::{Deserialize, Serialize};

use crate::channels::has_alpha;
use crate::decode::{AlphaPolicy, DecodeOptions, LabelsAs};
use crate::error::Result;
use crate::jitter::JitterOn;
use crate::label_rule::LabelRule;
use crate::preprocess::Preprocess;
use crate::transform::Transform;

/// How items are made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DataMode {
    /// Pairs of images of the same scene: side by side in one file, or in two folders.
    #[default]
    Aligned,
    /// Two folders of unrelated images.
    Unaligned,
    /// Label maps, photographs and instance maps.
    Labelled,
    /// Images without a target, to be translated.
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

documented! {
    /// Configuration of a dataset; the seed is given where randomness is used.
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    pub struct DataConfig {
        /// How items are made.
        pub mode: DataMode,
        /// The dataset's folder (for `single` also one file); unused by procedural modes.
        pub root: PathBuf,
        /// Folder of side A, under whatever name: within `root`, or a whole path. A folder `train` in it is the part `train`, or
        /// `{phase}` in its name stands for the part. Empty: the usual names, as `trainA`, are looked for.
        pub folder_a: PathBuf,
        /// Folder of side B; as `folder_a`.
        pub folder_b: PathBuf,
        /// Folder of the label maps (of the inputs, if `label_nc` is 0), under whatever name; as `folder_a`. Empty: `train_label`.
        pub label_folder: PathBuf,
        /// Folder of the photographs that belong to label maps; as `label_folder`. Empty: `train_img`.
        pub image_folder: PathBuf,
        /// Folder of the instance maps; as `label_folder`. Empty: `train_inst`.
        pub instance_folder: PathBuf,
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
        /// What happens to an image's size.
        pub preprocess: Preprocess,
        /// Side, or width, after resizing; in pixels. Procedural images are drawn at this size.
        pub load_size: usize,
        /// Side after cropping; in pixels.
        pub crop_size: usize,
        /// With `preprocess = "none"`, sides become multiples of this, or of what the generator asks for if that is more.
        pub multiple: usize,
        /// Whether half of the images are mirrored.
        pub flip: bool,
        /// Images are rotated at random by up to so many degrees, either way; what comes in at the border is reflected. As for all
        /// changes of geometry, the parts of an item change alike, and label and instance maps are not interpolated.
        pub rotate: f64,
        /// Images are enlarged or reduced at random by factors up to 1 + this.
        pub scale: f64,
        /// Images are deformed at random by a grid of 4 x 4 cells whose nodes move by this standard deviation, as a part of the
        /// shorter side.
        pub elastic: f64,
        /// Brightness, contrast and saturation are multiplied at random by factors within this of 1; input and target of a pair
        /// alike. Label maps stay.
        pub color_jitter: f64,
        /// Which images `color_jitter` changes.
        pub color_jitter_on: JitterOn,
        /// Items a batch.
        pub batch_size: usize,
        /// Whether the order changes every epoch; without, unaligned partners are taken in order as well.
        pub shuffle: bool,
        /// Use only this many items, in order of their names; procedural modes draw this many (default 400).
        pub max_dataset_size: Option<usize>,
        /// Threads that prepare batches; 0 prepares them where they are used.
        pub workers: usize,
        /// Batches that may wait ready, or be in preparation, at any time; by default two for every worker.
        pub prefetch: Option<usize>,
        /// Number of labels of `labelled` data; 0 means that the inputs are ordinary colour images.
        pub label_nc: usize,
        /// Whether `labelled` data has instance maps.
        pub instances: bool,
        /// Label of pixels that nobody labelled (often 255); it becomes label `label_nc`.
        pub dont_care: Option<u32>,
        /// What label and instance maps hold: ids, or colours whose red, green and blue are the id.
        pub labels_as: LabelsAs,
        /// Whether the EXIF orientation of photographs is obeyed.
        pub exif: bool,
        /// What becomes of an alpha channel where the network has no channel for it.
        pub alpha: AlphaPolicy,
        /// Folder in which decoded images are kept, uncompressed, for later epochs and runs; empty: none are kept. It
        /// grows to the size of all decoded images and can be deleted at any time.
        pub cache: PathBuf,
    }
}

impl Default for DataConfig {
    fn default() -> Self {
        Self {
            mode: DataMode::Aligned,
            root: PathBuf::new(),
            folder_a: PathBuf::new(),
            folder_b: PathBuf::new(),
            label_folder: PathBuf::new(),
            image_folder: PathBuf::new(),
            instance_folder: PathBuf::new(),
            phase: "train".to_owned(),
            direction: Direction::A2b,
            input_nc: 3,
            output_nc: 3,
            preprocess: Preprocess::ResizeAndCrop,
            load_size: 286,
            crop_size: 256,
            multiple: 4,
            flip: true,
            rotate: 0.0,
            scale: 0.0,
            elastic: 0.0,
            color_jitter: 0.0,
            color_jitter_on: JitterOn::Both,
            batch_size: 1,
            shuffle: true,
            max_dataset_size: None,
            workers: 4,
            prefetch: None,
            label_nc: 35,
            instances: true,
            dont_care: None,
            labels_as: LabelsAs::Ids,
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
        Range::whole("prefetch", 1, 65_536),
        Range::whole("label_nc", 0, 65_535),
        Range::whole("dont_care", 0, u32::MAX as u64),
        Range::real("rotate", 0.0, 180.0),
        Range::real("scale", 0.0, 1.0),
        Range::real("elastic", 0.0, 0.1),
        Range::real("color_jitter", 0.0, 1.0),
    ];

    /// The values of the first keys in [`RANGES`](Self::RANGES), in that order: the whole numbers.
    fn whole_numbers(&self) -> [Option<u64>; 9] {
        let whole = |n: usize| Some(n as u64);
        [
            whole(self.load_size),
            whole(self.crop_size),
            // With what the generator asks for it may be a multiple that the key does not take.
            None,
            whole(self.batch_size),
            self.max_dataset_size.and_then(whole),
            whole(self.workers),
            self.prefetch.and_then(whole),
            whole(self.label_nc),
            self.dont_care.map(u64::from),
        ]
    }

    /// The values of the last keys in [`RANGES`](Self::RANGES), in that order.
    fn real_numbers(&self) -> [f64; 4] {
        [self.rotate, self.scale, self.elastic, self.color_jitter]
    }

    /// The same images as they are: what is drawn at random is drawn no more, but for crops.
    #[must_use]
    pub fn without_augmentation(self) -> Self {
        Self { flip: false, rotate: 0.0, scale: 0.0, elastic: 0.0, color_jitter: 0.0, ..self }
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
        DecodeOptions { alpha, exif: self.exif, labels_as: self.labels_as, ..DecodeOptions::default() }
    }

    /// Refuses numbers out of their range.
    pub(crate) fn check_ranges(&self) -> Result<()> {
        let (whole, real) = Self::RANGES.split_at(self.whole_numbers().len());
        for (range, value) in whole.iter().zip(self.whole_numbers()) {
            value.map_or(Ok(()), |value| range.check_whole(value))?;
        }
        for (range, value) in real.iter().zip(self.real_numbers()) {
            range.check_real(value)?;
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
            (DataConfig { prefetch: Some(0), ..default() }, "prefetch"),
            (DataConfig { label_nc: 65_536, ..default() }, "label_nc"),
            (DataConfig { rotate: 181.0, ..default() }, "rotate"),
            (DataConfig { scale: -0.1, ..default() }, "scale"),
            (DataConfig { elastic: f64::NAN, ..default() }, "elastic"),
            (DataConfig { color_jitter: 1.5, ..default() }, "color_jitter"),
        ] {
            let text = config.validate().unwrap_err().to_string();
            assert!(text.contains(key) && text.contains("out of range"), "{text}");
        }
        default().validate().unwrap();
    }

    #[test]
    fn every_number_of_the_table_has_a_range() {
        let all =
            DataConfig { max_dataset_size: Some(7), prefetch: Some(3), dont_care: Some(255), ..DataConfig::default() };
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
        assert_eq!(all.whole_numbers().len() + all.real_numbers().len(), ranged.len());
        for (range, number) in DataConfig::RANGES.iter().zip(all.whole_numbers()) {
            let value = table[range.key].as_integer().unwrap() as u64;
            assert!(number.is_none_or(|number| number == value), "{}", range.key);
        }
    }
}
