//! The `Dataset` trait: numbered items made of tensors.

use std::path::PathBuf;

use gan_rng::Key;

use crate::batch::Item;
use crate::error::Result;

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

/// Files whose images share one size, size changes included: the parts of an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemFiles {
    /// The files; the first one names the item.
    pub files: Vec<PathBuf>,
    /// How many images stand side by side in each file.
    pub across: u32,
    /// 0 for what a batch holds as input (with all that shares its size), 1 for targets of a size of their own.
    pub part: usize,
    /// Whether the image is cropped by itself: then it must not be smaller than the crop.
    pub alone: bool,
}

impl ItemFiles {
    /// One file that holds one image, cropped by itself; an input.
    #[must_use]
    pub fn alone(path: PathBuf) -> Self {
        Self { files: vec![path], across: 1, part: 0, alone: true }
    }
}

/// Numbered items. Making an item is a pure function of its index and the key.
///
/// A dataset of one's own implements [`len`](Self::len), [`item`](Self::item) and [`describe`](Self::describe); a
/// [`Loader`](crate::Loader) reads it like any other.
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
