//! What can go wrong between a folder of images and a batch of tensors.

use std::path::{Path, PathBuf};

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Every error names the file or folder, the reason and what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused to read or write.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was attempted: `open`, `read`, `list`, `write` …
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The file is not an image, is damaged, or has pixels that cannot be used here.
    #[error("cannot decode {}: {reason}; {remedy}", path.display())]
    Decode {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
        /// What to try.
        remedy: &'static str,
    },
    /// A label or instance map holds colours where ids are needed.
    #[error(
        "cannot take {} for a map of ids: {reason}; save it as PNG with one channel (8 or 16 bits) or with a palette, or set \
         labels_as = \"rgb\" if red, green and blue each are the id",
        path.display()
    )]
    InColour {
        /// The map.
        path: PathBuf,
        /// What it holds.
        reason: String,
    },
    /// A map of colours holds some that no label has.
    #[error("{}: {}", path.display(), unknown_text(unknown))]
    UnknownColours {
        /// The map.
        path: PathBuf,
        /// These colours, the most frequent first; never empty.
        unknown: Vec<UnknownColour>,
    },
    /// The image's header announces more than the limits allow; nothing was allocated.
    #[error("{} is {width}x{height}: {limit}; scale it down, or raise the decoding limits", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Width in the header, in pixels.
        width: u32,
        /// Height in the header, in pixels.
        height: u32,
        /// The limit that was exceeded.
        limit: String,
    },
    /// The image could not be encoded.
    #[error("cannot encode {}: {reason}; {remedy}", path.display())]
    Encode {
        /// The file that was to be written.
        path: PathBuf,
        /// What is wrong.
        reason: String,
        /// What to try.
        remedy: &'static str,
    },
    /// Writing there would overwrite what is read, or mix results of several calls.
    #[error("cannot write to {}: {reason}; {remedy}", path.display())]
    Output {
        /// The file or folder that was to be written.
        path: PathBuf,
        /// What stands against it.
        reason: String,
        /// What to do.
        remedy: &'static str,
    },
    /// Some files of many could not be worked on; the others were.
    #[error("{done} of {total} are done; {} failed:{}", failures.len(), failures_text(failures))]
    Failed {
        /// Number of files that were worked on.
        done: usize,
        /// Number of all files.
        total: usize,
        /// What went wrong, in order of the files; never empty.
        failures: Vec<Error>,
    },
    /// A folder does not hold the dataset that the configuration describes.
    #[error("no usable dataset in {}: {reason}; {remedy}", path.display())]
    Dataset {
        /// The folder.
        path: PathBuf,
        /// What was looked for and what was found.
        reason: String,
        /// What to do.
        remedy: String,
    },
    /// Files of two folders do not pair up.
    #[error(
        "{} and {} do not pair up by name: {}; rename or remove these files",
        left.display(), right.display(), unmatched_text(only_left, only_right)
    )]
    Unmatched {
        /// First folder.
        left: PathBuf,
        /// Second folder.
        right: PathBuf,
        /// Names found only in the first folder.
        only_left: Vec<String>,
        /// Names found only in the second folder.
        only_right: Vec<String>,
    },
    /// A label map holds an id that the network has no channel for.
    #[error(
        "{}: label {value} at x={x}, y={y} is not below label_nc = {label_nc}; \
         raise label_nc, or set dont_care = {value} if it marks pixels without a label",
        path.display()
    )]
    Label {
        /// The label map.
        path: PathBuf,
        /// Column of the first such pixel.
        x: u32,
        /// Row of the first such pixel.
        y: u32,
        /// The id found there.
        value: u32,
        /// Number of labels configured.
        label_nc: u32,
    },
    /// An image cannot be transformed as configured.
    #[error("{}: {reason}; {remedy}", path.display())]
    Item {
        /// The image.
        path: PathBuf,
        /// What is wrong.
        reason: String,
        /// What to try.
        remedy: String,
    },
    /// The configuration contradicts itself.
    #[error("data configuration: {reason}; {remedy}")]
    Config {
        /// What is wrong.
        reason: String,
        /// What to try.
        remedy: String,
    },
    /// A number of the configuration is out of its range.
    #[error("data configuration: {0}")]
    OutOfRange(#[from] gan_range::OutOfRange),
    /// Images of one batch differ in shape.
    #[error(
        "cannot batch {first} {first_shape:?} with {other} {other_shape:?}: set batch_size = 1, or a preprocess that crops"
    )]
    Ragged {
        /// Name of the batch's first item.
        first: String,
        /// Its shape `[C, H, W]`.
        first_shape: Vec<usize>,
        /// Name of the item that differs.
        other: String,
        /// Its shape `[C, H, W]`.
        other_shape: Vec<usize>,
    },
    /// What else a dataset implemented outside this crate fails with.
    #[error(transparent)]
    Other(Box<dyn std::error::Error + Send + Sync>),
    /// A dataset panicked while making an item: a defect of this crate or of a custom dataset.
    #[error("loading stopped: {0}; please report this as a defect")]
    Panicked(String),
    /// A tensor that was to become an image holds NaN or an infinite value.
    #[error(
        "the output is not an image: value {value} in channel {channel} at x={x}, y={y}, and {count} of {of} values are \
         not finite; the model's weights or its input are damaged, or its values overflow"
    )]
    NonFinite {
        /// The first such value.
        value: f32,
        /// Its channel.
        channel: usize,
        /// Its column.
        x: usize,
        /// Its row.
        y: usize,
        /// Number of such values.
        count: usize,
        /// Number of all values.
        of: usize,
    },
    /// The tensor library refused.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
}

/// A colour that no label has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownColour {
    /// Red, green and blue.
    pub colour: [u8; 3],
    /// Column of its first pixel, in reading order.
    pub x: usize,
    /// Row of that pixel.
    pub y: usize,
    /// Number of pixels of that colour.
    pub pixels: usize,
}

impl Error {
    pub(crate) fn io(action: &'static str, path: &Path, source: std::io::Error) -> Self {
        Self::Io { action, path: path.to_path_buf(), source }
    }

    pub(crate) fn decode(path: &Path, reason: impl ToString, remedy: &'static str) -> Self {
        Self::Decode { path: path.to_path_buf(), reason: reason.to_string(), remedy }
    }

    pub(crate) fn dataset(path: &Path, reason: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::Dataset { path: path.to_path_buf(), reason: reason.into(), remedy: remedy.into() }
    }

    pub(crate) fn item(path: &Path, reason: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::Item { path: path.to_path_buf(), reason: reason.into(), remedy: remedy.into() }
    }

    /// Parts of unequal size would not stay aligned under a crop or a rounding.
    pub(crate) fn sizes_differ(a: &Path, size_a: (usize, usize), b: &Path, size_b: (usize, usize)) -> Self {
        let reason = format!("it is {}x{} and {} is {}x{}", size_a.0, size_a.1, b.display(), size_b.0, size_b.1);
        Self::item(a, reason, "make them equal, or use preprocess = \"resize_and_crop\"")
    }

    pub(crate) fn config(reason: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::Config { reason: reason.into(), remedy: remedy.into() }
    }
}

fn failures_text(failures: &[Error]) -> String {
    let shown = failures.iter().take(NAMES_SHOWN).map(ToString::to_string).collect::<Vec<_>>().join("\n  ");
    let more = failures.len().saturating_sub(NAMES_SHOWN);
    if more > 0 { format!("\n  {shown}\n  and {more} more") } else { format!("\n  {shown}") }
}

fn unknown_text(unknown: &[UnknownColour]) -> String {
    let listed = unknown.iter().take(NAMES_SHOWN).map(|UnknownColour { colour: [r, g, b], x, y, pixels }| {
        format!("{r},{g},{b} ({pixels} px, first at x={x}, y={y})")
    });
    let more = unknown.len().saturating_sub(NAMES_SHOWN);
    let tail = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("colours that are not in the palette: {}{tail}", listed.collect::<Vec<_>>().join(", "))
}

/// At most this many names of each side, or failures, are spelt out.
const NAMES_SHOWN: usize = 10;

fn unmatched_text(only_left: &[String], only_right: &[String]) -> String {
    let side = |which: &str, names: &[String]| {
        let shown = names.iter().take(NAMES_SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
        let more = names.len().saturating_sub(NAMES_SHOWN);
        let tail = if more > 0 { format!(" and {more} more") } else { String::new() };
        format!("only in the {which}: {shown}{tail}")
    };
    match (only_left.is_empty(), only_right.is_empty()) {
        (false, false) => format!("{}; {}", side("first", only_left), side("second", only_right)),
        (false, true) => side("first", only_left),
        _ => side("second", only_right),
    }
}
