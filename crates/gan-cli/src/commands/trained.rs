//! Opening a run for a command that uses its networks.

use crate::commands::model_folder::instead;
use crate::exit::{BAD_MODEL, Coded};
use gan_train::{Error, Trained};
use std::path::Path;

/// Opens a run or checkpoint folder. Where there is none, the error says what the folder holds instead.
pub(crate) fn open_trained(path: &Path) -> anyhow::Result<Trained> {
    Trained::open(path).map_err(|error| match (&error, instead(path)) {
        (Error::NoCheckpoint { .. }, Some(message)) => Coded(BAD_MODEL, message).into(),
        _ => error.into(),
    })
}
