//! Train and run pix2pix, pix2pixHD and CycleGAN from the command line.

#[macro_use]
mod speak;

mod allocator;
mod args;
mod commands;
mod exit;
mod inputs;
mod interrupt;
mod place;
mod presets;
mod progress;

use args::{Cli, Command};
use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    allocator::keep_pages();
    let result = match Cli::parse().command {
        Command::Demo(args) => commands::demo::run(args),
        Command::Train(args) => commands::train::run(args),
        Command::Translate(args) => commands::translate::run(args),
        Command::Convert(args) => commands::convert::run(args),
        Command::EncodeFeatures(args) => commands::encode_features::run(args),
        Command::Summary(args) => commands::summary::run(args),
        Command::Dataset(args) => commands::dataset::run(args),
        Command::Bench(args) => commands::bench::run(args),
        Command::Completions(args) => commands::completions::run(args),
    };
    exit::code(result)
}
