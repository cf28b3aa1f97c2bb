//! Facades, drawn: label maps in color and their renderings.

use std::sync::Arc;

use gan_rng::Key;

use crate::batch::Item;
use crate::dataset::{Dataset, Description};
use crate::error::Result;
use crate::kind::Kind;
use crate::synth::{FACADE_CLASSES, SEED, Scenes, check_scenes, facade};

pub(super) static KIND: Kind = Kind {
    name: "facades",
    folders: &[],
    about: "drawn facades",
    check: |config| check_scenes(config, &[("input_nc", config.input_nc), ("output_nc", config.output_nc)]),
    open: |config| Ok(Arc::new(Facades(Scenes::of(config)))),
    files: None,
    minimum_height: true,
};

#[derive(Debug)]
struct Facades(Scenes);

impl Dataset for Facades {
    fn len(&self) -> usize {
        self.0.items
    }

    fn item(&self, index: usize, key: Key) -> Result<Item> {
        let pair = facade(SEED, self.0.number(index as u64), self.0.size);
        self.0.pair(index, pair, [self.0.draw(key); 2])
    }

    fn describe(&self) -> Description {
        let kind = format!("procedural facades ({} labels as colours)", FACADE_CLASSES.len());
        Description { kind, items: self.len(), ..Description::default() }
    }
}
