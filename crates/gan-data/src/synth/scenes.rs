//! The scenes of a procedural dataset, and how they become items.

use candle_core::Tensor;
use gan_rng::{Key, Purpose};

use crate::batch::Item;
use crate::config::{DataConfig, Direction};
use crate::dynamic_image::Image;
use crate::error::{Error, Result};
use crate::jitter::Part;
use crate::raster::Raster;
use crate::transform::{SharedDraws, Transform};

/// Seed of the scenes. It is part of the dataset and not of a run, so that runs with different seeds can be compared on the
/// same data.
pub(crate) const SEED: u64 = 0;

/// Items of a dataset whose configuration does not say how many.
const DEFAULT_ITEMS: usize = 400;

/// Most items of a procedural dataset: their order is drawn in memory.
const MAX_ITEMS: usize = 10_000_000;

/// Which scenes a configuration asks for, and what becomes of each.
#[derive(Debug, Clone)]
pub(crate) struct Scenes {
    /// Number of items.
    pub(crate) items: usize,
    /// Side, in pixels, at which scenes are painted.
    pub(crate) size: usize,
    pub(crate) transform: Transform,
    first: u64,
    direction: Direction,
    channels: (usize, usize),
}

/// Refuses more scenes than can be shuffled, and channels that scenes do not have; `drawn` are the keys of the channels that are
/// drawn as color or grey, with their values.
pub(crate) fn check(config: &DataConfig, drawn: &[(&str, usize)]) -> Result<()> {
    if let Some(items) = config.max_dataset_size.filter(|&items| items > MAX_ITEMS) {
        let reason = format!("max_dataset_size is {items}");
        return Err(Error::config(reason, format!("draw {MAX_ITEMS} scenes at most")));
    }
    if let Some((key, channels)) = drawn.iter().find(|(_, channels)| !matches!(channels, 1 | 3)) {
        let reason = format!("procedural images have 3 channels, or 1 as grey, and {key} is {channels}");
        return Err(Error::config(reason, format!("set {key} = 3")));
    }
    Ok(())
}

/// Number of the first scene of a phase; phases share none.
fn first_scene(phase: &str) -> u64 {
    match phase {
        "train" => 0,
        "val" => 1 << 32,
        "test" => 2 << 32,
        other => Key::new(0, Purpose::Synth).at_name(other).block(0)[0].into(),
    }
}

impl Scenes {
    /// The scenes of a configuration.
    pub(crate) fn of(config: &DataConfig) -> Self {
        Self {
            items: config.max_dataset_size.unwrap_or(DEFAULT_ITEMS),
            size: config.load_size,
            transform: config.transform(),
            first: first_scene(&config.phase),
            direction: config.direction,
            channels: (config.input_nc, config.output_nc),
        }
    }

    /// The number of the scene that is `offset` after the first one of the phase.
    pub(crate) fn number(&self, offset: u64) -> u64 {
        self.first + offset
    }

    /// What the parts of an item share.
    pub(crate) fn draw(&self, key: Key) -> SharedDraws {
        self.transform.draw((self.size, self.size), key)
    }

    /// A painted target `[C, H, W]`, transformed.
    pub(crate) fn target(&self, painted: Raster<u8>, draws: SharedDraws) -> Result<Tensor> {
        self.image(painted, self.channels.1, Part::Target, draws)
    }

    /// An item of a scene painted in both domains, A and B; input and target each have their draws.
    pub(crate) fn pair(&self, index: usize, (a, b): (Raster<u8>, Raster<u8>), draws: [SharedDraws; 2]) -> Result<Item> {
        let (input, target) = if self.direction == Direction::A2b { (a, b) } else { (b, a) };
        Ok(Item {
            a: self.image(input, self.channels.0, Part::Input, draws[0])?,
            b: Some(self.target(target, draws[1])?),
            inst: None,
            name: name(index),
        })
    }

    fn image(&self, painted: Raster<u8>, channels: usize, part: Part, draws: SharedDraws) -> Result<Tensor> {
        let image = Image::U8(painted).with_channels(channels).ok_or_else(|| {
            let reason = format!("procedural images have 3 channels and {channels} are wanted");
            Error::config(reason, "set input_nc and output_nc to 3")
        })?;
        self.transform.apply_shared(image, part, draws).to_tensor()
    }
}

/// Name of an item, in an order that sorts.
pub(crate) fn name(index: usize) -> String {
    format!("{index:05}")
}
