//! The seam between a training run and the library that carries its messages.

use crate::tensors::{elements, of_elements};
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
    /// type and lie on one device. Sender and receiver agree on each length; what is empty is not sent. Others may begin before it is
    /// finished, and are then finished in the same order.
    ///
    /// # Errors
    /// As [`Communicator::all_to_all`]; [`Error::Unexpected`] for another length; [`Error::Tensor`] if the device fails.
    fn exchange(&self, parts: &[Tensor], coming: &[usize]) -> Result<Exchange> {
        let (dtype, device) = (parts[0].dtype(), parts[0].device());
        let came = self.all_to_all(parts.iter().map(elements).collect::<candle_core::Result<_>>()?)?;
        for (rank, (bytes, count)) in came.iter().zip(coming).enumerate() {
            expect(rank, bytes.len(), count * dtype.size_in_bytes())?;
        }
        Ok(Exchange::Done(of_elements(&came.concat(), dtype, &[coming.iter().sum()], device)?))
    }

    /// Lets exchanges that are under way go on, where that takes the processor. To be called now and then while other work goes on.
    fn progress(&self) {}

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

/// Refuses a message of another length than was agreed on, in bytes.
pub(crate) fn expect(rank: usize, came: usize, expected: usize) -> Result<()> {
    match came == expected {
        true => Ok(()),
        false => Err(Error::Unexpected { rank, what: format!("{came} bytes in the place of {expected}") }),
    }
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
