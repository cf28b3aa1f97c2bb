//! `model.json`: what a trained model is.

use gan_data::{AlphaPolicy, Preprocess};
use gan_nets::{EncoderConfig, GeneratorConfig};
use serde::{Deserialize, Serialize};

/// Describes a trained model: its generators, what they take and what they make.
///
/// The method that trained the model writes it as `model.json` beside the weights. Everybody else reads it and needs to know no
/// method. Images are normalised to [-1, 1] (mean and standard deviation 0.5), as in all references.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelConfig {
    /// Version of this description, see [`ModelConfig::FORMAT`].
    pub format: u32,
    /// Name of the method that trained the model. For people: nothing depends on it.
    pub method: String,
    /// The generators; the first translates unless another direction is asked for.
    pub generators: Vec<Generator>,
    /// What the input is.
    pub input: InputKind,
    /// Whether the edges of instance maps are a channel of the input.
    #[serde(default)]
    pub instances: bool,
    /// What the output is.
    pub output: OutputKind,
    /// Encoder of instance features, whose output is part of the generator's input.
    #[serde(default)]
    pub encoder: Option<EncoderModel>,
    /// Sizes of training, the defaults where a translation resizes or crops.
    pub sizes: Sizes,
    /// How image files were read in training.
    #[serde(default)]
    pub read: ReadOptions,
}

/// A generator of a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Generator {
    /// Name of the network: its weights are in `NAME.safetensors`.
    pub network: String,
    /// Which way it translates.
    pub direction: Direction,
    /// Its architecture. `input_nc` counts all channels of its input: labels or image, edges, features.
    pub config: GeneratorConfig,
}

/// The way between the domains A and B that a generator was trained for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// From domain A to domain B.
    #[default]
    A2b,
    /// From domain B to domain A.
    B2a,
}

/// What the input of a model is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum InputKind {
    /// An image; the generator's direction decides how many channels it has.
    Image,
    /// A label map, which the generator sees as one-hot planes.
    Labels {
        /// Number of labels.
        label_nc: usize,
        /// Id of pixels without a label; they become label `label_nc`.
        #[serde(default)]
        dont_care: Option<u32>,
    },
    /// The lightness of an image (L of Lab).
    Lightness,
}

/// What the output of a model is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OutputKind {
    /// An image.
    Image,
    /// The colour (a and b of Lab) that belongs to the input's lightness.
    Colour,
}

/// The encoder of instance features of a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EncoderModel {
    /// Name of the network: its weights are in `NAME.safetensors`.
    pub network: String,
    /// Its architecture.
    pub config: EncoderConfig,
    /// Styles.
    #[serde(default)]
    pub styles: Styles,
}

/// How styles are found: clusters of the features of each label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Styles {
    /// Clusters a label has at most.
    pub n_clusters: usize,
}

impl Default for Styles {
    fn default() -> Self {
        Styles { n_clusters: 10 }
    }
}

/// Sizes of the images in training, in pixels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sizes {
    /// What happened to an image's size.
    pub preprocess: Preprocess,
    /// Side, or width, after resizing, where a translation resizes.
    pub load_size: usize,
    /// Side after cropping.
    pub crop_size: usize,
    /// Sides become multiples of this with [`Preprocess::None`].
    pub multiple: usize,
    /// Whether scaling to a width keeps the height at `crop_size` or more.
    pub minimum_height: bool,
}

/// How image files are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadOptions {
    /// Whether the EXIF orientation of photographs is obeyed.
    pub exif: bool,
    /// What becomes of an alpha channel that the network has no channel for.
    pub alpha: AlphaPolicy,
}

impl Default for ReadOptions {
    fn default() -> Self {
        ReadOptions { exif: true, alpha: AlphaPolicy::Drop }
    }
}

impl ModelConfig {
    /// The version that this program writes. It reads all older ones and refuses newer ones.
    pub const FORMAT: u32 = 1;
    /// Name of the file.
    pub const FILE: &'static str = "model.json";
}
