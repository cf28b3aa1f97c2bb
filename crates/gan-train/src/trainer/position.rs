//! Where a run is in its data.

use crate::TrainConfig;
use crate::train_config::ACCUMULATE;
use gan_data::Dataset;
use serde::{Deserialize, Serialize};

/// Epoch and place in it are counted, not computed from the number of steps: the length of an epoch may change when a run is
/// resumed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Position {
    /// Epochs that are complete.
    pub(super) epochs: u64,
    /// Batches done in the epoch after them.
    pub(super) batches: u64,
    /// Images that frequencies count: each batch adds `batch_size`, as in the references, also if it is not full.
    pub(super) images: u64,
    /// Batches of the whole run. Older checkpoints lack it; each of their steps took one.
    #[serde(default)]
    pub(super) seen: u64,
}

impl Position {
    /// The epoch that is under way, or comes next; counted from 1.
    pub(super) fn epoch(&self) -> u64 {
        self.epochs + 1
    }

    /// Epochs that have begun.
    pub(super) fn begun(&self) -> u64 {
        self.epochs + u64::from(self.batches > 0)
    }

    /// Counts a batch. True if it was the last of its epoch.
    pub(super) fn advance(&mut self, per_epoch: u64, batch_size: u64) -> bool {
        self.images += batch_size;
        self.seen += 1;
        self.batches += 1;
        let last = self.batches >= per_epoch;
        if last {
            (self.epochs, self.batches) = (self.epochs + 1, 0);
        }
        last
    }

    /// Steps of the whole run, of which `step` are done; not more than `step` if nothing is left to do.
    pub(super) fn total_steps(&self, step: u64, train: &TrainConfig, per_epoch: u64) -> u64 {
        let steps = |batches: u64| batches.div_ceil(train.accumulate);
        let epochs = u64::from(train.schedule().last_epoch()).saturating_sub(self.epochs);
        let this_epoch = steps(per_epoch.saturating_sub(self.batches));
        let left =
            epochs.checked_sub(1).map_or(0, |later| later.saturating_mul(steps(per_epoch)).saturating_add(this_epoch));
        let all = step.saturating_add(left);
        if train.max_steps == 0 { all } else { all.min(train.max_steps) }
    }

    /// What no run of `step` steps on this data can be at.
    pub(super) fn contradiction(&self, step: u64, data: &Data) -> Option<String> {
        let Position { epochs, batches, images, seen } = *self;
        let seen = if seen == 0 { step } else { seen };
        // Each epoch took a step, and no batch holds 2^17 images. A whole epoch is never left uncounted.
        let fits = epochs <= step.min(u64::from(u32::MAX))
            && (step..=step.saturating_mul(ACCUMULATE)).contains(&seen)
            && images <= seen.saturating_mul(1 << 17).min(1 << 62)
            && data.batch_size > 0
            && batches < data.per_epoch();
        (!fits).then(|| format!("it claims {epochs} epochs, {batches} batches and {images} images in {step} steps"))
    }
}

/// What tells whether a run goes on with the data it was saved with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Data {
    items: u64,
    /// blake3 of the names in order, in hexadecimal.
    names: String,
    batch_size: u64,
}

impl Data {
    pub(super) fn of(dataset: &dyn Dataset, batch_size: u64) -> Self {
        let mut hasher = blake3::Hasher::new();
        for name in dataset.names() {
            hasher.update(name.as_bytes()).update(&[0]);
        }
        Data { items: dataset.len() as u64, names: hasher.finalize().to_hex().to_string(), batch_size }
    }

    /// Where a run is after `step` steps on this data from its start on: what checkpoints of older versions, which know their
    /// step alone, can tell.
    pub(super) fn position_of_step(&self, step: u64) -> Position {
        let per_epoch = self.per_epoch();
        let images = step.saturating_mul(self.batch_size);
        Position { epochs: step / per_epoch, batches: step % per_epoch, images, seen: step }
    }

    fn per_epoch(&self) -> u64 {
        self.items.div_ceil(self.batch_size.max(1)).max(1)
    }

    /// Where a run that was saved at `position` goes on with this data, and what is to be said about it. Epochs that are
    /// complete stay so. With another number of items, an epoch that had begun starts anew: its order is another one. With
    /// another batch size it goes on at the batch that holds its next image, of which some may be seen twice.
    pub(super) fn carry_on(&self, saved: &Data, mut position: Position) -> (Position, Vec<String>) {
        let mut notes = Vec::new();
        let (within, epoch) = (position.batches > 0, position.epoch());
        if self.items != saved.items {
            position.batches = 0;
            let goes_on = if within { "starts anew" } else { "comes next" };
            notes.push(format!(
                "the dataset changed: {}, {} when this run was saved; epoch {epoch} {goes_on}",
                images(self.items),
                saved.items
            ));
        } else if self.names != saved.names {
            notes.push(format!(
                "the dataset changed: {} as before, but not the same; epoch {epoch} goes on",
                images(self.items)
            ));
        }
        if self.batch_size != saved.batch_size {
            position.batches = position.batches.saturating_mul(saved.batch_size) / self.batch_size.max(1);
            notes.push(format!(
                "the batch size changed: {}, {} when this run was saved; epoch {epoch} goes on",
                self.batch_size, saved.batch_size
            ));
        }
        (position, notes)
    }
}

fn images(n: u64) -> String {
    format!("{n} image{}", if n == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn train(n_epochs: u32, max_steps: u64) -> TrainConfig {
        TrainConfig { n_epochs, n_epochs_decay: 0, max_steps, ..TrainConfig::default() }
    }

    fn data(items: u64, names: &str, batch_size: u64) -> Data {
        Data { items, names: names.to_owned(), batch_size }
    }

    #[test]
    fn counting_is_dividing_as_long_as_nothing_changes() {
        for (per_epoch, batch_size) in [(1, 1), (4, 1), (7, 3)] {
            let mut position = Position::default();
            let data = data(per_epoch * batch_size, "", batch_size);
            for step in 1..=30 {
                let last = position.advance(per_epoch, batch_size);
                assert_eq!(position, data.position_of_step(step));
                assert_eq!((last, position.begun()), (step % per_epoch == 0, step.div_ceil(per_epoch)));
                assert_eq!(position.total_steps(step, &train(40, 0), per_epoch), 40 * per_epoch);
                assert_eq!(position.total_steps(step, &train(40, 31), per_epoch), 31.min(40 * per_epoch));
                assert_eq!(position.contradiction(step, &data), None);
            }
        }
    }

    /// An epoch of 7 batches is 3 steps of up to 3.
    #[test]
    fn steps_of_several_batches_end_with_their_epoch() {
        let train = TrainConfig { accumulate: 3, ..train(4, 0) };
        let mut position = Position::default();
        for (step, batches) in [3, 3, 1].into_iter().cycle().take(12).enumerate() {
            assert_eq!(position.total_steps(step as u64, &train, 7), 12);
            let last = (0..batches).map(|_| position.advance(7, 2)).last();
            assert_eq!(last, Some(batches == 1));
        }
        assert_eq!(position, Position { epochs: 4, batches: 0, images: 56, seen: 28 });
        assert_eq!(position.total_steps(12, &train, 7), 12);
        // Gone on with after two batches, as after another setting.
        let within = Position { epochs: 3, batches: 2, images: 46, seen: 23 };
        assert_eq!(within.total_steps(10, &train, 7), 12);
        assert!(within.total_steps(10, &TrainConfig { n_epochs: 3, ..train }, 7) <= 10);
    }

    #[test]
    fn epochs_stay_whatever_the_length() {
        // 10 epochs of 7 are done; 20 are wanted, of 1.
        let position = data(7, "a", 1).position_of_step(70);
        let (now, notes) = data(1, "b", 1).carry_on(&data(7, "a", 1), position);
        assert_eq!((now, notes.len()), (position, 1));
        assert!(notes[0].contains("1 image, 7 when") && notes[0].contains("epoch 11 comes next"), "{notes:?}");
        assert_eq!(now.total_steps(70, &train(20, 0), 1), 80);
        // Nothing is left if none is wanted.
        assert!(now.total_steps(70, &train(10, 0), 1) <= 70);
        assert!(now.total_steps(70, &train(20, 60), 1) <= 70);
        // A longer one does not set it back.
        let within = Position { epochs: 5, batches: 3, images: 28, seen: 28 };
        let (now, notes) = data(7, "b", 1).carry_on(&data(5, "a", 1), within);
        assert_eq!((now.epochs, now.batches), (5, 0));
        assert!(notes[0].contains("epoch 6 starts anew"), "{notes:?}");
    }

    #[test]
    fn other_names_and_batch_sizes() {
        let position = Position { epochs: 2, batches: 3, images: 22, seen: 11 };
        assert_eq!(data(8, "a", 2).carry_on(&data(8, "a", 2), position), (position, Vec::new()));
        let (now, notes) = data(8, "b", 2).carry_on(&data(8, "a", 2), position);
        assert!(now == position && notes[0].contains("8 images as before"), "{notes:?}");
        // Six images were seen: with batches of 4 the second one is next, with batches of 1 the seventh.
        for (batch_size, batches) in [(4, 1), (1, 6), (100, 0)] {
            let (now, notes) = data(8, "a", batch_size).carry_on(&data(8, "a", 2), position);
            assert_eq!(now, Position { batches, ..position });
            assert!(notes[0].contains("batch size changed"), "{notes:?}");
        }
    }

    #[test]
    fn positions_that_cannot_be() {
        let at = |epochs, batches, images, seen| Position { epochs, batches, images, seen };
        let of_ten = |epochs, batches, images| at(epochs, batches, images, 0).contradiction(10, &data(8, "", 2));
        assert_eq!(of_ten(2, 3, 20), None);
        for (seen, fits) in [(9, false), (10, true), (31, true), (u64::MAX, false)] {
            assert_eq!(at(2, 3, 20, seen).contradiction(10, &data(8, "", 2)).is_none(), fits);
        }
        for (epochs, batches, images) in [(11, 0, 0), (2, 4, 0), (0, 0, u64::MAX), (u64::MAX, 0, 0), (0, u64::MAX, 0)] {
            assert!(of_ten(epochs, batches, images).is_some());
        }
        assert!(Position::default().contradiction(10, &data(8, "", 0)).is_some());
    }
}
