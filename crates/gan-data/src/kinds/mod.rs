//! The kinds of datasets: one file each, and one line in `DataMode::kind`.

mod aligned;
mod colorization;
mod facades;
mod labelled;
mod single;
mod streets;
mod unaligned;
mod unpaired;

use std::sync::Arc;

pub use self::aligned::Aligned;
pub use self::colorization::Colorization;
pub use self::labelled::{LabelScan, Labelled};
pub use self::single::Single;
pub use self::unaligned::Unaligned;
use crate::config::{DataConfig, DataMode};
use crate::dataset::Dataset;
use crate::error::{Error, Result};
use crate::jitter::Jitter;
use crate::kind::Kind;
use crate::named_folders::FolderKey;
use crate::preprocess::Preprocess;
use crate::transform::{Transform, check_pixels};
use crate::warp::Warp;

/// Most bytes that the input and target tensors of a batch may take.
const MAX_BATCH_BYTES: u128 = 1 << 36;

impl DataMode {
    /// What the kind of dataset states about itself.
    pub(crate) fn kind(self) -> &'static Kind {
        match self {
            Self::Aligned => &aligned::KIND,
            Self::Unaligned => &unaligned::KIND,
            Self::Labelled => &labelled::KIND,
            Self::Single => &single::KIND,
            Self::Colorization => &colorization::KIND,
            Self::Facades => &facades::KIND,
            Self::Streets => &streets::KIND,
            Self::Unpaired => &unpaired::KIND,
        }
    }

    /// The value of `data.mode`.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.kind().name
    }

    /// What its files are, as the end of a sentence: `pairs of images of the same scene, …`.
    #[must_use]
    pub fn about(self) -> &'static str {
        self.kind().about
    }

    /// The keys by which a configuration may name the folders that this mode reads.
    #[must_use]
    pub fn folder_keys(self) -> &'static [FolderKey] {
        self.kind().folders
    }

    /// Whether items are drawn rather than read.
    #[must_use]
    pub fn is_procedural(self) -> bool {
        self.kind().files.is_none()
    }
}

/// Opens the dataset that a configuration describes.
///
/// # Errors
/// [`Error::Config`] and [`Error::OutOfRange`] for contradictions, [`Error::Dataset`] and [`Error::Unmatched`] for
/// folders that do not hold it.
pub fn open(config: &DataConfig) -> Result<Arc<dyn Dataset>> {
    config.validate()?;
    (config.mode.kind().open)(config)
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
            minimum_height: self.mode.kind().minimum_height,
            warp: Warp { rotate: self.rotate, scale: self.scale, elastic: self.elastic },
            jitter: Jitter { strength: self.color_jitter, on: self.color_jitter_on },
        }
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

    /// Refuses contradictions before any file is touched.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] and [`Error::Config`].
    pub fn validate(&self) -> Result<()> {
        self.check_ranges()?;
        self.transform().validate()?;
        self.check_memory()?;
        if self.input_nc == 0 || self.output_nc == 0 {
            return Err(Error::config("input_nc and output_nc must be positive", "set them to 3"));
        }
        self.check_folders(self.mode.kind().folders)?;
        (self.mode.kind().check)(self)
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

    use std::collections::BTreeSet;

    use super::*;

    fn mode(name: &str) -> Result<DataMode, String> {
        let text = format!("mode = '{name}'");
        toml::from_str::<DataConfig>(&text).map(|config| config.mode).map_err(|error| error.to_string())
    }

    #[test]
    fn every_kind_is_a_file() {
        // The message about an unknown mode names all there are.
        let message = mode("none_of_these").unwrap_err();
        let (_, expected) = message.split_once("expected one of").unwrap();
        let modes: BTreeSet<String> = expected.split('`').skip(1).step_by(2).map(str::to_owned).collect();
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/kinds");
        let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let stems = files.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned());
        let stems: BTreeSet<String> = stems.filter(|stem| stem != "mod").collect();
        assert_eq!(stems, modes);
        for name in &modes {
            assert_eq!(mode(name).unwrap().name(), name, "its file states the name");
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
