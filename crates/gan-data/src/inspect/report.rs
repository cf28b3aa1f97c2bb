//! What a look over a dataset found.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::config::DataMode;

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
    /// A picture smaller than the crop.
    TooSmall,
    /// A file without a partner.
    Unmatched,
    /// Parts of one item that differ in size.
    SizeMismatch,
    /// Pictures of one folder that differ in their number of channels, or in depth.
    Mixed,
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
    pub path: PathBuf,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub remedy: String,
}

/// How many pictures have a size.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SizeCount {
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// Number of pictures.
    pub pictures: usize,
}

/// The pictures of one folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FolderReport {
    /// What the pictures are for: `pairs`, `A`, `B`, `labels`, `photographs`, `instances`, `pictures`.
    pub role: String,
    /// The folder.
    pub path: PathBuf,
    /// Number of picture files.
    pub files: usize,
    /// Sizes, the most frequent first.
    pub sizes: Vec<SizeCount>,
    /// Number of pictures by channels.
    pub channels: BTreeMap<usize, usize>,
    /// Number of pictures by bits a sample.
    pub depths: BTreeMap<u32, usize>,
}

/// Pixels by label, over all label maps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabelReport {
    /// Labels configured.
    pub label_nc: usize,
    /// Pixels of each label that occurs, `dont_care` included.
    pub pixels: BTreeMap<u32, u64>,
}

/// Everything found; see [`super::inspect`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// How items would be made.
    pub mode: DataMode,
    /// The dataset's folder.
    pub root: PathBuf,
    /// The phase looked at.
    pub phase: String,
    /// Items that a dataset would have.
    pub items: usize,
    /// What was found, folder by folder.
    pub folders: Vec<FolderReport>,
    /// Labels, for label maps.
    pub labels: Option<LabelReport>,
    /// Fallbacks that were taken.
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

    /// Number of problems of a severity.
    #[must_use]
    pub fn count(&self, severity: Severity) -> usize {
        self.problems.iter().filter(|problem| problem.severity == severity).count()
    }
}
