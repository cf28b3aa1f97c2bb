//! Padding of residual blocks.

use gan_layers::PadMode;
use serde::{Deserialize, Serialize};

/// Padding of a residual block's convolutions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Padding {
    /// Mirror image without the border.
    #[default]
    Reflect,
    /// Border pixel.
    Replicate,
    /// Zeros.
    Zero,
}

impl Padding {
    /// The name in a configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Padding::Reflect => "reflect",
            Padding::Replicate => "replicate",
            Padding::Zero => "zero",
        }
    }

    /// The mode of a padding layer; `None` if the convolution pads with zeros itself.
    pub(crate) fn layer(self) -> Option<PadMode> {
        match self {
            Padding::Reflect => Some(PadMode::Reflect),
            Padding::Replicate => Some(PadMode::Replicate),
            Padding::Zero => None,
        }
    }
}
