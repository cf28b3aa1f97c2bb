//! Streets, drawn: label maps, instance maps and renderings.

use std::sync::Arc;

use gan_rng::Key;

use crate::batch::Item;
use crate::config::DataConfig;
use crate::dataset::{Dataset, Description};
use crate::error::{Error, Result};
use crate::jitter::Part;
use crate::kind::{Kind, one_direction};
use crate::synth::{SEED, STREET_CLASSES, Scenes, check_scenes, item_name, street};

pub(super) static KIND: Kind = Kind {
    name: "streets",
    folders: &[],
    about: "drawn streets",
    check,
    open: |config| Ok(Arc::new(Streets(Scenes::of(config)))),
    files: None,
    minimum_height: false,
};

fn check(config: &DataConfig) -> Result<()> {
    check_scenes(config, &[("output_nc", config.output_nc)])?;
    one_direction(config)?;
    let classes = STREET_CLASSES.len();
    if config.label_nc < classes {
        let reason = format!("streets have {classes} labels and label_nc is {}", config.label_nc);
        return Err(Error::config(reason, format!("set label_nc = {classes}")));
    }
    Ok(())
}

#[derive(Debug)]
struct Streets(Scenes);

impl Dataset for Streets {
    fn len(&self) -> usize {
        self.0.items
    }

    fn item(&self, index: usize, key: Key) -> Result<Item> {
        let (labels, instances, photo) = street(SEED, self.0.number(index as u64), self.0.size);
        let draws = self.0.draw(key);
        Ok(Item {
            a: self.0.transform.apply_shared(labels, Part::Input, draws).to_tensor()?,
            b: Some(self.0.target(photo, draws)?),
            inst: Some(self.0.transform.apply_shared(instances, Part::Input, draws).to_tensor_u32()?),
            name: item_name(index),
        })
    }

    fn describe(&self) -> Description {
        let kind = format!("procedural streets ({} labels, with instances)", STREET_CLASSES.len());
        Description { kind, items: self.len(), ..Description::default() }
    }
}
