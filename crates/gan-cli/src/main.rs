//! Train and run pix2pix, pix2pixHD, CycleGAN and CUT from the command line.

#[macro_use]
mod output;

#[cfg(test)]
mod advice;
mod allocator;
mod args;
mod available_memory;
mod commands;
mod device;
mod examples;
mod exit;
mod inputs;
mod interrupt;
mod memory;
mod presets;
mod process;
mod progress;
mod remedies;
mod shell;
mod start;
mod threads;
mod tips;
mod wording;

use args::Command;
use std::process::ExitCode;

fn main() -> ExitCode {
    process::prepare();
    allocator::keep_pages();
    let cli = match tips::parse() {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    memory::prepare(&cli.command);
    if let Err(error) = threads::start() {
        return exit::code(Err(error));
    }
    let result = match cli.command {
        Command::Demo(args) => commands::demo::run(args),
        Command::Train(args) => commands::train::run(args),
        Command::Translate(args) => commands::translate::run(*args),
        Command::Video(args) => commands::video::run(*args),
        Command::Convert(args) => commands::convert::run(args),
        Command::EncodeFeatures(args) => commands::encode_features::run(args),
        Command::Evaluate(args) => commands::evaluate::run(args),
        Command::Summary(args) => commands::summary::run(args),
        Command::Dataset(args) => commands::dataset::run(args),
        Command::Presets(args) => commands::presets::run(args),
        Command::Config(args) => commands::config::run(args),
        Command::Bench(args) => commands::bench::run(args),
        Command::Completions(args) => commands::completions::run(args),
    };
    exit::code(result)
}
