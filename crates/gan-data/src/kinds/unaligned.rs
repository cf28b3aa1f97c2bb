//! Two collections of unrelated images.

use std::path::PathBuf;
use std::sync::Arc;

use gan_rng::Key;

use crate::batch::Item;
use crate::config::{DataConfig, Direction};
use crate::dataset::{Dataset, Description, ItemFiles};
use crate::error::Result;
use crate::image_file::ImageFile;
use crate::jitter::Part;
use crate::kind::{Files, Kind, no_demands};
use crate::layout::{images, limited};
use crate::named_folders::{FolderKey, collections_of};
use crate::reader::Reader;
use crate::side::Side;
use crate::transform::Transform;

pub(super) static KIND: Kind = Kind {
    name: "unaligned",
    folders: &[FolderKey::A, FolderKey::B],
    about: "two folders of images, A and B, that need not belong together",
    check: no_demands,
    open: |config| Ok(Arc::new(Unaligned::open(config)?)),
    files: Some(Files { sides, pairing: None, unmatched: None, channels: None }),
    minimum_height: true,
};

fn sides(config: &DataConfig, notes: &mut Vec<String>) -> Vec<Result<Side>> {
    let located = match collections_of(config) {
        Ok(located) => located,
        Err(error) => return vec![Err(error)],
    };
    notes.extend(located.notes);
    let sides = ["A", "B"].into_iter().zip(&located.layout);
    sides.map(|(role, folder)| Side::images(role, folder, &located.exclude)).collect()
}

/// Two folders. Item `i` has input `i` and a random target (or target `i`, without shuffling), each with its own crop
/// and flip; an epoch goes once through the larger folder.
#[derive(Debug)]
pub struct Unaligned {
    inputs: Vec<ImageFile>,
    targets: Vec<ImageFile>,
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
        let located = collections_of(config)?;
        let ([a, b], mut notes) = (located.layout, located.notes);
        // The input comes first, whichever side it is.
        let folders = if config.direction == Direction::A2b { [a, b] } else { [b, a] };
        let mut list = |folder: &PathBuf| -> Result<_> {
            let mut said = Vec::new();
            let files = limited(images(folder, &located.exclude, &mut said)?, config.max_dataset_size, folder, &said)?;
            notes.extend(said);
            Ok(files)
        };
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
        let prepare = |file: &ImageFile, channels: usize, part: Part, key: Key| {
            let image = self.reader.image(&file.path, channels)?;
            self.transform.apply_alone(image, part, key, &file.path)?.to_tensor()
        };
        let a = prepare(input, self.channels.0, Part::Input, key.at(0))?;
        let b = prepare(&self.targets[partner], self.channels.1, Part::Target, key.at(1))?;
        Ok(Item { a, b: Some(b), inst: None, name: input.name() })
    }

    fn item_files(&self) -> Vec<ItemFiles> {
        let inputs = self.inputs.iter().map(|file| (file, 0)).chain(self.targets.iter().map(|file| (file, 1)));
        inputs.map(|(file, part)| ItemFiles { part, ..ItemFiles::alone(file.path.clone()) }).collect()
    }

    fn names(&self) -> Vec<String> {
        self.inputs.iter().chain(&self.targets).map(|file| file.name()).collect()
    }

    fn describe(&self) -> Description {
        Description {
            kind: format!("unrelated images, {} inputs and {} targets", self.inputs.len(), self.targets.len()),
            items: self.len(),
            folders: self.folders.to_vec(),
            notes: self.notes.clone(),
        }
    }
}
