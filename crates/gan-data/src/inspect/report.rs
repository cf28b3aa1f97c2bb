//! What a look over a dataset found.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize, Serializer};

use crate::config::DataMode;
use crate::error::Error;

/// How bad a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing.
    Note,
    /// Training would run, perhaps not as meant.
    Warning,
    /// Training could not start, or would stop at this item.
    Error,
}

/// What kind of problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ProblemKind {
    /// A folder that is needed is missing or empty, or the configuration contradicts itself.
    Layout,
    /// A file that cannot be decoded.
    Unreadable,
    /// An image smaller than the crop.
    TooSmall,
    /// A file without a partner.
    Unmatched,
    /// Parts of one item, or of one batch, that differ in size.
    SizeMismatch,
    /// Images of one folder that differ in their number of channels, or in depth.
    Mixed,
    /// A number of channels that a network takes only if it is told so.
    Channels,
    /// Files that are read as pairs and look like plain photographs.
    NotPairs,
    /// Labels that the network has no channel for.
    LabelOutOfRange,
    /// An instance map that does not belong to its label map.
    InstanceMismatch,
}

/// One problem.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// What kind it is.
    pub kind: ProblemKind,
    /// The file or folder.
    #[serde(serialize_with = "as_text")]
    pub path: PathBuf,
    /// What is wrong.
    pub message: String,
    /// What to do; may be empty.
    pub remedy: String,
}

impl Problem {
    /// An error that training would meet. The path is the error's own where it has one.
    pub(super) fn of(kind: ProblemKind, path: &Path, error: &Error) -> Self {
        let (path, message, remedy) = match error {
            Error::Dataset { path, reason, remedy } | Error::Item { path, reason, remedy } => {
                (path.as_path(), reason.clone(), remedy.clone())
            }
            Error::Config { reason, remedy } => (path, reason.clone(), remedy.clone()),
            Error::Decode { path, reason, remedy } => (path.as_path(), reason.clone(), (*remedy).to_owned()),
            Error::TooLarge { path, width, height, limit } => {
                (path.as_path(), format!("it is {width}x{height}: {limit}"), "scale it down".to_owned())
            }
            Error::Io { action, path, source } => {
                let remedy = gan_fs::remedy(source).unwrap_or("check the path and its permissions");
                (path.as_path(), format!("cannot {action} it: {source}"), remedy.to_owned())
            }
            other => (path, other.to_string(), String::new()),
        };
        Self { severity: Severity::Error, kind, path: path.to_path_buf(), message, remedy }
    }
}

/// Paths are bytes and JSON is text: what is not text in a path is replaced.
fn as_text<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&path.to_string_lossy())
}

/// How many images have a size.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SizeCount {
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// Number of images.
    #[serde(rename = "pictures")]
    pub images: usize,
}

/// The images of one folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FolderReport {
    /// What the images are for: `pairs`, `A`, `B`, `labels`, `photographs`, `instances`, `images`.
    pub role: String,
    /// The folder.
    #[serde(serialize_with = "as_text")]
    pub path: PathBuf,
    /// Number of image files.
    pub files: usize,
    /// Sizes, the most frequent first.
    pub sizes: Vec<SizeCount>,
    /// Number of images by channels.
    pub channels: BTreeMap<usize, usize>,
    /// Number of images by bits a sample.
    pub depths: BTreeMap<u32, usize>,
    /// What else is in the folder and is not read: names by what they are, in words with their number.
    pub left_out: BTreeMap<String, Vec<String>>,
    /// Names of files of which only the first page or frame is read.
    pub further_pages: Vec<String>,
    /// Names of files whose alpha channel is dropped.
    pub alpha_dropped: Vec<String>,
}

/// Pixels by label, over all label maps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabelReport {
    /// Labels configured.
    pub label_nc: usize,
    /// Pixels of each label that occurs, `dont_care` included.
    pub pixels: BTreeMap<u32, u64>,
    /// The number of labels that takes all of those that occur, in other parts, too.
    pub suggested_label_nc: usize,
    /// The id that most likely marks pixels without a label.
    pub suggested_dont_care: Option<u32>,
}

/// Everything found; see [`super::inspect`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// How items would be made.
    pub mode: DataMode,
    /// The dataset's folder.
    #[serde(serialize_with = "as_text")]
    pub root: PathBuf,
    /// The phase looked at.
    pub phase: String,
    /// Items that a dataset would have.
    pub items: usize,
    /// What was found, folder by folder.
    pub folders: Vec<FolderReport>,
    /// Other parts of the dataset, with their number of items.
    pub other_parts: Vec<(String, usize)>,
    /// Labels, for label maps.
    pub labels: Option<LabelReport>,
    /// Fallbacks that were taken, and what is not read.
    pub notes: Vec<String>,
    /// All problems, the worst first.
    pub problems: Vec<Problem>,
}

impl Report {
    /// Whether training could start and run.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        self.count(Severity::Error) == 0
    }

    /// Whether training could run as it is meant: nothing is an error, and what is read as pairs does not look like something else.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.is_usable() && !self.problems.iter().any(|problem| problem.kind == ProblemKind::NotPairs)
    }

    /// Number of problems of a severity.
    #[must_use]
    pub fn count(&self, severity: Severity) -> usize {
        self.problems.iter().filter(|problem| problem.severity == severity).count()
    }
}
