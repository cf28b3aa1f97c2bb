//! Procedural datasets in memory.

use std::sync::Arc;

use gan_rng::Key;
use serde::{Deserialize, Serialize};

use super::{FACADE_CLASSES, STREET_CLASSES, day, facade, night, street};
use crate::config::{DataConfig, DataMode, Direction};
use crate::dataset::{Dataset, Description, Item};
use crate::error::{Error, Result};
use crate::picture::Picture;
use crate::raster::Raster;
use crate::transform::Transform;

/// Which procedural dataset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SynthKind {
    /// Coloured label maps of facades and their renderings.
    Facades,
    /// Label and instance maps of streets and their renderings.
    Streets,
    /// Facades by day and other facades by night.
    Unpaired,
}

/// Items of a dataset whose configuration does not say how many.
const DEFAULT_ITEMS: usize = 400;

/// Scenes of one phase start here; phases share none.
fn first_scene(phase: &str) -> u64 {
    match phase {
        "train" => 0,
        "val" => 1 << 32,
        "test" => 2 << 32,
        other => Key::new(0, gan_rng::Purpose::Synth).at_name(other).block(0)[0].into(),
    }
}

/// A dataset that is drawn when it is read.
#[derive(Debug, Clone)]
pub struct Procedural {
    kind: SynthKind,
    /// Seed of the scenes: part of the dataset, not of a run.
    seed: u64,
    first: u64,
    items: usize,
    size: usize,
    transform: Transform,
    direction: Direction,
    channels: (usize, usize),
    /// Unpaired only: both sides show one scene, as a test needs it.
    same_scene: bool,
}

impl Procedural {
    /// `items` scenes painted at `size` x `size` pixels, then transformed.
    #[must_use]
    pub fn new(kind: SynthKind, seed: u64, phase: &str, items: usize, size: usize, transform: Transform) -> Self {
        Self {
            kind,
            seed,
            first: first_scene(phase),
            items,
            size,
            transform,
            direction: Direction::A2b,
            channels: (3, 3),
            same_scene: phase != "train",
        }
    }

    /// Number of the scene of item `index`, in domain A or B. In training the domains share no scene.
    fn scene(&self, index: usize, domain_b: bool) -> u64 {
        let index = index as u64;
        let distinct = self.kind == SynthKind::Unpaired && !self.same_scene;
        self.first + if distinct { 2 * index + u64::from(domain_b) } else { index }
    }

    fn pictures(&self, index: usize, key: Key) -> Result<Item> {
        let (a, b) = match self.kind {
            SynthKind::Unpaired => {
                let partner =
                    if self.same_scene { index } else { key.at(2).stream().below(self.items as u64) as usize };
                let by_day = day(self.seed, self.scene(index, false), self.size);
                (by_day, night(self.seed, self.scene(partner, true), self.size))
            }
            _ => facade(self.seed, self.scene(index, false), self.size),
        };
        let (a, b) = if self.direction == Direction::A2b { (a, b) } else { (b, a) };
        let (a, b) = (self.adapt(a, self.channels.0)?, self.adapt(b, self.channels.1)?);
        let shared = self.transform.draw(a.size(), key);
        let other = if self.kind == SynthKind::Unpaired && !self.same_scene {
            self.transform.draw(b.size(), key.at(1))
        } else {
            shared
        };
        Ok(Item {
            a: self.transform.apply_shared(a, shared).to_tensor()?,
            b: Some(self.transform.apply_shared(b, other).to_tensor()?),
            inst: None,
            name: name(index),
        })
    }

    fn adapt(&self, raster: Raster<u8>, channels: usize) -> Result<Picture> {
        Picture::Eight(raster).with_channels(channels).ok_or_else(|| {
            let reason = format!("procedural pictures have 3 channels and {channels} are wanted");
            Error::config(reason, "set input_nc and output_nc to 3")
        })
    }
}

/// Name of an item, in an order that sorts.
pub(super) fn name(index: usize) -> String {
    format!("{index:05}")
}

impl Dataset for Procedural {
    fn len(&self) -> usize {
        self.items
    }

    fn item(&self, index: usize, key: Key) -> Result<Item> {
        if self.kind != SynthKind::Streets {
            return self.pictures(index, key);
        }
        let (labels, instances, photo) = street(self.seed, self.scene(index, false), self.size);
        let draws = self.transform.draw(labels.size(), key);
        let photo = self.adapt(photo, self.channels.1)?;
        Ok(Item {
            a: self.transform.apply_shared(labels, draws).to_tensor()?,
            b: Some(self.transform.apply_shared(photo, draws).to_tensor()?),
            inst: Some(self.transform.apply_shared(instances, draws).to_tensor_u32()?),
            name: name(index),
        })
    }

    fn describe(&self) -> Description {
        let kind = match self.kind {
            SynthKind::Facades => format!("procedural facades ({} labels as colours)", FACADE_CLASSES.len()),
            SynthKind::Streets => format!("procedural streets ({} labels, with instances)", STREET_CLASSES.len()),
            SynthKind::Unpaired => "procedural facades by day and by night".to_owned(),
        };
        Description { kind, items: self.items, folders: Vec::new(), notes: Vec::new() }
    }
}

/// The procedural dataset of a configuration. The scenes have a seed of their own, so that runs with different seeds
/// can be compared on the same data.
pub(crate) fn open(config: &DataConfig) -> Result<Arc<dyn Dataset>> {
    let kind = match config.mode {
        DataMode::Streets => SynthKind::Streets,
        DataMode::Unpaired => SynthKind::Unpaired,
        _ => SynthKind::Facades,
    };
    if kind == SynthKind::Streets && config.label_nc < STREET_CLASSES.len() {
        let reason = format!("streets have {} labels and label_nc is {}", STREET_CLASSES.len(), config.label_nc);
        return Err(Error::config(reason, format!("set label_nc = {}", STREET_CLASSES.len())));
    }
    let items = config.max_dataset_size.unwrap_or(DEFAULT_ITEMS);
    let mut dataset = Procedural::new(kind, 0, &config.phase, items, config.load_size, config.transform());
    dataset.direction = config.direction;
    dataset.channels = (config.input_nc, config.output_nc);
    Ok(Arc::new(dataset))
}
