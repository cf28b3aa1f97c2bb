//! Convolution algorithms measured on this machine, where the user asks for it.

use crate::args::Command;
use crate::exit::{Coded, USAGE};
use crate::shell;
use gan_translate::device::tuning::{self, Weights};
use std::path::PathBuf;

/// Names the file of what was measured.
const VARIABLE: &str = "GAN_TUNING";

/// Begins to measure if [`VARIABLE`] is set and the command runs networks.
///
/// # Errors
/// The file cannot be used.
pub(crate) fn start(command: &Command) -> anyhow::Result<()> {
    let Some(file) = std::env::var_os(VARIABLE).filter(|file| !file.is_empty()).map(PathBuf::from) else {
        return Ok(());
    };
    let weights = match command {
        Command::Train(_) | Command::Demo(_) => Weights::Change,
        Command::Bench(args) if args.trains() => Weights::Change,
        Command::Translate(_)
        | Command::Serve(_)
        | Command::Video(_)
        | Command::Evaluate(_)
        | Command::EncodeFeatures(_)
        | Command::Bench(_) => Weights::Stay,
        _ => return Ok(()),
    };
    tuning::start(&file, weights).map_err(|error| {
        let file = shell::quoted(&file);
        let remedy = "name a file in a folder that can be written, or unset the variable";
        Coded(USAGE, format!("{VARIABLE}={file} cannot be used: {error}; {remedy}")).into()
    })
}
