//! The command line.

use crate::commands::{
    bench, completions, config, convert, dataset, demo, encode_features, evaluate, export, fetch, man, presets, serve,
    summary, train, translate, verify, video, watch,
};
use clap::{Parser, Subcommand};

/// Image-to-image translation with GANs: pix2pix, pix2pixHD, CycleGAN and CUT
///
/// Exit codes: 0 done, 1 failed, 2 wrong usage, 3 bad data, 4 bad checkpoint or configuration, 5 device or memory, 6 diverged, 130 interrupted
/// after a good checkpoint.
#[derive(Parser)]
#[command(name = "gan-cli", version, max_term_width = 110)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Draw a dataset, train on it for two minutes and show the result; no files, no network
    Demo(demo::Args),
    /// Train a method on a dataset
    Train(train::Args),
    /// Translate images with a trained model
    Translate(Box<translate::Args>),
    /// Try trained models in the browser, and translate over HTTP
    Serve(serve::Args),
    /// Follow runs in the browser while they are trained, or write them into one file
    Watch(watch::Args),
    /// Translate a video, or frames, so that what stays the same looks the same
    Video(Box<video::Args>),
    /// Convert weights between PyTorch's .pth and .safetensors
    Convert(convert::Args),
    /// Write a model for other programs: ONNX files, model folders, pages
    Export(export::Args),
    /// Check a model folder: its files, and the images that it makes
    Verify(verify::Args),
    /// Cluster the instance features of a pix2pixHD model, for `translate --style`
    EncodeFeatures(encode_features::Args),
    /// Measure translated images against real ones
    Evaluate(evaluate::Args),
    /// Show layers, shapes, parameters and multiply-adds of a model
    Summary(summary::Args),
    /// Fetch datasets, trained generators and other weights by name
    Fetch(fetch::Args),
    /// Validate and make datasets
    Dataset(dataset::Args),
    /// List the presets of `train`, or print one
    Presets(presets::Args),
    /// Explain the keys of a configuration
    Config(config::Args),
    /// Time training steps and translations
    Bench(bench::Args),
    /// Print shell completions
    Completions(completions::Args),
    /// Write man pages, one a command
    Man(man::Args),
}
