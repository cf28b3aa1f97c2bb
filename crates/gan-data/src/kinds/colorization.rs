//! Photographs taken apart into lightness and colour.

use std::path::PathBuf;
use std::sync::Arc;

use gan_rng::Key;

use crate::batch::Item;
use crate::config::DataConfig;
use crate::dataset::{Dataset, Description, ItemFiles};
use crate::error::{Error, Result};
use crate::image_file::ImageFile;
use crate::jitter::{JitterOn, Part};
use crate::kind::{Files, Kind, one_direction};
use crate::lab::lab_tensors;
use crate::layout::{images, limited, locate_photographs};
use crate::reader::Reader;
use crate::side::Side;
use crate::transform::Transform;

/// Channels of the photographs.
const CHANNELS: usize = 3;

pub(super) static KIND: Kind = Kind {
    name: "colorization",
    folders: &[],
    about: "colour photographs",
    check,
    open: |config| Ok(Arc::new(Colorization::open(config)?)),
    files: Some(Files { sides, pairing: None, unmatched: None, channels: Some(CHANNELS) }),
    minimum_height: true,
};

fn check(config: &DataConfig) -> Result<()> {
    if (config.input_nc, config.output_nc) != (1, 2) {
        let reason = "colorization turns lightness into two colour channels";
        return Err(Error::config(reason, "set input_nc = 1 and output_nc = 2"));
    }
    if config.color_jitter > 0.0 && config.color_jitter_on != JitterOn::Both {
        let reason = "input and target of colorization are one photograph, whose colours change as a whole";
        return Err(Error::config(reason, "set color_jitter_on = \"both\""));
    }
    one_direction(config)
}

fn sides(config: &DataConfig, notes: &mut Vec<String>) -> Vec<Result<Side>> {
    vec![locate_photographs(&config.root, &config.phase).and_then(|located| {
        notes.extend(located.notes);
        Side::images("images", &located.layout, &located.exclude)
    })]
}

/// Colour photographs of `{root}/{phase}`, or of `{root}` itself: the input is L / 50 - 1 `[1, H, W]`, the target
/// (a, b) / 110 `[2, H, W]` (which may leave [-1, 1] slightly).
#[derive(Debug)]
pub struct Colorization {
    files: Vec<ImageFile>,
    folder: PathBuf,
    notes: Vec<String>,
    transform: Transform,
    reader: Reader,
}

impl Colorization {
    /// Finds the photographs of a configuration.
    ///
    /// # Errors
    /// [`crate::Error::Dataset`] if there are none, [`crate::Error::Config`] unless input_nc is 1 and output_nc 2.
    pub fn open(config: &DataConfig) -> Result<Self> {
        config.validate()?;
        let located = locate_photographs(&config.root, &config.phase)?;
        let (folder, mut notes) = (located.layout, located.notes);
        let files = images(&folder, &located.exclude, &mut notes)?;
        Ok(Self {
            files: limited(files, config.max_dataset_size, &folder, &notes)?,
            folder,
            notes,
            transform: config.transform(),
            reader: Reader::open(config)?,
        })
    }
}

impl Dataset for Colorization {
    fn len(&self) -> usize {
        self.files.len()
    }

    fn item(&self, index: usize, key: Key) -> Result<Item> {
        let file = &self.files[index];
        let image = self.reader.image(&file.path, CHANNELS)?;
        let (a, b) = lab_tensors(&self.transform.apply_alone(image, Part::Input, key, &file.path)?)?;
        Ok(Item { a, b: Some(b), inst: None, name: file.name() })
    }

    fn item_files(&self) -> Vec<ItemFiles> {
        self.files.iter().map(|file| ItemFiles::alone(file.path.clone())).collect()
    }

    fn names(&self) -> Vec<String> {
        self.files.iter().map(|file| file.name()).collect()
    }

    fn describe(&self) -> Description {
        Description {
            kind: "photographs as lightness and colour".to_owned(),
            items: self.len(),
            folders: vec![self.folder.clone()],
            notes: self.notes.clone(),
        }
    }
}
