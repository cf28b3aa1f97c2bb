//! In which order the gradients of a pass are complete.

use gan_comm::Result;
use gan_comm::tensors::Reader;

/// What ranks send in a pass, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plan(pub(super) Vec<Planned>);

/// One thing that is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Planned {
    /// A bucket of gradients, when so much was done to them.
    Bucket { bucket: usize, changes: u64 },
    /// Something else.
    Message,
}

/// The number that stands for [`Planned::Message`].
const MESSAGE: u64 = u64::MAX;

impl Plan {
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let numbers = |planned: &Planned| match planned {
            Planned::Bucket { bucket, changes } => [*bucket as u64, *changes],
            Planned::Message => [MESSAGE, 0],
        };
        self.0.iter().flat_map(numbers).flat_map(u64::to_le_bytes).collect()
    }

    /// The plan of the first rank, for so many buckets.
    pub(super) fn of_bytes(bytes: &[u8], buckets: usize) -> Result<Self> {
        let (mut reader, mut plan, mut seen) = (Reader::new(0, bytes), Vec::new(), vec![false; buckets]);
        while !reader.is_empty() {
            let (bucket, changes) = (reader.number()?, reader.number()?);
            plan.push(match seen.get_mut(bucket as usize) {
                Some(seen @ false) => {
                    *seen = true;
                    Planned::Bucket { bucket: bucket as usize, changes }
                }
                None if bucket == MESSAGE => Planned::Message,
                _ => return Err(reader.unexpected("a plan of other gradients")),
            });
        }
        Ok(Plan(plan))
    }
}

/// What comes up in a pass without a plan.
#[derive(Default)]
pub(super) struct Record {
    /// Events so far.
    now: usize,
    /// What was done to each bucket, and when it was seen first.
    seen: Vec<(u64, usize)>,
    messages: Vec<usize>,
}

impl Record {
    /// `changes`: what was done to each bucket so far.
    pub(super) fn after_layer(&mut self, changes: &[u64]) {
        self.now += 1;
        self.seen.resize(changes.len(), (0, 0));
        for (seen, &changes) in self.seen.iter_mut().zip(changes).filter(|(seen, changes)| seen.0 != **changes) {
            *seen = (changes, self.now);
        }
    }

    pub(super) fn before_message(&mut self, changes: &[u64]) {
        self.after_layer(changes);
        self.messages.push(self.now);
    }

    /// Of the buckets that were complete at last; `None` for those that are not sent.
    pub(super) fn plan(mut self, changes: &[Option<u64>]) -> Plan {
        self.after_layer(&changes.iter().map(|changes| changes.unwrap_or_default()).collect::<Vec<_>>());
        let bucket = |(bucket, changes): (usize, &Option<u64>)| {
            changes.map(|changes| (self.seen[bucket].1, Planned::Bucket { bucket, changes }))
        };
        let buckets = changes.iter().enumerate().filter_map(bucket);
        let mut all: Vec<_> = buckets.chain(self.messages.iter().map(|&at| (at, Planned::Message))).collect();
        // A message is behind what it found.
        all.sort_by_key(|(at, _)| *at);
        Plan(all.into_iter().map(|(_, planned)| planned).collect())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use gan_comm::Error;

    fn bucket(bucket: usize, changes: u64) -> Planned {
        Planned::Bucket { bucket, changes }
    }

    #[test]
    fn buckets_are_sent_when_they_were_complete() {
        let mut record = Record::default();
        record.after_layer(&[0, 1, 3, 0]);
        record.after_layer(&[0, 1, 4, 0]);
        record.before_message(&[0, 2, 4, 0]);
        record.after_layer(&[1, 2, 4, 0]);
        let plan = record.plan(&[Some(1), Some(2), Some(4), None]);
        assert_eq!(plan.0, [bucket(2, 4), bucket(1, 2), Planned::Message, bucket(0, 1)]);
        assert_eq!(Plan::of_bytes(&plan.to_bytes(), 4).unwrap(), plan);
    }

    #[test]
    fn a_plan_of_other_gradients_is_refused() {
        for plan in [vec![bucket(2, 1)], vec![bucket(0, 1), bucket(0, 1)]] {
            let error = Plan::of_bytes(&Plan(plan).to_bytes(), 2).unwrap_err();
            assert!(matches!(error, Error::Unexpected { rank: 0, .. }), "{error}");
        }
        assert!(Plan::of_bytes(&[0; 9], 2).is_err());
    }
}
