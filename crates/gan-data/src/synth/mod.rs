//! Procedural datasets: no files, no network, any size, the same images for the same seed.
//!
//! * facades: label maps in color and their renderings;
//! * streets: label and instance maps and their renderings;
//! * unpaired: facades by day and facades by night, with a known truth.
//!
//! A scene is a function of its key alone and independent of the size at which it is painted.

mod canvas;
mod facade;
mod facade_plan;
mod files;
mod night;
mod scenes;
mod street;
mod street_objects;

use gan_rng::{Key, Purpose};

pub use self::files::{SynthFiles, SynthKind, write_synth};
pub(crate) use self::scenes::{SEED, Scenes, check as check_scenes, name as item_name};
use crate::ids::IdMap;
use crate::raster::Raster;

/// Names and colours of the labels of facades.
pub const FACADE_CLASSES: [(&str, [u8; 3]); 13] = [
    ("sky", [22, 38, 122]),
    ("ground", [70, 22, 110]),
    ("wall", [28, 86, 232]),
    ("roof", [150, 30, 60]),
    ("cornice", [70, 240, 190]),
    ("window", [40, 160, 250]),
    ("sill", [150, 250, 110]),
    ("shutter", [250, 240, 60]),
    ("door", [250, 120, 30]),
    ("balcony", [245, 110, 170]),
    ("pillar", [235, 50, 40]),
    ("shop", [180, 60, 210]),
    ("decoration", [255, 180, 50]),
];

/// Names of the labels of streets.
pub const STREET_CLASSES: [&str; 16] = [
    "road",
    "sidewalk",
    "building",
    "wall",
    "fence",
    "pole",
    "traffic light",
    "traffic sign",
    "vegetation",
    "terrain",
    "sky",
    "person",
    "car",
    "bus",
    "bicycle",
    "lane marking",
];

/// The key of scene `index` of a seed.
fn scene(seed: u64, index: u64) -> Key {
    Key::new(seed, Purpose::Synth).at(index)
}

/// A facade: its label map in the colours of [`FACADE_CLASSES`], and its photograph by day; RGB, `size` x `size`.
#[must_use]
pub fn facade(seed: u64, index: u64, size: usize) -> (Raster<u8>, Raster<u8>) {
    let painted = facade::paint(scene(seed, index), size);
    let colour = |&id: &u32| FACADE_CLASSES[id as usize].1;
    let samples = painted.labels.raster().samples().iter().flat_map(colour).collect();
    (Raster::new(size, size, 3, samples), painted.photo)
}

/// A street: its label map, its instance map (label, or 1000 times the label plus a number for cars, buses, people
/// and bicycles) and its photograph.
#[must_use]
pub fn street(seed: u64, index: u64, size: usize) -> (IdMap, IdMap, Raster<u8>) {
    let painted = street::paint(scene(seed, index), size);
    (painted.labels, painted.instances, painted.photo)
}

/// A facade by day: domain A of the unpaired dataset, RGB, `size` x `size`.
#[must_use]
pub fn day(seed: u64, index: u64, size: usize) -> Raster<u8> {
    facade::paint(scene(seed, index), size).photo
}

/// The same facade by night: domain B, and the truth for a translation of [`day`].
#[must_use]
pub fn night(seed: u64, index: u64, size: usize) -> Raster<u8> {
    night::paint(scene(seed, index), size).photo
}
