//! Opening a run for a command that uses its networks.

use crate::wording::worded;
use gan_translate::TrainedModel;
use std::path::Path;

/// Opens a run or checkpoint folder, and says which newer checkpoints were passed over. Where there is none, the error says
/// what the folder holds instead.
pub(crate) fn open_trained(path: &Path) -> anyhow::Result<TrainedModel> {
    open_trained_with(path, &[])
}

/// The same for a command that also needs these networks.
pub(crate) fn open_trained_with(path: &Path, networks: &[&str]) -> anyhow::Result<TrainedModel> {
    let trained = TrainedModel::open_with(path, networks).map_err(worded)?;
    for warning in trained.warnings() {
        note!("note: {warning}");
    }
    Ok(trained)
}
