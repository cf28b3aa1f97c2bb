//! A query of a pool that several ranks make at once.

use crate::Result;
use candle_core::Tensor;
use gan_comm::Communicator;
use gan_comm::tensors::{Reader, pack};
use gan_rng::Key;
use std::fmt;
use std::sync::Arc;

/// The ranks that ask a pool together.
#[derive(Clone)]
pub(crate) struct SharedQuery {
    ranks: Arc<dyn Communicator>,
    /// Only the images of the first ranks are the pool's.
    count: usize,
}

impl fmt::Debug for SharedQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedQuery").field("count", &self.count).finish_non_exhaustive()
    }
}

impl SharedQuery {
    /// Of the first `count` ranks; the others ask and put nothing in.
    pub(crate) fn new(ranks: Arc<dyn Communicator>, count: usize) -> Self {
        SharedQuery { ranks, count }
    }

    /// Images and keys of those ranks, in order.
    pub(super) fn gather(&self, batch: &Tensor, key: Key) -> Result<Vec<(Tensor, Key)>> {
        let mut bytes = key.to_bits().to_le_bytes().to_vec();
        pack(&mut bytes, [batch])?;
        let all = self.ranks.all_gather(bytes)?;
        let images = all.iter().enumerate().take(self.count).map(|(rank, bytes)| {
            let mut reader = Reader::new(rank, bytes);
            let key = Key::from_bits(reader.number()?);
            Ok((reader.tensor(batch.device())?, key))
        });
        images.collect()
    }

    /// Which of them this rank is.
    pub(super) fn rank(&self) -> usize {
        self.ranks.rank()
    }
}
