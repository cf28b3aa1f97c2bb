//! Images to be translated.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use gan_rng::Key;

use crate::batch::Item;
use crate::config::DataConfig;
use crate::dataset::{Dataset, Description};
use crate::error::Result;
use crate::image_file::ImageFile;
use crate::image_name::is_planes;
use crate::jitter::Part;
use crate::kind::{Files, Kind, no_demands};
use crate::layout::{images, limited, missing};
use crate::listing::{Exclude, LeftOut};
use crate::reader::Reader;
use crate::side::Side;
use crate::transform::Transform;

pub(super) static KIND: Kind = Kind {
    name: "single",
    folders: &[],
    about: "images without partners",
    check: no_demands,
    open: |config| Ok(Arc::new(Single::open(config)?)),
    files: Some(Files { sides, pairing: None, unmatched: None, channels: None }),
    minimum_height: true,
};

fn sides(config: &DataConfig, notes: &mut Vec<String>) -> Vec<Result<Side>> {
    let (role, root) = ("images", &config.root);
    if root.is_dir() {
        return vec![Side::images(role, root, &Exclude::none())];
    }
    let file = files(root, notes);
    vec![file.map(|files| Side { role, path: root.clone(), files, left_out: LeftOut::default(), ids: false })]
}

/// The images of one folder and its sub-folders, or one file; inputs only, with `input_nc` channels whatever the
/// direction.
#[derive(Debug)]
pub struct Single {
    files: Vec<ImageFile>,
    root: PathBuf,
    notes: Vec<String>,
    transform: Transform,
    reader: Reader,
    channels: usize,
}

/// The images below a folder, or the one image that `root` is.
fn files(root: &Path, notes: &mut Vec<String>) -> Result<Vec<ImageFile>> {
    if root.is_file() || is_planes(root) {
        return Ok(vec![ImageFile::below(root.parent().unwrap_or(root), root.to_path_buf())]);
    }
    if root.is_dir() {
        images(root, &Exclude::none(), notes)
    } else {
        Err(missing(root, &[], "name a folder of images"))
    }
}

impl Single {
    /// Finds the images of a configuration.
    ///
    /// # Errors
    /// [`crate::Error::Dataset`] if there are none.
    pub fn open(config: &DataConfig) -> Result<Self> {
        config.validate()?;
        let root = config.root.clone();
        let mut notes = Vec::new();
        let files = files(&root, &mut notes)?;
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
    pub fn files(&self) -> &[ImageFile] {
        &self.files
    }
}

impl Dataset for Single {
    fn len(&self) -> usize {
        self.files.len()
    }

    fn item(&self, index: usize, key: Key) -> Result<Item> {
        let file = &self.files[index];
        let image = self.reader.image(&file.path, self.channels)?;
        let a = self.transform.apply_alone(image, Part::Input, key, &file.path)?.to_tensor()?;
        Ok(Item { a, b: None, inst: None, name: file.name() })
    }

    fn names(&self) -> Vec<String> {
        self.files.iter().map(|file| file.name()).collect()
    }

    fn describe(&self) -> Description {
        Description {
            kind: "images to translate".to_owned(),
            items: self.len(),
            folders: vec![self.root.clone()],
            notes: self.notes.clone(),
        }
    }
}
