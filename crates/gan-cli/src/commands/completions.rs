//! `gan-cli completions`.

use crate::args::Cli;
use crate::exit::Done;
use crate::output::answer;
use clap::CommandFactory;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The shell
    shell: clap_complete::Shell,
}

pub(crate) fn run(args: Args) -> anyhow::Result<Done> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "gan-cli", &mut script);
    answer(&script);
    Ok(Done::Complete)
}
