//! `gan-cli config`.

mod explain;

use crate::exit::Done;
use clap::Subcommand;

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Subcommand)]
enum ConfigCommand {
    /// Say what keys of the configuration are for, what they take, and their defaults
    Explain(explain::Args),
}

pub(crate) fn run(args: Args) -> anyhow::Result<Done> {
    match args.command {
        ConfigCommand::Explain(args) => explain::run(args),
    }
}
