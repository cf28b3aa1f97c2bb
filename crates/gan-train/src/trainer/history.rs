//! What validation has found so far.

use super::position::{Data, Position};
use crate::validation::{Best, Better, ValidationConfig};
use serde::{Deserialize, Serialize};

/// Part of every checkpoint: a resumed run finds the same best one and stops at the same epoch.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct History {
    /// The images that the values are of.
    data: Option<Data>,
    /// Epochs that were done at the last validation.
    epoch: u64,
    best: Option<Best>,
    /// Validations since the best one.
    since: u64,
}

impl History {
    pub(super) fn best(&self) -> Option<&Best> {
        self.best.as_ref()
    }

    /// Whether the epoch that is just done is to be validated and has not been.
    pub(super) fn is_due(&self, config: &ValidationConfig, position: &Position) -> bool {
        let Position { epochs, batches, .. } = *position;
        config.is_on() && batches == 0 && epochs > self.epoch && epochs.is_multiple_of(config.every)
    }

    /// Whether there has been no better one for too long.
    pub(super) fn is_exhausted(&self, config: &ValidationConfig) -> bool {
        config.is_on() && config.patience > 0 && self.since >= config.patience
    }

    /// Goes on with this metric on these images. Values of others cannot be compared with: then the best one is sought anew,
    /// and the returned note says so.
    pub(super) fn carry_on(&mut self, metric: &str, data: Data) -> Option<String> {
        let same = self.best.as_ref().is_none_or(|best| best.metric == metric);
        let same = same && self.data.as_ref().is_none_or(|known| *known == data);
        self.data = Some(data);
        if same {
            return None;
        }
        (self.best, self.since) = (None, 0);
        let note = "the images of validation, or the metric that decides, are not those of before: the best checkpoint is sought anew";
        Some(note.to_owned())
    }

    /// Counts a validation after `epoch` epochs and `step` steps. True if it is the best one.
    pub(super) fn add(&mut self, metric: &str, better: Better, value: f64, step: u64, epoch: u64) -> bool {
        self.epoch = epoch;
        let improved = match &self.best {
            Some(best) => better.is(value, best.value),
            None => value.is_finite(),
        };
        if improved {
            self.best = Some(Best { metric: metric.to_owned(), value, step, epoch });
            self.since = 0;
        } else {
            self.since += 1;
        }
        improved
    }

    /// Takes the best one back: its checkpoint could not be written.
    pub(super) fn set_best(&mut self, best: Option<Best>) {
        self.best = best;
    }

    /// What cannot be the history of a run of `step` steps.
    pub(super) fn contradiction(&self, step: u64) -> Option<String> {
        let best = |best: &Best| best.step <= step && best.epoch <= self.epoch && best.value.is_finite();
        let fits = self.epoch <= step && self.since <= step && self.best.as_ref().is_none_or(best);
        (!fits).then(|| "what it says of validation cannot be".to_owned())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn config(every: u64, patience: u64) -> ValidationConfig {
        ValidationConfig { every, patience, ..ValidationConfig::default() }
    }

    fn data(text: &str) -> Data {
        serde_json::from_str(&format!("{{\"items\": 3, \"names\": \"{text}\", \"batch_size\": 1}}")).unwrap()
    }

    #[test]
    fn every_so_many_epochs_once() {
        let mut history = History::default();
        let at = |epochs, batches| Position { epochs, batches, ..Position::default() };
        let due = |history: &History, epochs, batches| history.is_due(&config(2, 0), &at(epochs, batches));
        assert!(!due(&history, 0, 0) && !due(&history, 1, 0) && due(&history, 2, 0) && !due(&history, 2, 1));
        assert!(!history.is_due(&config(0, 0), &at(2, 0)));
        history.add("l1", Better::Lower, 3.0, 20, 2);
        assert!(!due(&history, 2, 0) && due(&history, 4, 0));
    }

    #[test]
    fn the_first_best_value_is_kept() {
        let mut history = History::default();
        let improved: Vec<bool> = [f64::NAN, 3.0, 3.0, 2.0, f64::INFINITY, 2.5]
            .into_iter()
            .zip(1..)
            .map(|(value, epoch)| history.add("l1", Better::Lower, value, 10 * epoch, epoch))
            .collect();
        assert_eq!(improved, [false, true, false, true, false, false]);
        assert_eq!(history.best(), Some(&Best { metric: "l1".into(), value: 2.0, step: 40, epoch: 4 }));
        assert!(history.is_exhausted(&config(1, 2)) && !history.is_exhausted(&config(1, 3)));
        assert!(!history.is_exhausted(&config(1, 0)) && !history.is_exhausted(&config(0, 2)));
        assert_eq!((history.contradiction(60), history.contradiction(30).is_some()), (None, true));
        // All of it is in a checkpoint.
        let text = serde_json::to_string(&history).unwrap();
        assert_eq!(serde_json::from_str::<History>(&text).unwrap(), history);
    }

    #[test]
    fn other_images_or_another_metric_begin_anew() {
        let mut history = History::default();
        assert_eq!(history.carry_on("l1", data("a")), None);
        history.add("l1", Better::Lower, 1.0, 10, 1);
        assert_eq!(history.carry_on("l1", data("a")), None);
        let mut other = history.clone();
        assert!(other.carry_on("l1", data("b")).is_some() && other.best().is_none());
        assert!(history.carry_on("psnr", data("a")).is_some() && history.best().is_none());
        assert_eq!(history.epoch, 1, "an epoch is validated once");
    }
}
