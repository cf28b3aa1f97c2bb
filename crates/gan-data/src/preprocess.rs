//! The ways in which an image gets its size.

use serde::{Deserialize, Serialize};

/// What happens to an image's size.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Preprocess {
    /// To `load_size` x `load_size`, whatever the aspect; then a random `crop_size` x `crop_size`.
    #[default]
    ResizeAndCrop,
    /// To `load_size` x `load_size`.
    Resize,
    /// A random `crop_size` x `crop_size`.
    Crop,
    /// To the width `load_size`, keeping the aspect.
    ScaleWidth,
    /// To the width `load_size`, keeping the aspect; then a random `crop_size` x `crop_size`.
    ScaleWidthAndCrop,
    /// Only to the nearest multiples that the networks can take.
    None,
}

impl Preprocess {
    pub(crate) fn resizes(self) -> bool {
        matches!(self, Self::ResizeAndCrop | Self::Resize)
    }

    pub(crate) fn scales_width(self) -> bool {
        matches!(self, Self::ScaleWidth | Self::ScaleWidthAndCrop)
    }

    /// Whether images are cropped to `crop_size`, and so all have one size.
    #[must_use]
    pub fn crops(self) -> bool {
        matches!(self, Self::ResizeAndCrop | Self::Crop | Self::ScaleWidthAndCrop)
    }
}
