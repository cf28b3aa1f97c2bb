//! A dataset of one's own: noise, to be translated into its negative. pix2pix is trained on it.
//!
//! ```text
//! cargo run --release --example own_dataset
//! ```

use candle_core::{Device, Tensor};
use gan_data::{Dataset, Description, Item};
use gan_rng::{Key, Purpose};
use gan_train::config::ConfigSource;
use gan_train::methods::pix2pix;
use gan_train::{DeviceConfig, Job, Outcome, Result, train};
use std::path::Path;
use std::sync::Arc;

/// Side of the images.
const SIDE: usize = 32;

/// Pairs of noise and its negative.
struct Negatives(usize);

impl Dataset for Negatives {
    fn len(&self) -> usize {
        self.0
    }

    fn item(&self, index: usize, _: Key) -> gan_data::Result<Item> {
        let mut values = vec![0f32; 3 * SIDE * SIDE];
        Key::new(index as u64, Purpose::Synth).fill_normal(0, &mut values);
        let a = Tensor::from_vec(values, (3, SIDE, SIDE), &Device::Cpu)?.tanh()?;
        Ok(Item { b: Some(a.neg()?), a, inst: None, name: format!("noise {index}") })
    }

    fn describe(&self) -> Description {
        Description { kind: "noise and its negative".into(), items: self.len(), ..Description::default() }
    }
}

/// Trains one epoch.
pub(crate) fn run(folder: &Path) -> Result<Outcome> {
    let tiny = ["n_epochs=1", "n_epochs_decay=0", "workers=0"];
    let settings =
        pix2pix::SPEC.smoke_overrides.iter().chain(&tiny).map(|setting| ConfigSource::Setting((*setting).into()));
    train(Job {
        method: &pix2pix::SPEC,
        config: (pix2pix::SPEC.resolve)(&settings.collect::<Vec<_>>())?,
        dataset: Some(Arc::new(Negatives(3))),
        run: folder.join("run"),
        resume: false,
        device_config: DeviceConfig::cpu(),
        argv: Vec::new(),
        version: "example".into(),
        revision: None,
        stop: Default::default(),
        observers: Vec::new(),
        ranks: std::sync::Arc::new(gan_train::Single),
    })
}

#[allow(clippy::print_stdout, dead_code)] // a test includes this file
fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    println!("trained {} steps", run(folder.path())?.step);
    Ok(())
}
