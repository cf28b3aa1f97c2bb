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
    /// type and lie on one device. Sender and receiver agree on each length; what is empty is not sent.
    ///
    /// # Errors
    /// As [`Communicator::all_to_all`]; [`Error::Unexpected`] for another length; [`Error::Tensor`] if the device fails.
    fn exchange(&self, parts: &[Tensor], coming: &[usize]) -> Result<Exchange> {
        let bytes = |part: &Tensor| if part.elem_count() == 0 { Ok(Vec::new()) } else { elements(part) };
        let came = self.all_to_all(parts.iter().map(bytes).collect::<candle_core::Result<_>>()?)?;
        let tensor = |(rank, (bytes, &len)): (usize, (&Vec<u8>, &usize))| {
            let (dtype, device) = (parts[0].dtype(), parts[0].device());
            if bytes.len() != len * dtype.size_in_bytes() {
                let what = format!("{} bytes where {len} numbers of type {dtype:?} were expected", bytes.len());
                return Err(Error::Unexpected { rank, what });
            }
            Ok(if len == 0 { parts[0].narrow(0, 0, 0)? } else { of_elements(bytes, dtype, &[len], device)? })
        };
        Ok(Exchange::Done(came.iter().zip(coming).enumerate().map(tensor).collect::<Result<_>>()?))
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

/// Tensors on their way between the ranks.
#[must_use]
pub enum Exchange {
    /// They are here.
    Done(Vec<Tensor>),
    /// They come while other work goes on; the function waits for them.
    UnderWay(Box<dyn FnOnce() -> Result<Vec<Tensor>> + Send>),
}

impl Exchange {
    /// What each rank sent, in rank order.
    ///
    /// # Errors
    /// As [`Communicator::exchange`].
    pub fn finish(self) -> Result<Vec<Tensor>> {
        match self {
            Exchange::Done(tensors) => Ok(tensors),
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
