//! Starting from the networks of another run.

use crate::Result;
use gan_layers::{Missing, ParamStore};
use gan_translate::{TrainedModel, WeightSet};
use std::path::Path;

/// Loads networks of another run by name and shape; returns what was taken and what was not.
pub(super) fn load_pretrain(path: &Path, networks: &[(&ParamStore, &str)]) -> Result<Vec<String>> {
    // The discriminators have been trained against these.
    let trained = TrainedModel::open_set(path, &["d"], Some(WeightSet::Raw))?;
    let mut notes: Vec<String> = trained.warnings().iter().map(ToString::to_string).collect();
    for (store, name) in networks.iter().filter(|(_, name)| trained.has(name)) {
        let tensors = trained.network(name)?;
        let left_out = store.load(&format!("{name}."), tensors.entries(), Missing::Skip)?;
        notes.push(format!(
            "{name}: {} tensors offered by {}, {} left out or new",
            tensors.len(),
            path.display(),
            left_out.len()
        ));
        notes.extend(left_out.into_iter().map(|n| format!("{name}: {n}")));
    }
    Ok(notes)
}
