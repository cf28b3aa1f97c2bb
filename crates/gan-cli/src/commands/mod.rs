//! The commands, one file each.

pub(crate) mod bench;
pub(crate) mod checkpoint;
pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod convert;
pub(crate) mod dataset;
pub(crate) mod demo;
pub(crate) mod encode_features;
pub(crate) mod evaluate;
pub(crate) mod model_folder;
pub(crate) mod presets;
pub(crate) mod summary;
pub(crate) mod train;
pub(crate) mod trained;
pub(crate) mod translate;
pub(crate) mod video;
pub(crate) mod weights;
