//! The file that names the best checkpoint.

use gan_weights::checkpoint::{BEST, best_step, candidates, checkpoints_dir};
use std::path::Path;

use crate::storage::{Durability, Storage, replace_file};
use crate::{Error, Result};

/// Makes `RUN/checkpoints/best` name the checkpoint of `step`. Nothing is written if it does already, or if there is no such
/// checkpoint.
///
/// # Errors
/// [`Error::Files`]; the file names what it named before.
pub(crate) fn name_best(storage: &dyn Storage, run: &Path, step: u64) -> Result<()> {
    let dir = checkpoints_dir(run);
    // What is damaged is written anew.
    if best_step(storage, run).is_ok_and(|named| named == Some(step)) {
        return Ok(());
    }
    let entries = storage.list(&dir).map_err(|e| Error::io("list", &dir, e))?;
    if !candidates(&entries).iter().any(|candidate| candidate.step == step) {
        return Ok(());
    }
    replace_file(storage, &dir.join(BEST), format!("{step}\n").as_bytes(), Durability::Flushed)
}
