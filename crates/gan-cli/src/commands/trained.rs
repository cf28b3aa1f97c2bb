//! Opening a run for a command that uses its networks.

use crate::commands::model_folder::instead;
use crate::exit::{BAD_MODEL, Coded};
use gan_train::{Error, Trained};
use gan_weights::checkpoint;
use std::path::Path;

/// Opens a run or checkpoint folder, and says which newer checkpoints were passed over. Where there is none, the error says
/// what the folder holds instead.
pub(crate) fn open_trained(path: &Path) -> anyhow::Result<Trained> {
    open_trained_with(path, &[])
}

/// The same for a command that also needs these networks.
pub(crate) fn open_trained_with(path: &Path, networks: &[&str]) -> anyhow::Result<Trained> {
    let trained = Trained::open_with(path, networks).map_err(|error| match (&error, instead(path)) {
        (Error::Files(checkpoint::Error::NoCheckpoint { .. }), Some(message)) => Coded(BAD_MODEL, message).into(),
        _ => anyhow::Error::from(error),
    })?;
    for warning in trained.warnings() {
        eprintln!("note: {warning}");
    }
    Ok(trained)
}
