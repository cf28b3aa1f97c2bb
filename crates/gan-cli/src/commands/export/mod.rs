//! `gan-cli export`.

mod folder;
mod hub;
mod onnx;
mod report;
mod runtime;
mod samples;
mod source;
mod web;

use crate::exit::{BAD_MODEL, Coded, Done, USAGE};
use crate::wording::worded;
use gan_export::Error;

/// Write a model for other programs
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    /// Write a network as an ONNX file, and prove it with ONNX Runtime where that is at hand
    Onnx(Box<onnx::Args>),
    /// Write a model folder as hubs have them: config.json, model.safetensors, a card, samples
    Hub(Box<hub::Args>),
    /// Write a folder with a page that translates in the browser, for any static host
    Web(Box<web::Args>),
}

pub(crate) fn run(args: Args) -> anyhow::Result<Done> {
    match args.what {
        What::Onnx(args) => onnx::run(*args),
        What::Hub(args) => hub::run(*args),
        What::Web(args) => web::run(*args),
    }
}

/// Errors of gan-export in the words of the command line.
pub(crate) fn said(error: Error) -> anyhow::Error {
    let (code, message) = match error {
        Error::Translate(error) => return worded(error),
        Error::Size { size: (h, w), network, wanted } => {
            (USAGE, format!("--size {h} {w} does not suit this network ({network}): it takes {wanted}"))
        }
        Error::NoPreprocessing { reason } => {
            (USAGE, format!("--with-preprocessing is not to be had here: {reason}; leave it out"))
        }
        Error::TooLarge { bytes } => (
            USAGE,
            format!(
                "the file would have {} MiB, and ONNX files have less than 2048 MiB: --precision f16 takes half of it",
                bytes >> 20
            ),
        ),
        Error::Folder { path, reason } => {
            (BAD_MODEL, format!("{} {reason}; `gan-cli export hub` writes such a folder", path.display()))
        }
        Error::Damaged { path, reason } => (
            BAD_MODEL,
            format!(
                "{} {reason}; take another copy of the folder, or write it anew with `gan-cli export hub`",
                path.display()
            ),
        ),
        other => return other.into(),
    };
    Coded(code, message).into()
}
