//! Opening a run for a command that uses its networks.

use crate::wording::worded;
use gan_translate::{TrainedModel, WeightSet};
use std::path::Path;

/// Opens a run or checkpoint folder with the weights that are wanted, and says which newer checkpoints were passed over.
/// Where there is none, the error says what the folder holds instead.
pub(crate) fn open_trained(path: &Path, weights: Option<WeightSet>) -> anyhow::Result<TrainedModel> {
    open_trained_with(path, &[], weights)
}

/// The same for a command that also needs these networks.
pub(crate) fn open_trained_with(
    path: &Path,
    networks: &[&str],
    weights: Option<WeightSet>,
) -> anyhow::Result<TrainedModel> {
    let trained = TrainedModel::open_set(path, networks, weights).map_err(worded)?;
    for warning in trained.warnings() {
        note!("note: {warning}");
    }
    if weights.is_none() && trained.weights() == WeightSet::Ema {
        note!("the averaged weights are taken (train.ema); --weights raw takes those of the last step");
    }
    Ok(trained)
}
