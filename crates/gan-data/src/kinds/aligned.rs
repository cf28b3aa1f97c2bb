//! Pairs of images of the same scene.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use gan_rng::Key;

use crate::batch::Item;
use crate::channels::has_alpha;
use crate::config::{DataConfig, Direction};
use crate::dataset::{Dataset, Description, ItemFiles};
use crate::dynamic_image::Image;
use crate::error::{Error, Result};
use crate::halves;
use crate::jitter::Part;
use crate::kind::{Files, Kind, no_demands};
use crate::layout::{Layout, images, limited};
use crate::named_folders::{FolderKey, pairs_of};
use crate::pairing::{Names, pair_by_stem};
use crate::reader::Reader;
use crate::side::Side;
use crate::transform::Transform;

pub(super) static KIND: Kind = Kind {
    name: "aligned",
    folders: &[FolderKey::A, FolderKey::B],
    about: "pairs of images of the same scene, side by side or in two folders under the same names",
    check: no_demands,
    open: |config| Ok(Arc::new(Aligned::open(config)?)),
    files: Some(Files {
        sides,
        pairing: Some(Names::Whole),
        unmatched: Some("names need to match for pairs (pix2pix); for CycleGAN (mode unaligned) they need not"),
        channels: None,
    }),
    minimum_height: true,
};

fn sides(config: &DataConfig, notes: &mut Vec<String>) -> Vec<Result<Side>> {
    let located = match pairs_of(config) {
        Ok(located) => located,
        Err(error) => return vec![Err(error)],
    };
    notes.extend(located.notes);
    let side = |role, folder: &Path| Side::images(role, folder, &located.exclude);
    match &located.layout {
        Layout::SideBySide(folder) => vec![side("pairs", folder)],
        Layout::TwoFolders(a, b) => vec![side("A", a), side("B", b)],
    }
}

/// Pairs stored side by side in one file, or in two folders under equal names. Both parts share crop and flip.
#[derive(Debug)]
pub struct Aligned {
    pairs: Vec<Pair>,
    folders: Vec<PathBuf>,
    notes: Vec<String>,
    transform: Transform,
    reader: Reader,
    channels: (usize, usize),
    direction: Direction,
}

#[derive(Debug)]
struct Pair {
    name: String,
    a: PathBuf,
    /// None: the right half of `a`.
    b: Option<PathBuf>,
}

impl Aligned {
    /// Finds the pairs of a configuration.
    ///
    /// # Errors
    /// [`Error::Dataset`] if there are none, [`Error::Unmatched`] if names lack partners.
    pub fn open(config: &DataConfig) -> Result<Self> {
        config.validate()?;
        let located = pairs_of(config)?;
        let (exclude, mut notes) = (located.exclude, located.notes);
        let reader = Reader::open(config)?;
        let (pairs, folders) = match located.layout {
            Layout::SideBySide(folder) => {
                let files = images(&folder, &exclude, &mut notes)?;
                let files = limited(files, config.max_dataset_size, &folder, &notes)?;
                notes.extend(halves::note(&files, &reader));
                let pairs = files.into_iter().map(|file| Pair { name: file.name(), a: file.path, b: None });
                (pairs.collect(), vec![folder])
            }
            Layout::TwoFolders(a, b) => {
                let (left, right) = (images(&a, &exclude, &mut notes)?, images(&b, &exclude, &mut notes)?);
                let files = pair_by_stem((&a, &left), (&b, &right), Names::Whole)?;
                let pairs = limited(files, config.max_dataset_size, &a, &notes)?.into_iter().map(|(a, b)| Pair {
                    name: a.name(),
                    a: a.path,
                    b: Some(b.path),
                });
                (pairs.collect(), vec![a, b])
            }
        };
        Ok(Self {
            pairs,
            folders,
            notes,
            transform: config.transform(),
            reader,
            channels: (config.input_nc, config.output_nc),
            direction: config.direction,
        })
    }

    /// Sides A and B, with the channels that the direction gives them.
    fn read(&self, pair: &Pair) -> Result<(Image, Image)> {
        let (input, output) = self.channels;
        let (channels_a, channels_b) = match self.direction {
            Direction::A2b => (input, output),
            Direction::B2a => (output, input),
        };
        let Some(path_b) = &pair.b else {
            let both = self.reader.decode(&pair.a, has_alpha(channels_a) || has_alpha(channels_b))?;
            let (a, b) = halves(&both, &pair.a)?;
            return Ok((self.reader.adapt(a, channels_a, &pair.a)?, self.reader.adapt(b, channels_b, &pair.a)?));
        };
        let (a, b) = (self.reader.image(&pair.a, channels_a)?, self.reader.image(path_b, channels_b)?);
        if a.size() != b.size() && !self.transform.unifies_sizes() {
            return Err(Error::sizes_differ(&pair.a, a.size(), path_b, b.size()));
        }
        Ok((a, b))
    }
}

/// Left and right half; of an odd width the right one is a column wider.
fn halves(image: &Image, path: &Path) -> Result<(Image, Image)> {
    let (width, height) = image.size();
    if width < 2 {
        return Err(Error::item(path, "an image one pixel wide holds no pair", "store A and B side by side"));
    }
    let half = width / 2;
    Ok((image.crop(0, 0, half, height), image.crop(half, 0, width - half, height)))
}

impl Dataset for Aligned {
    fn len(&self) -> usize {
        self.pairs.len()
    }

    fn item(&self, index: usize, key: Key) -> Result<Item> {
        let pair = &self.pairs[index];
        let (a, b) = self.read(pair)?;
        let draws = self.transform.draw(a.size(), key);
        let (a, b) = if self.direction == Direction::A2b { (a, b) } else { (b, a) };
        let a = self.transform.apply_shared(a, Part::Input, draws).to_tensor()?;
        let b = self.transform.apply_shared(b, Part::Target, draws).to_tensor()?;
        Ok(Item { a, b: Some(b), inst: None, name: pair.name.clone() })
    }

    fn item_files(&self) -> Vec<ItemFiles> {
        let files = |pair: &Pair| std::iter::once(&pair.a).chain(&pair.b).cloned().collect();
        let across = |pair: &Pair| if pair.b.is_none() { 2 } else { 1 };
        self.pairs
            .iter()
            .map(|pair| ItemFiles { files: files(pair), across: across(pair), part: 0, alone: false })
            .collect()
    }

    fn names(&self) -> Vec<String> {
        self.pairs.iter().map(|pair| pair.name.clone()).collect()
    }

    fn describe(&self) -> Description {
        let stored = if self.folders.len() == 1 { "side by side" } else { "in two folders" };
        Description {
            kind: format!("pairs {stored}"),
            items: self.len(),
            folders: self.folders.clone(),
            notes: self.notes.clone(),
        }
    }
}
