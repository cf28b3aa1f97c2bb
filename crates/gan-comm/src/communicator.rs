//! The seam between a training run and the library that carries its messages.

use crate::tensors::{filled, with_elements};
use crate::{Error, Result};
use candle_core::Tensor;

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
    fn exchange_bytes(&self, out: &[&[u8]], into: &mut [&mut [u8]]) -> Result<()> {
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

    /// Begins to send a flat tensor to each rank, in rank order, and to receive `coming[r]` elements from rank `r`. All have one element
    /// type and lie on one device. Sender and receiver agree on each length; what is empty is not sent.
    ///
    /// # Errors
    /// As [`Communicator::all_to_all`]; [`Error::Unexpected`] for another length; [`Error::Tensor`] if the device fails.
    fn exchange(&self, parts: &[Tensor], coming: &[usize]) -> Result<Exchange> {
        let (rank, dtype, device) = (self.rank(), parts[0].dtype(), parts[0].device());
        let came = with_elements(parts, |out| {
            filled(dtype, coming.iter().sum(), device, |mut bytes| {
                let mut into = Vec::new();
                for count in coming {
                    let (part, rest) = bytes.split_at_mut(count * dtype.size_in_bytes());
                    bytes = rest;
                    into.push(part);
                }
                if into[rank].len() != out[rank].len() {
                    let what = format!("{coming:?} numbers to come, and another count from itself");
                    return Err(Error::Unexpected { rank, what });
                }
                into[rank].copy_from_slice(out[rank]);
                self.exchange_bytes(out, &mut into)
            })
        })?;
        Ok(Exchange::Done(came))
    }

    /// Whether a run has one rank, which has nobody to speak to. One rank of a library that is to be tried is not alone.
    fn is_alone(&self) -> bool {
        self.size() == 1
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

/// Numbers on their way between the ranks.
#[must_use]
pub enum Exchange {
    /// They are here.
    Done(Tensor),
    /// They come while other work goes on; the function waits for them.
    UnderWay(Box<dyn FnOnce() -> Result<Tensor> + Send>),
}

impl Exchange {
    /// What each rank sent, in rank order and without gaps, flat.
    ///
    /// # Errors
    /// As [`Communicator::exchange`].
    pub fn finish(self) -> Result<Tensor> {
        match self {
            Exchange::Done(came) => Ok(came),
            Exchange::UnderWay(wait) => wait(),
        }
    }
}

impl std::fmt::Debug for Exchange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Exchange::Done(_) => "Done",
            Exchange::UnderWay(_) => "UnderWay",
        })
    }
}
