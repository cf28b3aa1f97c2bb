//! Pictures to be translated.

use std::path::{Path, PathBuf};

use gan_rng::Key;

use super::layout::missing;
use super::{Dataset, Description, Item, images, limited};
use crate::config::DataConfig;
use crate::decode::is_planes;
use crate::error::Result;
use crate::folder::PictureFile;
use crate::listing::Exclude;
use crate::reader::Reader;
use crate::transform::Transform;

/// The pictures of one folder and its sub-folders, or one file; inputs only, with `input_nc` channels whatever the
/// direction.
#[derive(Debug)]
pub struct Single {
    files: Vec<PictureFile>,
    root: PathBuf,
    notes: Vec<String>,
    transform: Transform,
    reader: Reader,
    channels: usize,
}

/// The pictures below a folder, or the one picture that `root` is.
pub(crate) fn single_files(root: &Path, notes: &mut Vec<String>) -> Result<Vec<PictureFile>> {
    if root.is_file() || is_planes(root) {
        return Ok(vec![PictureFile::below(root.parent().unwrap_or(root), root.to_path_buf())]);
    }
    if root.is_dir() { images(root, &Exclude::none(), notes) } else { Err(missing(root, &[])) }
}

impl Single {
    /// Finds the pictures of a configuration.
    ///
    /// # Errors
    /// [`crate::Error::Dataset`] if there are none.
    pub fn open(config: &DataConfig) -> Result<Self> {
        config.validate()?;
        let root = config.root.clone();
        let mut notes = Vec::new();
        let files = single_files(&root, &mut notes)?;
        Ok(Self {
            files: limited(files, config.max_dataset_size, &root, &notes)?,
            root,
            notes,
            transform: config.transform(),
            reader: Reader::open(config)?,
            channels: config.input_nc,
        })
    }

    /// The files, in order.
    #[must_use]
    pub fn files(&self) -> &[PictureFile] {
        &self.files
    }
}

impl Dataset for Single {
    fn len(&self) -> usize {
        self.files.len()
    }

    fn item(&self, index: usize, key: Key) -> Result<Item> {
        let file = &self.files[index];
        let picture = self.reader.image(&file.path, self.channels)?;
        let a = self.transform.apply_alone(picture, key, &file.path)?.to_tensor()?;
        Ok(Item { a, b: None, inst: None, name: file.name() })
    }

    fn names(&self) -> Vec<String> {
        self.files.iter().map(|file| file.name()).collect()
    }

    fn describe(&self) -> Description {
        Description {
            kind: "pictures to translate".to_owned(),
            items: self.len(),
            folders: vec![self.root.clone()],
            notes: self.notes.clone(),
        }
    }
}
