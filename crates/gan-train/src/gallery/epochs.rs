//! Where epochs begin, for the marks in the curves.

use serde::Serialize;

/// Marks that are kept; when they are full, every other one is dropped.
const MARKS: usize = 256;

/// Epochs with the first step at which something was logged in them.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Epochs(Vec<(u64, u64)>);

impl Epochs {
    /// The newest.
    pub(super) fn last(&self) -> u64 {
        self.0.last().map_or(0, |&(epoch, _)| epoch)
    }

    /// Notes that `step` was in `epoch`.
    pub(super) fn push(&mut self, epoch: u64, step: u64) {
        if self.0.last().is_some_and(|&(last, _)| epoch <= last) {
            return;
        }
        if self.0.len() == MARKS {
            let mut keep = false;
            self.0.retain(|_| {
                keep = !keep;
                keep
            });
        }
        self.0.push((epoch, step));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_bounded_and_ascend() {
        let mut epochs = Epochs::default();
        for step in 0..10_000 {
            epochs.push(1 + step / 10, step);
        }
        assert!(epochs.0.len() <= MARKS && epochs.0.is_sorted() && epochs.0[0] == (1, 0));
        assert!(epochs.0.iter().all(|&(epoch, step)| step == (epoch - 1) * 10));
    }
}
