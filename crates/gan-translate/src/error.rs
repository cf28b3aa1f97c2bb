//! What can go wrong when a model is opened or images are translated. No text speaks of a command line: callers that have
//! one find the facts in the variants.

use crate::elsewhere::Elsewhere;
use crate::limit::{Estimate, MemoryLimit};
use crate::model_config::InvalidModel;
use gan_data::Direction;
use gan_kernels::device::DeviceError;
use gan_weights::KeyMapError;
use std::path::PathBuf;

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a model cannot be opened or an image not be translated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no model at a path.
    #[error("{} is no model: {elsewhere}", path.display())]
    NoModel {
        /// The path.
        path: PathBuf,
        /// What there is instead.
        elsewhere: Elsewhere,
    },
    /// The moving average of the weights was asked for where there is none.
    #[error("{} holds no moving average of its weights", path.display())]
    NoAverage {
        /// The model.
        path: PathBuf,
    },
    /// A folder has no usable checkpoint, or a checkpoint is damaged.
    #[error(transparent)]
    Checkpoint(#[from] gan_weights::checkpoint::Error),
    /// The description of a model is wrong.
    #[error("{}: {reason}", path.display())]
    Description {
        /// `model.json`.
        path: PathBuf,
        /// What is wrong with it.
        reason: InvalidModel,
    },
    /// A file cannot be read as weights.
    #[error(transparent)]
    Weights(#[from] gan_weights::Error),
    /// Weights are not those of the network that is to be built from them.
    #[error("cannot use {}", path.display())]
    Unusable {
        /// The weight file.
        path: PathBuf,
        /// What is wrong with its content.
        source: Box<gan_nets::Error>,
    },
    /// A weight file holds several networks, and nothing tells which is meant.
    #[error(
        "{} holds several networks: {}; name one of them",
        path.display(), networks.iter().map(|(entry, network)| format!("{entry} ({network})")).collect::<Vec<_>>().join(", ")
    )]
    SeveralNetworks {
        /// The weight file.
        path: PathBuf,
        /// Their entries, and what they are in words.
        networks: Vec<(String, String)>,
    },
    /// The new names that were given for the tensors of a weight file do not fit it.
    #[error("the names given for the tensors of {} do not fit: {source}", path.display())]
    Keys {
        /// The weight file.
        path: PathBuf,
        /// What does not fit.
        source: KeyMapError,
    },
    /// A weight file holds another network than a generator.
    #[error("{} holds a {network}: only generators translate", path.display())]
    NoGenerator {
        /// The weight file.
        path: PathBuf,
        /// What it holds, in words.
        network: String,
    },
    /// Weight files, of which only generators are read, were asked for another network.
    #[error("{} holds no network {name} that translates", path.display())]
    NoNetwork {
        /// The weight file.
        path: PathBuf,
        /// The network asked for.
        name: String,
    },
    /// The labels of a weight file do not make up the channels of its generator.
    #[error(
        "{} takes {input_nc} channels, which {label_nc} labels{} do not make; say how many labels it was trained with",
        path.display(), if *instances { " and the edges of instances" } else { "" }
    )]
    Labels {
        /// The weight file.
        path: PathBuf,
        /// Channels of the generator's input.
        input_nc: usize,
        /// Number of labels.
        label_nc: usize,
        /// Whether one more channel holds the edges of instances.
        instances: bool,
    },
    /// Architecture, entry or labels were given for a model that knows its own.
    #[error("{}: only for a bare weight file have architecture, entry and labels to be told", path.display())]
    KnownModel {
        /// The model.
        path: PathBuf,
    },
    /// The model has no generator for a direction.
    #[error("this model translates one way, {}, and not {}", way(*trained), way(*wanted))]
    NoDirection {
        /// The direction of its generator.
        trained: Direction,
        /// The direction that was asked for.
        wanted: Direction,
    },
    /// BF16 was asked for on the CPU.
    #[error("bf16 needs a CUDA device: the operators for the CPU have no bf16 arithmetic; compute with f32")]
    NoBf16,
    /// The model was trained with instance maps, and there is none.
    #[error("this model was trained with instance maps: give the one that belongs to the input")]
    NeedsInstances,
    /// A style was asked for, and the model has no encoder of instance features.
    #[error("this model has no styles: it was trained without an encoder of instance features")]
    NoEncoder,
    /// No image lends its style, and no styles were found yet.
    #[error("{}: there are no styles to draw from yet; find them first, or lend the style of an image", features.display())]
    NoStyles {
        /// The model.
        model: PathBuf,
        /// The folder where styles would be.
        features: PathBuf,
    },
    /// The file of styles is damaged, or of another model.
    #[error("{} is refused: {reason}; find the styles anew", path.display())]
    BadStyles {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The model has no norms with the statistics of each image.
    #[error("this model does not normalize images by their own statistics: there are none to keep")]
    NoOwnStatistics,
    /// A file of statistics is damaged.
    #[error("{} is refused: {reason}; gather the statistics anew", path.display())]
    BadStatistics {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A file of statistics cannot be written.
    #[error("cannot write the statistics to {}: {reason}", path.display())]
    StatisticsFile {
        /// The file.
        path: PathBuf,
        /// What the system answered.
        reason: String,
    },
    /// Statistics are of another generator.
    #[error("the statistics are of another model, or of other weights of it: gather them with this one")]
    OtherStatistics,
    /// A label map holds an id that the network has no channel for.
    #[error("{}: label {label} at pixel ({x}, {y}) is not below label_nc = {label_nc}", path.display())]
    LabelOutOfRange {
        /// The label map.
        path: PathBuf,
        /// Column of the first such pixel.
        x: u32,
        /// Row of the first such pixel.
        y: u32,
        /// The id found there.
        label: u32,
        /// Number of labels of the model.
        label_nc: usize,
    },
    /// An instance map or an image that lends its style has another size than the input.
    #[error(
        "{} is {}x{}, but the label map {} that it belongs to is {}x{}; give both one size",
        file.display(), size.0, size.1, input.display(), input_size.0, input_size.1
    )]
    SizesDiffer {
        /// The instance map or image.
        file: PathBuf,
        /// Its width and height.
        size: (usize, usize),
        /// The input.
        input: PathBuf,
        /// Its width and height.
        input_size: (usize, usize),
    },
    /// After resizing and cropping, the input is too small for the network.
    #[error(
        "it is {}x{} after resizing and cropping, but this model takes {smallest}x{smallest} and larger; choose a larger size, or keep the input's own: then every size goes",
        size.0, size.1
    )]
    TooSmall {
        /// Width and height.
        size: (usize, usize),
        /// The smallest side.
        smallest: usize,
    },
    /// After resizing and cropping, a side of the input is none that the network takes.
    #[error(
        "it is {}x{} after resizing and cropping, but this model takes multiples of {multiple}; choose sizes to suit, or keep the input's own: then every size goes",
        size.0, size.1
    )]
    NotMultiple {
        /// Width and height.
        size: (usize, usize),
        /// What both sides have to be multiples of.
        multiple: usize,
    },
    /// An image cannot be translated within the limit.
    #[error(
        "{}x{} pixels take {} MiB of memory and {} MiB of files at least, and may take {} MiB and {} MiB",
        least.size.0, least.size.1, least.memory >> 20, least.scratch >> 20, limit.memory >> 20, limit.scratch_bytes >> 20
    )]
    TooLittleMemory {
        /// What it takes at least.
        least: Box<Estimate>,
        /// The limit.
        limit: MemoryLimit,
    },
    /// The output has more channels than the format of its file.
    #[error(
        "{} makes {channels} channels, which {} does not hold; write a .tiff (a grey page each), a .npy, or a folder NAME.planes",
        model.display(), output.display()
    )]
    TooManyChannels {
        /// The model.
        model: PathBuf,
        /// The file that was to be written.
        output: PathBuf,
        /// Channels of the model's output.
        channels: usize,
    },
    /// A tensor has another shape than the model takes.
    #[error("{what} has the shape {got:?}, and {expected} is expected")]
    Shape {
        /// Which tensor.
        what: &'static str,
        /// Its shape.
        got: Vec<usize>,
        /// The shape expected, in words.
        expected: String,
    },
    /// There is no such device.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// An image file cannot be read or written.
    #[error(transparent)]
    Data(#[from] gan_data::Error),
    /// A tensor operation failed.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
}

fn way(direction: Direction) -> &'static str {
    match direction {
        Direction::A2b => "from A to B",
        Direction::B2a => "from B to A",
    }
}
