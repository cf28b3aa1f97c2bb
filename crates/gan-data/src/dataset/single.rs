//! Pictures to be translated.

use std::path::{Path, PathBuf};

use gan_rng::Key;

use super::layout::missing;
use super::{Dataset, Description, Item, limited};
use crate::config::DataConfig;
use crate::decode::is_planes;
use crate::error::Result;
use crate::folder::{PictureFile, list_pictures};
use crate::reader::Reader;
use crate::transform::Transform;

/// The pictures of one folder and its sub-folders, or one file; inputs only, with `input_nc` channels whatever the
/// direction.
#[derive(Debug)]
pub struct Single {
    files: Vec<PictureFile>,
    root: PathBuf,
    transform: Transform,
    reader: Reader,
    channels: usize,
}

/// The pictures below a folder, or the one picture that `root` is.
pub(crate) fn single_files(root: &Path) -> Result<Vec<PictureFile>> {
    if root.is_file() || is_planes(root) {
        let stem = root.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        return Ok(vec![PictureFile { path: root.to_path_buf(), stem }]);
    }
    if root.is_dir() { list_pictures(root) } else { Err(missing(root, &[])) }
}

impl Single {
    /// Finds the pictures of a configuration.
    ///
    /// # Errors
    /// [`crate::Error::Dataset`] if there are none.
    pub fn open(config: &DataConfig) -> Result<Self> {
        config.validate()?;
        let root = config.root.clone();
        let files = single_files(&root)?;
        Ok(Self {
            files: limited(files, config.max_dataset_size, &root)?,
            root,
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
        Ok(Item { a, b: None, inst: None, name: file.stem.clone() })
    }

    fn describe(&self) -> Description {
        Description {
            kind: "pictures to translate".to_owned(),
            items: self.len(),
            folders: vec![self.root.clone()],
            notes: Vec::new(),
        }
    }
}
