//! Facades by day and by night, drawn: two unrelated collections.

use std::sync::Arc;

use gan_rng::Key;

use crate::batch::Item;
use crate::config::DataConfig;
use crate::dataset::{Dataset, Description};
use crate::error::Result;
use crate::kind::Kind;
use crate::synth::{SEED, Scenes, check_scenes, day, night};

pub(super) static KIND: Kind = Kind {
    name: "unpaired",
    folders: &[],
    about: "drawn facades by day and by night",
    check: |config| check_scenes(config, &[("input_nc", config.input_nc), ("output_nc", config.output_nc)]),
    open: |config| Ok(Arc::new(Unpaired::of(config))),
    files: None,
    minimum_height: true,
};

#[derive(Debug)]
struct Unpaired {
    scenes: Scenes,
    /// Both domains show one scene, as a test needs it. In training they share none.
    same_scene: bool,
}

impl Unpaired {
    fn of(config: &DataConfig) -> Self {
        Self { scenes: Scenes::of(config), same_scene: config.phase != "train" }
    }
}

impl Dataset for Unpaired {
    fn len(&self) -> usize {
        self.scenes.items
    }

    fn item(&self, index: usize, key: Key) -> Result<Item> {
        let (scenes, at) = (&self.scenes, index as u64);
        let (offsets, draws) = if self.same_scene {
            ([at, at], [scenes.draw(key); 2])
        } else {
            let partner = key.at(2).stream().below(self.len() as u64);
            ([2 * at, 2 * partner + 1], [scenes.draw(key), scenes.draw(key.at(1))])
        };
        let [a, b] = offsets.map(|offset| scenes.number(offset));
        scenes.pair(index, (day(SEED, a, scenes.size), night(SEED, b, scenes.size)), draws)
    }

    fn describe(&self) -> Description {
        let kind = "procedural facades by day and by night".to_owned();
        Description { kind, items: self.len(), ..Description::default() }
    }
}
