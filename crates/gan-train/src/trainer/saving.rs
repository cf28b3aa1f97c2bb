//! Checkpoints of a launch under way.

use super::run_loop::Run;
use super::{state, way_back};
use crate::checkpoint::{self, Keep, Snapshot};
use crate::events::{Busy, Event};
use crate::{Error, Result};
use std::time::Instant;

impl Run<'_> {
    /// A checkpoint that cannot be written in between is no reason to lose the run; the one at the end is. There is
    /// nothing to go on with if training has diverged, and nowhere to go if the folder is gone.
    pub(super) fn save_or_warn(&mut self) -> Result<()> {
        self.check()?;
        self.on_first(Self::save_here_or_warn)
    }

    /// The same on the first rank, which tells nobody.
    fn save_here_or_warn(&mut self) -> Result<()> {
        match self.save() {
            Err(error @ (Error::Diverged { .. } | Error::Vanished { .. })) => Err(error),
            Err(error) => self.warn(format!("training goes on without a new checkpoint: {error}")),
            Ok(()) => Ok(()),
        }
    }

    fn warn(&mut self, message: String) -> Result<()> {
        self.emit(Event::Warning { step: self.step, message })
    }

    /// An image that cannot be read says nothing against the steps before it.
    pub(super) fn save_before_failing(&mut self) {
        if self.step > 0 && self.last_saved != Some(self.step) {
            // What is wrong with the image is what the caller reports.
            let _ = self.check().and_then(|()| self.save_here_or_warn());
        }
    }

    /// Writes a checkpoint, on the first rank.
    pub(super) fn save(&mut self) -> Result<()> {
        let started = Instant::now();
        self.observers.iter_mut().for_each(|o| o.busy(Busy::Saving));
        let Some(records) = &mut self.records else { return Ok(()) };
        records.folder.check()?;
        match records.folder.repair(&*self.storage) {
            Ok(notes) => notes.into_iter().try_for_each(|note| self.warn(note))?,
            // They are copies; the checkpoint holds what is needed.
            Err(error) => self.warn(error.to_string())?,
        }
        let Some(records) = &mut self.records else { return Ok(()) };
        let (events_length, run) = (records.events.sync()?, records.folder.path().to_owned());
        let mut snapshot = Snapshot::new(self.step, self.spec.name);
        let unsavable = |e: serde_json::Error| Error::Unsavable { reason: e.to_string() };
        snapshot.model = serde_json::to_value(self.config.to_table()?).map_err(unsavable)?;
        snapshot.model_json = Some(serde_json::to_value(self.config.model()).map_err(unsavable)?);
        let place = state::TrainingPosition { position: self.position, data: self.data.clone() };
        let of_run = state::OfRun {
            events_length,
            pending: &mut self.pending,
            rate: &mut self.rate,
            history: &self.history,
            rewinds: self.rewinds,
        };
        state::fill(&mut snapshot, self.method, of_run, place)?;
        let keep = Keep { newest: self.train.keep, best: self.history.best().map(|best| best.step) };
        let saved = checkpoint::save(&*self.storage, &run, &snapshot, keep);
        let saved = saved.map_err(way_back::of_snapshot)?;
        self.last_saved = Some(self.step);
        saved.warnings.iter().try_for_each(|warning| self.warn(warning.to_string()))?;
        let (path, bytes) = (saved.path, saved.bytes);
        self.emit(Event::Saved { step: self.step, path, bytes, seconds: started.elapsed().as_secs_f64() })
    }

    /// A divergence says from where training can go on.
    pub(super) fn with_way_back(&self, error: Error) -> Error {
        match error {
            Error::Diverged { what, way_back } => {
                let Some(records) = &self.records else { return Error::Diverged { what, way_back } };
                // Not saved since: a lower learning rate did not help.
                let at_once = self.slowed_down.filter(|from| self.last_saved == Some(*from));
                let way_back = way_back::find(&*self.storage, records.folder.path(), self.spec, at_once);
                Error::Diverged { what, way_back }
            }
            other => other,
        }
    }
}
