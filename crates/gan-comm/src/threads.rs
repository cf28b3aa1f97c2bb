//! Ranks that are threads of one process: for tests of what ranks do together.

use crate::{Communicator, Error, Result};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};

/// One rank of a [`group`].
#[derive(Debug)]
pub struct Thread {
    rank: usize,
    /// A channel to each rank.
    to: Vec<Sender<Vec<u8>>>,
    /// A channel from each rank.
    from: Mutex<Vec<Receiver<Vec<u8>>>>,
}

/// So many ranks. A rank that is dropped is one that has ended.
pub fn group(size: usize) -> Vec<Thread> {
    let mut to: Vec<Vec<_>> = (0..size).map(|_| Vec::new()).collect();
    let mut from: Vec<Vec<_>> = (0..size).map(|_| Vec::new()).collect();
    for sender in &mut to {
        for receiver in &mut from {
            let (send, receive) = channel();
            sender.push(send);
            receiver.push(receive);
        }
    }
    let ends = to.into_iter().zip(from).enumerate();
    ends.map(|(rank, (to, from))| Thread { rank, to, from: Mutex::new(from) }).collect()
}

impl Communicator for Thread {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.to.len()
    }

    fn all_to_all(&self, parts: Vec<Vec<u8>>) -> Result<Vec<Vec<u8>>> {
        for (rank, (to, part)) in self.to.iter().zip(parts).enumerate() {
            to.send(part).map_err(|_| Error::Gone { rank })?;
        }
        let from = self.from.lock().unwrap_or_else(PoisonError::into_inner);
        from.iter().enumerate().map(|(rank, from)| from.recv().map_err(|_| Error::Gone { rank })).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// What each rank returns.
    fn each<T: Send>(size: usize, run: impl Fn(Thread) -> T + Sync) -> Vec<T> {
        std::thread::scope(|scope| {
            let ranks: Vec<_> = group(size).into_iter().map(|rank| scope.spawn(|| run(rank))).collect();
            ranks.into_iter().map(|rank| rank.join().unwrap()).collect()
        })
    }

    #[test]
    fn messages_arrive_in_rank_order() {
        let got = each(3, |ranks| {
            let own = ranks.rank() as u8;
            let parts = (0..3).map(|to| vec![own, to]).collect();
            let exchanged = ranks.all_to_all(parts).unwrap();
            assert_eq!(ranks.broadcast(2, vec![own; 5]).unwrap(), [2; 5]);
            ranks.barrier().unwrap();
            (exchanged, ranks.all_gather(vec![own; own.into()]).unwrap())
        });
        for (to, (exchanged, gathered)) in (0..).zip(got) {
            assert_eq!(exchanged, [[0, to], [1, to], [2, to]]);
            assert_eq!(gathered, [vec![], vec![1], vec![2, 2]]);
        }
    }

    #[test]
    fn a_rank_that_has_ended_is_noticed() {
        let ended = each(2, |ranks| match ranks.rank() {
            0 => Err(Error::Gone { rank: 9 }),
            _ => ranks.all_gather(Vec::new()),
        });
        assert!(matches!(ended[1], Err(Error::Gone { rank: 0 })), "{ended:?}");
    }
}
