//! Procedural datasets as files, laid out as the datasets of this field are.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use gan_range::Range;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::scenes::name;
use super::{day, facade, night, street};
use crate::dynamic_image::Image;
use crate::encode::{write_ids, write_image};
use crate::error::Result;
use crate::pairs::beside;
use crate::results::Plan;

/// Which procedural dataset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SynthKind {
    /// Label maps of facades in color, and their renderings.
    Facades,
    /// Label and instance maps of streets and their renderings.
    Streets,
    /// Facades by day and other facades by night.
    Unpaired,
}

/// What to draw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SynthFiles {
    /// Which dataset.
    pub kind: SynthKind,
    /// Seed of the scenes.
    pub seed: u64,
    /// Side in pixels.
    pub size: usize,
    /// Scenes of the phase `train`.
    pub train: usize,
    /// Scenes of the phase `test`.
    pub test: usize,
}

impl SynthFiles {
    /// The range of `size`.
    pub const SIZE: Range = Range::whole("size", 1, 16_384);
    /// The range of `train`.
    pub const TRAIN: Range = Range::whole("train", 0, 10_000_000);
    /// The range of `test`.
    pub const TEST: Range = Range::whole("test", 0, 10_000_000);
}

/// Draws a dataset into `folder` and returns the files written, in order; `progress` hears of every scene: how many
/// are done, and of how many.
///
/// Facades become `{phase}/00000.png` with label map and photograph side by side; streets `{phase}_label`, `_inst` and
/// `_img`; the unpaired set `{phase}A` (day) and `{phase}B` (night), where equal names in `test` show equal scenes and
/// `train` shows each scene only once.
///
/// # Errors
/// [`crate::Error::OutOfRange`] before anything is drawn, [`crate::Error::Output`] if the folder holds files that are none of these;
/// [`crate::Error::Io`] if the disk refuses.
pub fn write_synth(folder: &Path, what: &SynthFiles, progress: impl Fn(usize, usize) + Sync) -> Result<Vec<PathBuf>> {
    SynthFiles::SIZE.check_whole(what.size as u64)?;
    SynthFiles::TRAIN.check_whole(what.train as u64)?;
    SynthFiles::TEST.check_whole(what.test as u64)?;
    let total = what.train + what.test;
    let scene = |number| if number < what.train { ("train", number) } else { ("test", number - what.train) };
    let paths = |number| {
        let (phase, index) = scene(number);
        scene_files(folder, what.kind, phase, index)
    };
    let files: Vec<PathBuf> = (0..total).flat_map(paths).collect();
    Plan { sources: &[], inputs: Vec::new(), folders: vec![folder.to_path_buf()], outputs: &files }.prepare()?;
    let done = AtomicUsize::new(0);
    let scenes: Vec<Result<()>> = (0..total)
        .into_par_iter()
        .map(|number| {
            let (phase, index) = scene(number);
            write_scene(&paths(number), what, phase, index)?;
            progress(done.fetch_add(1, Ordering::Relaxed) + 1, total);
            Ok(())
        })
        .collect();
    scenes.into_iter().collect::<Result<()>>()?;
    Ok(files)
}

/// The files of a scene.
fn scene_files(folder: &Path, kind: SynthKind, phase: &str, index: usize) -> Vec<PathBuf> {
    let parts: &[&str] = match kind {
        SynthKind::Facades => &[""],
        SynthKind::Streets => &["_label", "_inst", "_img"],
        SynthKind::Unpaired => &["A", "B"],
    };
    parts.iter().map(|part| folder.join(format!("{phase}{part}")).join(format!("{}.png", name(index)))).collect()
}

fn write_scene(paths: &[PathBuf], what: &SynthFiles, phase: &str, index: usize) -> Result<()> {
    // The same scenes that the dataset in memory has.
    let first = if phase == "train" { 0 } else { 2u64 << 32 };
    let scene = first + index as u64;
    match what.kind {
        SynthKind::Facades => {
            let (labels, photo) = facade(what.seed, scene, what.size);
            write_image(&paths[0], &Image::U8(beside(&labels, &photo)))
        }
        SynthKind::Streets => {
            let (labels, instances, photo) = street(what.seed, scene, what.size);
            write_ids(&paths[0], &labels)?;
            write_ids(&paths[1], &instances)?;
            write_image(&paths[2], &Image::U8(photo))
        }
        SynthKind::Unpaired => {
            // In training the domains share no scene.
            let index = index as u64;
            let (scene_a, scene_b) = if phase == "train" { (2 * index, 2 * index + 1) } else { (scene, scene) };
            write_image(&paths[0], &Image::U8(day(what.seed, scene_a, what.size)))?;
            write_image(&paths[1], &Image::U8(night(what.seed, scene_b, what.size)))
        }
    }
}
