//! Decoding, datasets, transforms and loading of images for image-to-image translation.
//!
//! Images come from files or from the procedural generators, pass a [`Transform`], and reach the trainer as candle
//! tensors on the CPU: `[N, C, H, W]`, f32 in [-1, 1] for images, integers for label and instance maps. Nothing here
//! knows a GPU or the network, and nothing prints.
//!
//! ```no_run
//! use gan_data::{DataConfig, Loader, open};
//! # fn main() -> gan_data::Result<()> {
//! let config = DataConfig { root: "datasets/facades".into(), ..DataConfig::default() };
//! let dataset = open(&config)?;
//! dataset.check()?;
//! let loader = Loader::new(dataset, config.loader(42))?;
//! for batch in loader.epoch(0, 0) {
//!     let batch = batch?;
//!     assert_eq!(batch.a.dims(), [1, 3, 256, 256]);
//! }
//! # Ok(())
//! # }
//! ```

#![forbid(unsafe_code)]

mod batch;
mod cache;
mod channels;
mod config;
mod data_dir;
mod dataset;
mod decode;
mod dynamic_image;
mod encode;
mod encode_rows;
mod error;
mod halves;
mod ids;
mod image_file;
mod image_name;
mod inspect;
mod jitter;
mod kind;
mod kinds;
mod lab;
mod label_colours;
mod label_rule;
mod layout;
mod listing;
mod loader;
mod pages;
mod pairing;
mod pairs;
mod palette;
mod pixels;
mod preprocess;
mod raster;
mod reader;
mod resample;
mod results;
mod side;
mod sizes;
mod sniff;
mod synth;
mod transform;
mod warp;
mod writable;

pub use batch::{Batch, Item};
pub use channels::{adapt_channels, has_alpha};
pub use config::{DataConfig, DataMode, Direction};
pub use dataset::{Dataset, Description, ItemFiles};
pub use decode::{
    AlphaPolicy, DecodeLimits, DecodeOptions, Header, IdRowReader, LabelsAs, RowReader, decode, decode_bytes,
    decode_ids, decode_ids_bytes, probe,
};
pub use dynamic_image::Image;
pub use encode::{
    Depth, Quantize, WriteOptions, encode_image, image_from_tensor, write_ids, write_image, write_image_with,
    write_planes,
};
pub use encode_rows::{ImageShape, RowWriter};
pub use error::{Error, Result, UnknownColour};
pub use ids::IdMap;
pub use image_file::{ImageFile, distinct_names, with_suffix};
pub use inspect::{
    FolderReport, Guess, LabelReport, Problem, ProblemKind, Report, Severity, SizeCount, guess, inspect,
};
pub use jitter::{Jitter, JitterFactors, JitterOn, Part};
pub use kinds::{Aligned, Colorization, LabelScan, Labelled, Single, Unaligned, open};
pub use lab::{image_from_lab, lab_tensors, lab_to_rgb, rgb_to_lab};
pub use label_colours::{label_colour, label_colours};
pub use label_rule::LabelRule;
pub use listing::{Exclude, LeftOut, Listing, Reason, image_files, list_images};
pub use loader::{Batches, Loader, LoaderConfig};
pub use pages::{pages, pages_note, tiff_pages};
pub use pairing::{pair_images, partner};
pub use pairs::{
    Canny, PairInput, SplitRatio, Written, canny_edges, combine, label_maps, make_pairs, separate, side_by_side, split,
};
pub use palette::{Palette, PaletteLabel};
pub use pixels::Pixels;
pub use preprocess::Preprocess;
pub use raster::Raster;
pub use resample::{Filter, resize_f32, resize_nearest, resize_u8, resize_u16};
pub use sizes::check_sizes;
pub use synth::{FACADE_CLASSES, STREET_CLASSES, SynthFiles, SynthKind, day, facade, night, street, write_synth};
pub use transform::{SharedDraws, Transform, round_to_multiple};
pub use warp::{Field, Warp};
pub use writable::WriteFormat;

/// The directory of fetched datasets (`datasets/NAME`) and weights (`weights/NAME.safetensors`): `GAN_DATA_DIR`, else
/// `$XDG_DATA_HOME/gan-cli`, else the platform's own place; without a home directory, `data` here.
#[must_use]
pub fn data_dir() -> std::path::PathBuf {
    data_dir::data_dir(None, data_dir::Platform::current(), |name| std::env::var_os(name))
        .unwrap_or_else(|| "data".into())
}

/// Runs the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
