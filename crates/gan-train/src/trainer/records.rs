//! What a launch writes beside its checkpoints, on the first rank.

use crate::Result;
use crate::events::JsonLines;
use crate::run::RunFolder;
use crate::storage::Storage;
use std::sync::Arc;

/// The run folder and its log.
pub(super) struct Records {
    pub(super) folder: RunFolder,
    pub(super) events: JsonLines,
}

impl Records {
    /// Goes on with a log of so many bytes.
    pub(super) fn resume(storage: &Arc<dyn Storage>, folder: RunFolder, length: u64) -> Result<Self> {
        let events = JsonLines::resume(storage.clone(), &folder.events(), length)?;
        Ok(Records { folder, events })
    }

    /// Goes back to so many bytes of the log.
    pub(super) fn rewind(&mut self, storage: &Arc<dyn Storage>, length: u64) -> Result<()> {
        self.events = JsonLines::resume(storage.clone(), &self.folder.events(), length)?;
        Ok(())
    }
}
