//! What a page has to know of a model.

use serde::Serialize;

/// What a model is and what it can do.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ModelFacts {
    /// What requests call it: letters, digits, `.`, `_` and `-`.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// The method that trained it; empty where nobody knows.
    pub method: String,
    /// What it takes.
    pub input: ModelInput,
    /// Whether an instance map belongs to the input.
    pub instances: bool,
    /// Channels of the images that it makes.
    pub output_channels: usize,
    /// Which ways it translates, the usual one first: `a2b`, `b2a`.
    pub directions: Vec<&'static str>,
    /// Steps of the checkpoints that there are, ascending; empty if it is no run.
    pub steps: Vec<u64>,
    /// The checkpoint that translates unless another is asked for.
    pub step: Option<u64>,
    /// The best checkpoint by validation.
    pub best: Option<u64>,
    /// Whether there are styles to choose from.
    pub styles: bool,
    /// Whether dropout can be kept on.
    pub dropout: bool,
    /// Side of the images of training, in pixels.
    pub side: usize,
    /// What people can draw for it.
    pub draw: Draw,
    /// Seconds that an image of `side` pixels squared takes, as far as was measured.
    pub seconds: f64,
    /// Pixels of the largest image that is translated, by that measure.
    pub max_pixels: u64,
}

/// What a model takes.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum ModelInput {
    /// An image.
    Image {
        /// Its channels.
        channels: usize,
    },
    /// A map of label ids.
    Labels {
        /// Number of labels.
        count: usize,
        /// The id of pixels without a label.
        dont_care: Option<u32>,
    },
    /// An image of which the lightness counts.
    Lightness,
}

/// What people can draw for a model.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "tool", rename_all = "lowercase")]
pub enum Draw {
    /// Lines: `likely` if the model was trained on drawings.
    Pen {
        /// Whether the page begins with the pen.
        likely: bool,
    },
    /// A map of label ids, shown in colours.
    Labels {
        /// The labels.
        palette: Vec<LabelColour>,
    },
    /// An image of these colours, each of which means something.
    Colours {
        /// The colours.
        palette: Vec<LabelColour>,
    },
    /// Nothing.
    Nothing,
}

/// A label, what it is called, and the colour that stands for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LabelColour {
    /// The id.
    pub id: u32,
    /// What it is called.
    pub name: String,
    /// Red, green and blue.
    pub colour: [u8; 3],
}
