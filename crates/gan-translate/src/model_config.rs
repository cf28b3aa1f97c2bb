//! `model.json`: what a trained model is.

mod json;
mod validate;

use gan_data::{AlphaPolicy, DecodeOptions, Direction, LabelsAs, Preprocess};
use gan_nets::{EncoderConfig, GeneratorConfig};
use serde::{Deserialize, Serialize};

pub use validate::InvalidModel;

/// Describes a trained model: its generators, what they take and what they make.
///
/// The method that trained the model writes it as `model.json` beside the weights. Everybody else reads it and needs to know no
/// method. Images are normalised to [-1, 1] (mean and standard deviation 0.5), as in all references.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelConfig {
    /// Version of this description, see [`ModelConfig::FORMAT`].
    pub format: u32,
    /// Name of the method that trained the model; empty where nobody knows. For people: nothing depends on it.
    pub method: String,
    /// The generators; the first translates unless another direction is asked for.
    pub generators: Vec<Generator>,
    /// What the input of the first generator is; that of the others is an image.
    pub input: InputKind,
    /// Whether the edges of instance maps are a channel of the input, behind the labels or the image.
    #[serde(default)]
    pub instances: bool,
    /// What the output of the first generator is; that of the others is an image.
    pub output: OutputKind,
    /// Encoder of instance features, whose output is the last part of the generator's input.
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
#[serde(deny_unknown_fields)]
pub struct Generator {
    /// Name of the network: its weights are in `NAME.safetensors`.
    pub network: String,
    /// Which way it translates.
    pub direction: Direction,
    /// Its architecture. `input_nc` counts all channels of its input: labels or image, edges, features.
    pub config: GeneratorConfig,
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
#[serde(deny_unknown_fields)]
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
#[serde(deny_unknown_fields)]
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
#[serde(deny_unknown_fields)]
pub struct Sizes {
    /// What happened to an image's size.
    pub preprocess: Preprocess,
    /// Side, or width, after resizing.
    pub load_size: usize,
    /// Side after cropping.
    pub crop_size: usize,
    /// Sides become multiples of this with [`Preprocess::None`].
    pub multiple: usize,
    /// Whether scaling to a width keeps the height at `crop_size` or more. Models of images do, models of label maps do not.
    pub minimum_height: bool,
}

/// How image files are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReadOptions {
    /// Whether the EXIF orientation of photographs is obeyed.
    pub exif: bool,
    /// What becomes of an alpha channel that the network has no channel for.
    pub alpha: AlphaPolicy,
    /// What label and instance maps hold. Left out where it is ids, so that earlier versions read the file.
    #[serde(default, skip_serializing_if = "is_default")]
    pub labels_as: LabelsAs,
}

fn is_default(labels_as: &LabelsAs) -> bool {
    *labels_as == LabelsAs::default()
}

impl Default for ReadOptions {
    fn default() -> Self {
        ReadOptions { exif: true, alpha: AlphaPolicy::Drop, labels_as: LabelsAs::Ids }
    }
}

impl ModelConfig {
    /// The version that this program writes. It reads all older ones and refuses newer ones.
    pub const FORMAT: u32 = 1;
    /// Name of the file.
    pub const FILE: &'static str = "model.json";

    /// The generator that translates in a direction, if there is one; without a direction, the first.
    ///
    /// # Panics
    /// If the description names no generator, which [`ModelConfig::validate`] refuses.
    pub fn generator(&self, direction: Option<Direction>) -> Option<&Generator> {
        let first = &self.generators[0];
        let Some(wanted) = direction.filter(|wanted| *wanted != first.direction) else { return Some(first) };
        let found = self.generators.iter().find(|generator| generator.direction == wanted);
        found.filter(|_| self.takes_images())
    }

    /// Planes of the one-hot labels: one for each label, and one for pixels without a label. 0 if the input is no label map.
    #[must_use]
    pub fn classes(&self) -> usize {
        match self.input {
            InputKind::Labels { label_nc, dont_care } => label_nc + usize::from(dont_care.is_some()),
            InputKind::Image | InputKind::Lightness => 0,
        }
    }

    /// Channels of a generator's input without the edges of instances and the features of the encoder: those of the image,
    /// or the planes of the labels.
    #[must_use]
    pub fn input_nc(&self, generator: &Generator) -> usize {
        let features = self.encoder.as_ref().map_or(0, |encoder| encoder.config.feat_num);
        generator.config.input_nc.saturating_sub(usize::from(self.instances) + features)
    }

    /// Every network that translation needs, by name.
    pub fn network_names(&self) -> impl Iterator<Item = &str> {
        let generators = self.generators.iter().map(|generator| generator.network.as_str());
        generators.chain(self.encoder.iter().map(|encoder| encoder.network.as_str()))
    }

    /// Whether all inputs and outputs are plain images, so that every generator can be used alone.
    fn takes_images(&self) -> bool {
        let images = (&self.input, self.output) == (&InputKind::Image, OutputKind::Image);
        images && !self.instances && self.encoder.is_none()
    }
}

impl ReadOptions {
    /// How files are decoded; alpha is kept if `alpha` is set, else it becomes what the options say.
    #[must_use]
    pub fn decode_options(&self, keep_alpha: bool) -> DecodeOptions {
        let alpha = if keep_alpha { AlphaPolicy::Keep } else { self.alpha };
        DecodeOptions { alpha, exif: self.exif, labels_as: self.labels_as, ..DecodeOptions::default() }
    }
}
