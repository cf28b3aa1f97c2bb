//! Datasets: numbered items made of tensors.

mod aligned;
mod batch;
mod colorization;
pub(crate) mod halves;
mod labelled;
pub(crate) mod layout;
mod single;
mod unaligned;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use gan_rng::Key;

pub use self::aligned::Aligned;
pub(crate) use self::aligned::sizes_differ;
pub use self::batch::{Batch, Item};
pub use self::colorization::Colorization;
pub(crate) use self::labelled::{IMAGE_FOLDERS, INSTANCE_FOLDERS, LABEL_FOLDERS};
pub use self::labelled::{LabelScan, Labelled};
pub use self::single::Single;
pub(crate) use self::single::single_files;
pub use self::unaligned::Unaligned;
use crate::config::{DataConfig, DataMode};
use crate::error::{Error, Result};
use crate::folder::PictureFile;
use crate::listing::{Exclude, list_images};
use crate::sizes::ItemFiles;
use crate::synth;

/// What a dataset is, for people.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Description {
    /// What kind of items, in a few words.
    pub kind: String,
    /// How many items.
    pub items: usize,
    /// The folders that are read.
    pub folders: Vec<PathBuf>,
    /// What a user should know: fallbacks that were taken, for example.
    pub notes: Vec<String>,
}

/// Numbered items. Making an item is a pure function of its index and the key.
pub trait Dataset: Send + Sync {
    /// Number of items.
    fn len(&self) -> usize;

    /// Whether there is nothing.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Makes item `index` (below [`Dataset::len`]); all randomness comes from `key`.
    ///
    /// # Errors
    /// Whatever is wrong with the item's files, by name.
    fn item(&self, index: usize, key: Key) -> Result<Item>;

    /// What this dataset is.
    fn describe(&self) -> Description;

    /// The files whose headers tell in which sizes items come, for [`check_sizes`](crate::check_sizes). None for datasets
    /// whose items have the size that the configuration gives.
    fn item_files(&self) -> Vec<ItemFiles> {
        Vec::new()
    }

    /// Names of the files behind the items, in their order; none where items have no files. They tell a dataset from
    /// another one of the same size.
    fn names(&self) -> Vec<String> {
        Vec::new()
    }

    /// Reads what must hold for every item before a long run starts; datasets of label maps look for labels out of
    /// range.
    ///
    /// # Errors
    /// The first problem found.
    fn check(&self) -> Result<()> {
        Ok(())
    }
}

/// Opens the dataset that a configuration describes.
///
/// # Errors
/// [`Error::Config`] for contradictions, [`Error::Dataset`] and [`Error::Unmatched`] for folders that do not hold it.
pub fn open(config: &DataConfig) -> Result<Arc<dyn Dataset>> {
    config.validate()?;
    Ok(match config.mode {
        DataMode::Aligned => Arc::new(Aligned::open(config)?),
        DataMode::Unaligned => Arc::new(Unaligned::open(config)?),
        DataMode::Labelled => Arc::new(Labelled::open(config)?),
        DataMode::Single => Arc::new(Single::open(config)?),
        DataMode::Colorization => Arc::new(Colorization::open(config)?),
        DataMode::Facades | DataMode::Streets | DataMode::Unpaired => synth::open(config)?,
    })
}

/// The images of a folder; what is to be said about the listing is added to `notes`.
fn images(folder: &Path, exclude: &Exclude, notes: &mut Vec<String>) -> Result<Vec<PictureFile>> {
    let listing = list_images(folder, exclude)?;
    notes.extend(listing.notes(folder));
    Ok(listing.files)
}

/// Keeps the first `limit` of a sorted list and refuses an empty one; `notes` may say why it is empty.
fn limited<T>(mut items: Vec<T>, limit: Option<usize>, folder: &Path, notes: &[String]) -> Result<Vec<T>> {
    if items.is_empty() {
        let mut reason = "there is not one picture in it (png, jpg, webp, bmp, ppm, tiff)".to_owned();
        notes.iter().for_each(|note| reason += &format!("; {note}"));
        return Err(Error::dataset(folder, reason, "put pictures there, or name another folder"));
    }
    if limit == Some(0) {
        return Err(Error::config("max_dataset_size is 0", "leave it out to use everything"));
    }
    items.truncate(limit.unwrap_or(usize::MAX));
    Ok(items)
}
