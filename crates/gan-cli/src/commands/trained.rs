//! Opening a run for a command that uses its networks.

use gan_train::Trained;
use std::path::Path;

/// Opens a run or checkpoint folder, and says which newer checkpoints were passed over.
pub(crate) fn open_trained(path: &Path) -> anyhow::Result<Trained> {
    open_trained_with(path, &[])
}

/// The same for a command that also needs these networks.
pub(crate) fn open_trained_with(path: &Path, networks: &[&str]) -> anyhow::Result<Trained> {
    let trained = Trained::open_with(path, networks)?;
    for warning in trained.warnings() {
        eprintln!("note: {warning}");
    }
    Ok(trained)
}
