//! What a launch does about numbers that are not finite (`train.on_nonfinite`).

use super::progress::Pending;
use super::run_loop::Run;
use super::{state, validating, way_back};
use crate::checkpoint::{Snapshot, load_latest_checked};
use crate::events::Event;
use crate::{Error, Result, WayBack};
use std::path::Path;

impl Run<'_> {
    /// Tells of updates that were left out since the last time. Waits for the device.
    pub(super) fn report_skipped(&mut self) -> Result<()> {
        let mut total = 0;
        for (_, optimizer, _) in self.method.state().optimizers {
            total += optimizer.skipped()?.total;
        }
        let new = total - self.skipped.min(total);
        if new > 0 {
            self.skipped = total;
            let updates = if new == 1 { "1 update was".to_owned() } else { format!("{new} updates were") };
            let message = format!(
                "{updates} left out, because gradients were not finite (train.on_nonfinite = \"skip\"): {total} in all"
            );
            self.emit(Event::Warning { step: self.step, message })?;
        }
        Ok(())
    }

    /// Goes back to the newest checkpoint that training can go on from, after which the images come in another order. The
    /// checkpoint is written anew with the count of rewinds, so that a run that is stopped from here on goes on as this one does.
    ///
    /// # Errors
    /// [`Error::Diverged`] if there is no such checkpoint, or if there were too many rewinds already.
    pub(super) fn rewind(&mut self, what: String) -> Result<()> {
        let (limit, from) = (self.train.nonfinite_limit, self.step);
        if self.rewinds >= limit {
            let what = format!("after {limit} rewinds (train.nonfinite_limit), {what}");
            return Err(Error::Diverged { what, way_back: WayBack::Unknown });
        }
        let run = self.run.clone();
        let step = self.on_first(|launch| match way_back::find(&*launch.storage, &run, launch.spec, None) {
            WayBack::Step { step, .. } => Ok(step),
            _ => Err(Error::Diverged { what: what.clone(), way_back: WayBack::Unknown }),
        })?;
        let method = &mut *self.method;
        let check = |dir: &Path, snapshot: &Snapshot| match snapshot.step > step {
            true => Err(Error::Unsavable { reason: "its weights are beyond repair".to_owned() }),
            false => state::check(dir, snapshot, method),
        };
        let mut loaded = load_latest_checked(&*self.storage, &run, Some(self.spec.name), check)?;
        let restored = state::restore(&mut loaded, self.method, &mut self.rate, &self.device_config.device)?;
        self.step = loaded.snapshot.step;
        self.rewinds += 1;
        self.loader = self.loader.reordered(self.rewinds);
        self.waited = self.loader.waited();
        self.pending = Pending::of(restored.pending, &self.train);
        self.skipped = restored.skipped;
        let (position, mut notes) = state::carry_on(restored.place, self.step, &self.data, self.data.clone());
        self.position = position;
        self.history = restored.history;
        notes.extend(restored.notes);
        notes.extend(self.validator.as_ref().and_then(|v| validating::carry_on(&mut self.history, v)));
        self.total = position.total_steps(self.step, &self.train, self.loader.batches_per_epoch() as u64);
        let length = state::events_length(&loaded.snapshot);
        // Nobody reads the checkpoint any more when it is written anew.
        self.ranks.barrier()?;
        if let Some(records) = &mut self.records {
            records.rewind(&self.storage, length)?;
        }
        self.emit(Event::Rewound { step: self.step, from, rewinds: self.rewinds, reason: what })?;
        for message in notes {
            self.emit(Event::Warning { step: self.step, message })?;
        }
        self.on_first(Self::save)
    }
}

#[cfg(test)]
mod injected;
#[cfg(test)]
mod tests;
