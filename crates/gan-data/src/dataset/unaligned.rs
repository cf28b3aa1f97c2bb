//! Two collections of unrelated pictures.

use std::path::PathBuf;

use gan_rng::Key;

use super::layout::locate_collections;
use super::{Dataset, Description, Item, limited};
use crate::config::{DataConfig, Direction};
use crate::error::Result;
use crate::folder::{PictureFile, list_pictures};
use crate::reader::Reader;
use crate::transform::Transform;

/// Two folders. Item `i` has input `i` and a random target (or target `i`, without shuffling), each with its own crop
/// and flip; an epoch goes once through the larger folder.
#[derive(Debug)]
pub struct Unaligned {
    inputs: Vec<PictureFile>,
    targets: Vec<PictureFile>,
    folders: [PathBuf; 2],
    notes: Vec<String>,
    transform: Transform,
    reader: Reader,
    channels: (usize, usize),
    random_partner: bool,
}

impl Unaligned {
    /// Finds the two collections of a configuration.
    ///
    /// # Errors
    /// [`crate::Error::Dataset`] if one is missing or empty.
    pub fn open(config: &DataConfig) -> Result<Self> {
        config.validate()?;
        let ([a, b], notes) = locate_collections(&config.root, &config.phase)?;
        // The input comes first, whichever side it is.
        let folders = if config.direction == Direction::A2b { [a, b] } else { [b, a] };
        let list = |folder: &PathBuf| limited(list_pictures(folder)?, config.max_dataset_size, folder);
        let (inputs, targets) = (list(&folders[0])?, list(&folders[1])?);
        Ok(Self {
            inputs,
            targets,
            folders,
            notes,
            transform: config.transform(),
            reader: Reader::open(config)?,
            channels: (config.input_nc, config.output_nc),
            random_partner: config.shuffle,
        })
    }
}

impl Dataset for Unaligned {
    fn len(&self) -> usize {
        self.inputs.len().max(self.targets.len())
    }

    fn item(&self, index: usize, key: Key) -> Result<Item> {
        let input = &self.inputs[index % self.inputs.len()];
        let partner = if self.random_partner {
            key.at(2).stream().below(self.targets.len() as u64) as usize
        } else {
            index % self.targets.len()
        };
        let prepare = |file: &PictureFile, channels: usize, key: Key| {
            let picture = self.reader.image(&file.path, channels)?;
            self.transform.apply_alone(picture, key, &file.path)?.to_tensor()
        };
        let a = prepare(input, self.channels.0, key.at(0))?;
        let b = prepare(&self.targets[partner], self.channels.1, key.at(1))?;
        Ok(Item { a, b: Some(b), inst: None, name: input.stem.clone() })
    }

    fn describe(&self) -> Description {
        Description {
            kind: format!("unrelated pictures, {} inputs and {} targets", self.inputs.len(), self.targets.len()),
            items: self.len(),
            folders: self.folders.to_vec(),
            notes: self.notes.clone(),
        }
    }
}
