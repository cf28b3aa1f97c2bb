//! The seam between a training run and the library that carries its messages.

use crate::{Error, Result};

/// One rank's end of the messages of a run.
///
/// Every call but [`Communicator::abort`] is collective: all ranks make the same calls in the same order.
pub trait Communicator: Send + Sync {
    /// Which rank this is, from 0.
    fn rank(&self) -> usize;

    /// How many there are.
    fn size(&self) -> usize;

    /// Sends a part to each rank, in rank order, and returns what each rank sent here. Lengths may differ.
    ///
    /// # Errors
    /// [`Error::Gone`] where a rank has ended, [`Error::Mpi`].
    fn all_to_all(&self, parts: Vec<Vec<u8>>) -> Result<Vec<Vec<u8>>>;

    /// What each rank gave, in rank order. Lengths may differ.
    ///
    /// # Errors
    /// As [`Communicator::all_to_all`].
    fn all_gather(&self, own: Vec<u8>) -> Result<Vec<Vec<u8>>> {
        self.all_to_all(vec![own; self.size()])
    }

    /// Fills `into[r]` with what rank `r` sends here, its `out` of this rank, of a length that both know. What a rank has for itself
    /// is not looked at. Large messages are copied less often than by [`Communicator::all_to_all`].
    ///
    /// # Errors
    /// As [`Communicator::all_to_all`]; [`Error::Unexpected`] for another length.
    fn exchange(&self, out: &[&[u8]], into: &mut [&mut [u8]]) -> Result<()> {
        let other = |rank| rank != self.rank();
        let parts = out.iter().enumerate().map(|(rank, part)| if other(rank) { part.to_vec() } else { Vec::new() });
        let came = self.all_to_all(parts.collect())?;
        for (rank, (into, came)) in into.iter_mut().zip(&came).enumerate().filter(|(rank, _)| other(*rank)) {
            if into.len() != came.len() {
                let what = format!("{} bytes in the place of {}", came.len(), into.len());
                return Err(Error::Unexpected { rank, what });
            }
            into.copy_from_slice(came);
        }
        Ok(())
    }

    /// What `root` gave; the other ranks' `own` is not looked at.
    ///
    /// # Errors
    /// As [`Communicator::all_to_all`]; [`Error::Unexpected`] if there is no such rank.
    fn broadcast(&self, root: usize, own: Vec<u8>) -> Result<Vec<u8>> {
        let own = if self.rank() == root { own } else { Vec::new() };
        let all = self.all_gather(own)?;
        all.into_iter().nth(root).ok_or(Error::Unexpected { rank: root, what: "nothing".into() })
    }

    /// Returns when all ranks are here.
    ///
    /// # Errors
    /// As [`Communicator::all_to_all`].
    fn barrier(&self) -> Result<()> {
        self.all_gather(Vec::new()).map(drop)
    }

    /// Waits for the other ranks, and lets go of the library that carries messages. Nothing can be sent afterwards.
    fn finalize(&self) {}

    /// Ends the processes of all ranks with this exit code. Does nothing where ranks are no processes.
    fn abort(&self, _code: u8) {}
}
