//! The commands, one file each.

pub(crate) mod bench;
pub(crate) mod checkpoint;
pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod convert;
pub(crate) mod data_folders;
pub(crate) mod dataset;
pub(crate) mod demo;
pub(crate) mod encode_features;
pub(crate) mod evaluate;
pub(crate) mod export;
pub(crate) mod fetch;
pub(crate) mod listen;
pub(crate) mod man;
pub(crate) mod model_folder;
pub(crate) mod presets;
pub(crate) mod serve;
pub(crate) mod summary;
pub(crate) mod train;
pub(crate) mod trained;
pub(crate) mod translate;
pub(crate) mod verify;
pub(crate) mod video;
pub(crate) mod watch;
pub(crate) mod weights;
