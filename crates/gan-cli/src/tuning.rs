//! Convolution algorithms measured on this machine, where the user asks for it.

use crate::args::Command;
use crate::exit::{Coded, USAGE};
use crate::shell;
use gan_translate::device::tuning::{self, Weights};
use std::fs::OpenOptions;
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

/// Names the file of what was measured.
const VARIABLE: &str = "GAN_TUNING";

/// The first line of such a file.
const HEAD: &str = "# Convolution algorithms that gan-cli measured. Lines may be removed; they are measured again.";

/// Bytes that are read of it, a hundred times what all networks together make.
const LARGEST: u64 = 4 << 20;

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
    with(&file, weights).map_err(|error| {
        let file = shell::quoted(&file);
        let remedy = "name a file in a folder that can be written, or unset the variable";
        Coded(USAGE, format!("{VARIABLE}={file} cannot be used: {error}; {remedy}")).into()
    })
}

fn with(path: &Path, weights: Weights) -> io::Result<()> {
    let mut file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(ErrorKind::InvalidInput, "it is no file"));
    }
    let mut known = String::new();
    (&file).take(LARGEST).read_to_string(&mut known)?;
    if known.is_empty() {
        writeln!(file, "{HEAD}")?;
    } else if !known.starts_with(HEAD) {
        return Err(io::Error::new(ErrorKind::InvalidData, "it holds something else"));
    } else if !known.ends_with('\n') {
        // A process was killed while it wrote.
        writeln!(file)?;
    }
    tuning::start(&known, file, weights);
    Ok(())
}
