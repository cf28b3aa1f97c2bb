//! Label maps with photographs and instance maps.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use gan_rng::Key;
use rayon::prelude::*;

use crate::batch::Item;
use crate::config::DataConfig;
use crate::dataset::{Dataset, Description, ItemFiles};
use crate::error::{Error, Result};
use crate::ids::IdMap;
use crate::image_file::ImageFile;
use crate::jitter::Part;
use crate::kind::{Files, Kind, one_direction};
use crate::label_rule::LabelRule;
use crate::layout::{images, limited, locate_beside, locate_folder, phase_note};
use crate::listing::Exclude;
use crate::named_folders::{FolderKey, NamedFolder, named};
use crate::pairing::{Names, pair_by_stem};
use crate::reader::Reader;
use crate::side::Side;
use crate::transform::{SharedDraws, Transform};

pub(super) static KIND: Kind = Kind {
    name: "labelled",
    folders: &[FolderKey::Labels, FolderKey::Images, FolderKey::Instances],
    about: "label maps and photographs",
    check,
    open: |config| Ok(Arc::new(Labelled::open(config)?)),
    files: Some(Files { sides, pairing: Some(Names::OrFrames), unmatched: None, channels: None }),
    minimum_height: false,
};

fn check(config: &DataConfig) -> Result<()> {
    if config.folder(FolderKey::Instances).is_some() && !config.instances {
        let reason = "instance_folder names instance maps, and instances = false does without";
        return Err(Error::config(reason, "set instances = true, or leave instance_folder out"));
    }
    one_direction(config)
}

/// Where the parts of a dataset lie.
struct Places {
    labels: NamedFolder,
    photographs: Result<NamedFolder>,
    /// None where instance maps are not asked for.
    instances: Option<Result<NamedFolder>>,
}

/// Finds the folders of a configuration: those that it names, and else those with the usual names.
fn locate(config: &DataConfig) -> Result<Places> {
    let (root, plain) = (config.base(), usize::from(config.label_nc == 0));
    let usual = |folder| NamedFolder { folder, exclude: Exclude::none(), note: None };
    let mut phase = config.phase.clone();
    let labels = match named(config, FolderKey::Labels)? {
        Some(labels) => labels,
        None => {
            let (folder, used) = locate_folder(root, &config.phase, LABEL_FOLDERS[plain])?;
            phase = used;
            NamedFolder { note: phase_note(&config.phase, &phase), ..usual(folder) }
        }
    };
    let beside = |key, suffixes: &[&str]| -> Result<NamedFolder> {
        match named(config, key)? {
            Some(folder) => Ok(folder),
            None => Ok(usual(locate_beside(root, &phase, suffixes)?)),
        }
    };
    let photographs = beside(FolderKey::Images, IMAGE_FOLDERS[plain]);
    let instances = config.instances.then(|| beside(FolderKey::Instances, INSTANCE_FOLDERS).map_err(without_instances));
    Ok(Places { labels, photographs, instances })
}

fn sides(config: &DataConfig, notes: &mut Vec<String>) -> Vec<Result<Side>> {
    let plain = config.label_nc == 0;
    let Places { labels, photographs, instances } = match locate(config) {
        Ok(places) => places,
        // Where there are no label maps, the rest need not be looked for.
        Err(error) => return vec![Err(error)],
    };
    let images = |role, place: &NamedFolder| Side::images(role, &place.folder, &place.exclude);
    let ids = |role, place: &NamedFolder| -> Result<Side> { Ok(Side { ids: true, ..images(role, place)? }) };
    notes.extend(labels.note.clone());
    let mut sides = vec![if plain { images("inputs", &labels) } else { ids("labels", &labels) }];
    match photographs.and_then(|place| images("photographs", &place)) {
        // As in the dataset: without photographs, label maps can be translated but not learned from.
        Err(Error::Dataset { reason, .. }) if config.phase != "train" => {
            notes.push(format!("there are no photographs ({reason})"));
        }
        side => sides.push(side),
    }
    sides.extend(instances.map(|place| place.and_then(|place| ids("instances", &place))));
    sides
}

/// `{phase}_label` (or `{phase}_A` when `label_nc` is 0), `{phase}_img` (or `_B`) and `{phase}_inst`, matched by name.
/// Files named as Cityscapes names them match by their first three parts: `city_000001_000019_…`.
#[derive(Debug)]
pub struct Labelled {
    entries: Vec<Entry>,
    folders: Vec<PathBuf>,
    notes: Vec<String>,
    transform: Transform,
    reader: Reader,
    rule: LabelRule,
    channels: (usize, usize),
}

#[derive(Debug)]
struct Entry {
    label: ImageFile,
    image: Option<PathBuf>,
    inst: Option<PathBuf>,
}

/// What a look over all label maps found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelScan {
    /// Number of label maps.
    pub maps: usize,
    /// Pixels of each label; index `label_nc`, if present, counts the pixels without a label (`dont_care`).
    pub pixels: Vec<u64>,
}

/// What may follow the phase in the name of the folder of label maps; second, of colour inputs (`label_nc` 0).
const LABEL_FOLDERS: [&[&str]; 2] = [&["_label", "_A"], &["_A", "_label"]];
/// The same for the photographs.
const IMAGE_FOLDERS: [&[&str]; 2] = [&["_img", "_B"], &["_B", "_img"]];
/// The same for the instance maps.
const INSTANCE_FOLDERS: &[&str] = &["_inst"];

impl Labelled {
    /// Finds the maps and photographs of a configuration. Outside the phase `train` the photographs may be missing.
    ///
    /// # Errors
    /// [`Error::Dataset`] if a folder is missing or empty, [`Error::Unmatched`] if names lack partners.
    pub fn open(config: &DataConfig) -> Result<Self> {
        config.validate()?;
        let Places { labels: place, photographs, instances } = locate(config)?;
        let (label_folder, mut notes) = (place.folder, Vec::from_iter(place.note));
        let labels = images(&label_folder, &place.exclude, &mut notes)?;
        let mut folders = vec![label_folder.clone()];

        let mut said = Vec::new();
        let mut partners = |place: Result<NamedFolder>| -> Result<Vec<PathBuf>> {
            let NamedFolder { folder, exclude, .. } = place?;
            let files = images(&folder, &exclude, &mut said)?;
            let pairs = pair_by_stem((&label_folder, &labels), (&folder, &files), Names::OrFrames)?;
            folders.push(folder);
            Ok(pairs.into_iter().map(|(_, partner)| partner.path).collect())
        };
        let images = match partners(photographs) {
            Ok(images) => Some(images),
            Err(Error::Dataset { .. }) if config.phase != "train" => {
                notes.push("there are no photographs: label maps can be translated but not compared".to_owned());
                None
            }
            Err(error) => return Err(error),
        };
        let insts = instances.map(partners).transpose()?;

        notes.append(&mut said);
        let at = |paths: &Option<Vec<PathBuf>>, i: usize| paths.as_ref().map(|paths| paths[i].clone());
        let entries = labels
            .iter()
            .enumerate()
            .map(|(i, label)| Entry { label: label.clone(), image: at(&images, i), inst: at(&insts, i) })
            .collect();
        Ok(Self {
            entries: limited(entries, config.max_dataset_size, &label_folder, &notes)?,
            folders,
            notes,
            transform: config.transform(),
            reader: Reader::open(config)?,
            rule: config.label_rule(),
            channels: (config.input_nc, config.output_nc),
        })
    }

    fn label_map(&self, path: &Path) -> Result<IdMap> {
        self.rule.apply(self.reader.ids(path)?, path)
    }

    /// Reads every label map, in parallel, and counts labels.
    ///
    /// # Errors
    /// [`Error::Label`] for the first map, in order of names, with a label out of range; decoding errors alike.
    pub fn scan_labels(&self) -> Result<LabelScan> {
        let counts: Vec<Result<Vec<u64>>> = self
            .entries
            .par_iter()
            .map(|entry| {
                let mut pixels = vec![0; self.rule.classes()];
                for &id in self.label_map(&entry.label.path)?.raster().samples() {
                    pixels[id as usize] += 1;
                }
                Ok(pixels)
            })
            .collect();
        let mut scan = LabelScan { maps: counts.len(), pixels: vec![0; self.rule.classes()] };
        for count in counts {
            scan.pixels.iter_mut().zip(count?).for_each(|(sum, pixels)| *sum += pixels);
        }
        Ok(scan)
    }

    /// The parts must have one size unless all of them are resized anyway.
    fn require_size(
        &self,
        entry: &Entry,
        size: (usize, usize),
        other: &Path,
        other_size: (usize, usize),
    ) -> Result<()> {
        if size == other_size || self.transform.unifies_sizes() {
            return Ok(());
        }
        Err(Error::sizes_differ(&entry.label.path, size, other, other_size))
    }
}

fn without_instances(error: Error) -> Error {
    match error {
        Error::Dataset { path, reason, remedy } => {
            Error::Dataset { path, reason, remedy: format!("{remedy}; without instance maps, set instances = false") }
        }
        other => other,
    }
}

impl Dataset for Labelled {
    fn len(&self) -> usize {
        self.entries.len()
    }

    fn item(&self, index: usize, key: Key) -> Result<Item> {
        let entry = &self.entries[index];
        let path = &entry.label.path;
        let (size, draws, a);
        if self.rule.label_nc > 0 {
            let ids = self.label_map(path)?;
            size = ids.size();
            draws = self.transform.draw(size, key);
            a = self.transform.apply_shared(ids, Part::Input, draws).to_tensor()?;
        } else {
            let image = self.reader.image(path, self.channels.0)?;
            size = image.size();
            draws = self.transform.draw(size, key);
            a = self.transform.apply_shared(image, Part::Input, draws).to_tensor()?;
        }
        let image = |path: &PathBuf, draws: SharedDraws| {
            let image = self.reader.image(path, self.channels.1)?;
            self.require_size(entry, size, path, image.size())?;
            self.transform.apply_shared(image, Part::Target, draws).to_tensor()
        };
        let inst = |path: &PathBuf, draws: SharedDraws| {
            let ids = self.reader.ids(path)?;
            self.require_size(entry, size, path, ids.size())?;
            self.transform.apply_shared(ids, Part::Input, draws).to_tensor_u32()
        };
        Ok(Item {
            a,
            b: entry.image.as_ref().map(|path| image(path, draws)).transpose()?,
            inst: entry.inst.as_ref().map(|path| inst(path, draws)).transpose()?,
            name: entry.label.name(),
        })
    }

    fn item_files(&self) -> Vec<ItemFiles> {
        let files = |entry: &Entry| {
            std::iter::once(&entry.label.path).chain(&entry.image).chain(&entry.inst).cloned().collect()
        };
        self.entries.iter().map(|entry| ItemFiles { files: files(entry), across: 1, part: 0, alone: false }).collect()
    }

    fn names(&self) -> Vec<String> {
        self.entries.iter().map(|entry| entry.label.name()).collect()
    }

    fn describe(&self) -> Description {
        let kind = if self.rule.label_nc > 0 {
            format!("label maps ({} labels)", self.rule.label_nc)
        } else {
            "pairs".to_owned()
        };
        let with = if self.entries.iter().all(|e| e.inst.is_some()) { " with instance maps" } else { "" };
        Description {
            kind: format!("{kind}{with}"),
            items: self.len(),
            folders: self.folders.clone(),
            notes: self.notes.clone(),
        }
    }

    fn check(&self) -> Result<()> {
        if self.rule.label_nc > 0 { self.scan_labels().map(drop) } else { Ok(()) }
    }
}
