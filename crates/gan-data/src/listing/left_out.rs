//! What lies below a folder and is not taken, and why.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::image_file::shown;

/// At most this many names of a kind are spelt out in a note.
const NAMES_SHOWN: usize = 3;

/// Why an entry of a folder is not among the images.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Reason {
    /// An image or film whose format is not supported; its usual ending, in lower case.
    Format(String),
    /// An image whose name does not end like that of an image.
    NoImageName,
    /// A symbolic link to a folder, which is not followed.
    LinkedFolder,
    /// A symbolic link to nothing.
    DanglingLink,
    /// Neither file nor folder: what it is, with an article.
    Special(&'static str),
    /// A folder that may not be listed.
    Denied,
    /// A folder that was to be left out: results are written there.
    Output,
    /// The folder of a training run.
    Run,
    /// The gallery of a training run.
    Gallery,
    /// A folder whose name begins with a dot.
    HiddenFolder,
    /// A folder named like a part of a dataset, beside images that belong to no part.
    OtherPart,
    /// A file that is no image.
    Other,
}

/// What was found below a folder and is not among its images: paths within the folder, by reason.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LeftOut(BTreeMap<Reason, Vec<PathBuf>>);

impl LeftOut {
    /// The reasons that occur, each with what was left out for it, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&Reason, &[PathBuf])> {
        self.0.iter().map(|(reason, paths)| (reason, paths.as_slice()))
    }

    /// Number of files that are no images: notes, tables and the like. [`LeftOut::note`] passes over them.
    #[must_use]
    pub fn others(&self) -> usize {
        self.0.get(&Reason::Other).map_or(0, Vec::len)
    }

    /// One sentence about everything that somebody may miss: `4 files were left out: 2 .gif, 1 .avif (formats not
    /// supported), 1 link to a folder (more)`.
    #[must_use]
    pub fn note(&self) -> Option<String> {
        let mut formats: Vec<_> = self
            .iter()
            .filter_map(|(reason, paths)| match reason {
                Reason::Format(format) => Some((paths.len(), format)),
                _ => None,
            })
            .collect();
        formats.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(b.1)));
        let mut files: usize = formats.iter().map(|format| format.0).sum();
        let mut folders = 0;
        let (mut file_kinds, mut folder_kinds) = (Vec::new(), Vec::new());
        if !formats.is_empty() {
            let list = formats.iter().map(|(n, format)| format!("{n} .{format}")).collect::<Vec<_>>().join(", ");
            let noun = if formats.len() == 1 { "format" } else { "formats" };
            file_kinds.push(format!("{list} ({noun} not supported)"));
        }
        for (reason, paths) in self.iter() {
            let (count, kinds) = match reason {
                Reason::Format(_) | Reason::Other => continue,
                reason if reason.is_folder() => (&mut folders, &mut folder_kinds),
                _ => (&mut files, &mut file_kinds),
            };
            *count += paths.len();
            kinds.push(format!("{} ({})", reason.counted(paths.len()), names(paths)));
        }
        let sentences = [(files, "file", file_kinds), (folders, "folder", folder_kinds)];
        let sentences: Vec<_> = sentences
            .into_iter()
            .filter(|(count, ..)| *count > 0)
            .map(|(count, noun, kinds)| {
                let were = if count == 1 { format!("1 {noun} was") } else { format!("{count} {noun}s were") };
                format!("{were} left out: {}", kinds.join(", "))
            })
            .collect();
        (!sentences.is_empty()).then(|| sentences.join("; "))
    }

    pub(super) fn add(&mut self, reason: Reason, path: &Path, folder: &Path) {
        let within = path.strip_prefix(folder).unwrap_or(path).to_path_buf();
        self.0.entry(reason).or_default().push(within);
    }

    pub(super) fn sort_by(&mut self, order: impl Fn(&PathBuf, &PathBuf) -> Ordering) {
        self.0.values_mut().for_each(|paths| paths.sort_by(&order));
    }
}

impl Reason {
    /// Whether whole folders are left out for this reason.
    fn is_folder(&self) -> bool {
        matches!(self, Self::Denied | Self::Output | Self::Run | Self::Gallery | Self::HiddenFolder | Self::OtherPart)
    }

    /// `count` entries left out for this reason, in words.
    pub(crate) fn counted(&self, count: usize) -> String {
        let (one, many) = match self {
            Self::Format(format) => return format!("{count} .{format}"),
            Self::Special(kind) => {
                let noun = kind.split_once(' ').map_or(*kind, |(_, noun)| noun);
                return format!("{count} {noun}{}", if count == 1 { "" } else { "s" });
            }
            Self::NoImageName => {
                ("image whose name does not end like an image's", "images whose names do not end like an image's")
            }
            Self::LinkedFolder => ("link to a folder", "links to folders"),
            Self::DanglingLink => ("link to nothing", "links to nothing"),
            Self::Denied => ("folder that may not be read", "folders that may not be read"),
            Self::Output => ("output folder", "output folders"),
            Self::Run => ("training run", "training runs"),
            Self::Gallery => ("gallery of a run", "galleries of runs"),
            Self::HiddenFolder => ("hidden folder", "hidden folders"),
            Self::OtherPart => ("other part of the dataset", "other parts of the dataset"),
            Self::Other => ("other file", "other files"),
        };
        format!("{count} {}", if count == 1 { one } else { many })
    }
}

fn names(paths: &[PathBuf]) -> String {
    let more = paths.len().saturating_sub(NAMES_SHOWN);
    let tail = if more > 0 { format!(" and {more} more") } else { String::new() };
    paths.iter().take(NAMES_SHOWN).map(|path| shown(path)).collect::<Vec<_>>().join(", ") + &tail
}
