//! From errors to messages and exit codes.

use crate::{memory, ranks, remedies};
use gan_translate::device::{DeviceError, is_out_of_memory};
use gan_weights::checkpoint;
use std::process::ExitCode;

/// How a command ended well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Done {
    /// Everything was done.
    Complete,
    /// Interrupted after a good checkpoint.
    Interrupted,
}

/// An error with the exit code that it deserves, for what no library error says.
#[derive(Debug)]
pub(crate) struct Coded(pub(crate) u8, pub(crate) String);

impl std::fmt::Display for Coded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.1)
    }
}
impl std::error::Error for Coded {}

pub(crate) const USAGE: u8 = 2;
pub(crate) const BAD_DATA: u8 = 3;
pub(crate) const BAD_MODEL: u8 = 4;
pub(crate) const DEVICE: u8 = 5;
pub(crate) const DIVERGED: u8 = 6;

/// Reports the result and returns the program's exit code.
pub(crate) fn code(result: anyhow::Result<Done>) -> ExitCode {
    match result {
        Ok(done) => {
            ranks::end(None);
            match done {
                Done::Complete => ExitCode::SUCCESS,
                Done::Interrupted => ExitCode::from(130),
            }
        }
        Err(error) => {
            ranks::before_report(&error);
            note!("error: {error}");
            let mut last = error.to_string();
            for cause in error.chain().skip(1) {
                let text = cause.to_string();
                // Transparent wrappers repeat their source.
                if !last.contains(&text) {
                    note!("because: {text}");
                }
                last = text;
            }
            if error.chain().any(is_out_of_memory)
                && let Some(remedy) = memory::remedy()
            {
                note!("the device has not enough memory: {remedy}");
            }
            // Some errors say it themselves.
            if let Some(remedy) = error.chain().find_map(remedies::of)
                && !format!("{error:#}").contains(remedy)
            {
                note!("{remedy}");
            }
            let code = code_of(&error);
            ranks::end(Some(code));
            ExitCode::from(code)
        }
    }
}

/// The exit code of an error: that of the first of its causes that has one.
pub(crate) fn code_of(error: &anyhow::Error) -> u8 {
    if error.chain().any(is_out_of_memory) {
        return DEVICE;
    }
    error.chain().find_map(of_cause).unwrap_or(1)
}

fn of_cause(cause: &(dyn std::error::Error + 'static)) -> Option<u8> {
    if let Some(Coded(code, _)) = cause.downcast_ref() {
        return Some(*code);
    }
    if let Some(error) = cause.downcast_ref::<gan_data::Error>() {
        return Some(of_data(error));
    }
    if let Some(error) = cause.downcast_ref::<gan_weights::Error>() {
        return Some(of_weights(error));
    }
    if let Some(error) = cause.downcast_ref::<checkpoint::Error>() {
        return Some(of_checkpoint(error));
    }
    match cause.downcast_ref::<gan_nets::Error>() {
        Some(gan_nets::Error::Weights(error)) => return Some(of_weights(error)),
        Some(gan_nets::Error::Candle(_)) => return Some(1),
        Some(_) => return Some(BAD_MODEL),
        None => {}
    }
    if let Some(gan_fetch::Error::Catalog { .. }) = cause.downcast_ref() {
        return Some(BAD_MODEL);
    }
    if let Some(error) = cause.downcast_ref::<gan_video::Error>() {
        return Some(of_video(error));
    }
    if cause.is::<DeviceError>() {
        return Some(DEVICE);
    }
    if let Some(error) = cause.downcast_ref::<gan_metrics::Error>() {
        return of_metrics(error);
    }
    if let Some(error) = cause.downcast_ref::<gan_export::Error>() {
        return of_export(error);
    }
    if let Some(error) = cause.downcast_ref::<gan_translate::Error>() {
        return of_translate(error);
    }
    Some(match cause.downcast_ref::<gan_train::Error>()? {
        gan_train::Error::Translate(error) => return of_translate(error),
        gan_train::Error::Metrics(error) => return of_metrics(error),
        gan_train::Error::Data(error) => of_data(error),
        gan_train::Error::Device(_) | gan_train::Error::TooLittleMemory { .. } => DEVICE,
        gan_train::Error::Diverged { .. } | gan_train::Error::NonFinite { .. } => DIVERGED,
        gan_train::Error::Files(error) => of_checkpoint(error),
        gan_train::Error::Busy { .. }
        | gan_train::Error::RunFolder { .. }
        | gan_train::Error::Config { .. }
        | gan_train::Error::NoBf16
        | gan_train::Error::InitialWeights { .. }
        | gan_train::Error::RefusedChanges { .. }
        | gan_train::Error::Loss(_) => BAD_MODEL,
        _ => 1,
    })
}

/// `None` where the cause of the error tells.
fn of_export(error: &gan_export::Error) -> Option<u8> {
    use gan_export::Error;
    match error {
        Error::Translate(error) => of_translate(error),
        Error::Weights(error) => Some(of_weights(error)),
        Error::Data(error) => Some(of_data(error)),
        Error::Nets(_) | Error::Tensor(_) => None,
        Error::Size { .. } | Error::NoPreprocessing { .. } | Error::TooLarge { .. } => Some(USAGE),
        Error::Folder { .. } | Error::Damaged { .. } | Error::OtherImage { .. } | Error::UnknownNetwork { .. } => {
            Some(BAD_MODEL)
        }
        _ => Some(1),
    }
}

/// `None` where the cause of the error tells.
fn of_translate(error: &gan_translate::Error) -> Option<u8> {
    use gan_translate::Error;
    Some(match error {
        Error::Checkpoint(error) => of_checkpoint(error),
        Error::Weights(error) => of_weights(error),
        Error::Data(error) => of_data(error),
        Error::Device(_) | Error::TooLittleMemory { .. } => DEVICE,
        Error::Tensor(_) | Error::Shape { .. } => return None,
        Error::KnownModel { .. } | Error::NoOwnStatistics => USAGE,
        Error::StatisticsFile { .. } => 1,
        Error::LabelOutOfRange { .. }
        | Error::SizesDiffer { .. }
        | Error::TooSmall { .. }
        | Error::NotMultiple { .. } => BAD_DATA,
        _ => BAD_MODEL,
    })
}

fn of_video(error: &gan_video::Error) -> u8 {
    use gan_video::Error;
    match error {
        Error::Stream { .. } | Error::NoVideo { .. } | Error::Ffmpeg { action: "decode", .. } => BAD_DATA,
        _ => 1,
    }
}

/// `None` where the cause of the error tells.
fn of_metrics(error: &gan_metrics::Error) -> Option<u8> {
    use gan_metrics::Error;
    Some(match error {
        Error::Data(error) => of_data(error),
        Error::Weights(error) => of_weights(error),
        Error::Candle(_) => return None,
        Error::Pixels { .. }
        | Error::Shapes { .. }
        | Error::TooSmall { .. }
        | Error::TooFew { .. }
        | Error::Features(_) => BAD_DATA,
        _ => BAD_MODEL,
    })
}

fn of_checkpoint(error: &checkpoint::Error) -> u8 {
    match error {
        checkpoint::Error::Io { .. } => 1,
        _ => BAD_MODEL,
    }
}

fn of_weights(error: &gan_weights::Error) -> u8 {
    match error {
        gan_weights::Error::Io { action: "read", .. } => BAD_MODEL,
        gan_weights::Error::Io { .. } | gan_weights::Error::Candle(_) => 1,
        _ => BAD_MODEL,
    }
}

fn of_data(error: &gan_data::Error) -> u8 {
    match error {
        gan_data::Error::Config { .. } | gan_data::Error::OutOfRange(_) => BAD_MODEL,
        gan_data::Error::Output { .. } => USAGE,
        gan_data::Error::Failed { failures, .. } => failures.first().map_or(BAD_DATA, of_data),
        gan_data::Error::NonFinite { .. } => DIVERGED,
        // A disk that refuses to take what we write says nothing about the data.
        gan_data::Error::Io { action, .. } if matches!(*action, "write" | "create") => 1,
        _ => BAD_DATA,
    }
}
