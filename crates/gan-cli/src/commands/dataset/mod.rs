//! `gan-cli dataset`.

mod inspect;
mod labels;
mod make;
mod separate;
mod synth;

use crate::exit::Done;
use clap::Subcommand;

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Say what a dataset is, what can be trained on it by which command, and what is wrong with it
    Inspect(Box<inspect::Args>),
    /// Make pairs (input beside photo) from a folder of photos
    Pairs(make::Pairs),
    /// Join two folders into pairs side by side
    Combine(make::Combine),
    /// Take pairs apart into two folders
    Separate(separate::Args),
    /// Make label maps of maps in colour
    Labels(labels::Args),
    /// Split a folder into train, val and test
    Split(make::Split),
    /// Draw a procedural dataset
    Synth(synth::Args),
}

pub(crate) fn run(args: Args) -> anyhow::Result<Done> {
    match args.command {
        Command::Inspect(args) => inspect::run(*args),
        Command::Pairs(args) => make::pairs(args),
        Command::Combine(args) => make::combine(args),
        Command::Separate(args) => separate::run(args),
        Command::Labels(args) => labels::run(args),
        Command::Split(args) => make::split(args),
        Command::Synth(args) => synth::run(args),
    }
}
