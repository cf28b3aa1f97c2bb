//! Train and run pix2pix, pix2pixHD, CycleGAN and CUT from the command line.

#[macro_use]
mod output;

#[cfg(test)]
mod advice;
mod allocator;
mod args;
mod clock;
mod commands;
mod device;
mod examples;
mod exit;
mod html;
mod inputs;
mod interrupt;
mod live;
mod max_memory;
mod memory;
mod presets;
mod process;
mod progress;
mod ranks;
mod remedies;
#[cfg(feature = "tui")]
mod screen;
#[cfg(not(feature = "tui"))]
#[path = "no_screen.rs"]
mod screen;
mod shard;
mod shell;
mod start;
mod threads;
mod tips;
mod tuning;
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
    if let Err(error) = threads::start().and_then(|()| tuning::start(&cli.command)) {
        return exit::code(Err(error));
    }
    let result = match cli.command {
        Command::Demo(args) => commands::demo::run(args),
        Command::Train(args) => commands::train::run(args),
        Command::Translate(args) => commands::translate::run(*args),
        Command::Serve(args) => commands::serve::run(args),
        Command::Video(args) => commands::video::run(*args),
        Command::Watch(args) => commands::watch::run(args),
        Command::Convert(args) => commands::convert::run(args),
        Command::Export(args) => commands::export::run(args),
        Command::Verify(args) => commands::verify::run(args),
        Command::EncodeFeatures(args) => commands::encode_features::run(args),
        Command::Evaluate(args) => commands::evaluate::run(args),
        Command::Summary(args) => commands::summary::run(args),
        Command::Fetch(args) => commands::fetch::run(args),
        Command::Dataset(args) => commands::dataset::run(args),
        Command::Presets(args) => commands::presets::run(args),
        Command::Config(args) => commands::config::run(args),
        Command::Bench(args) => commands::bench::run(args),
        Command::Completions(args) => commands::completions::run(args),
        Command::Man(args) => commands::man::run(args),
    };
    exit::code(result)
}
