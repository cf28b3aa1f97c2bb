//! Messages that MPI moves while other work goes on.

#![allow(unsafe_code)] // MPI uses memory after the call that hands it over

use super::{MOST, Mpi};
use crate::Result;
use crate::communicator::expect;
use crate::tensors::{Room, with_elements};
use candle_core::{Device, Tensor, TensorId};
use mpi::request::{Request, StaticScope};
use mpi::traits::{Communicator, Destination, Equivalence, Source};
use std::mem::ManuallyDrop;
use std::slice::{from_raw_parts, from_raw_parts_mut, from_ref};

/// Messages to and from all other ranks. If they are dropped before they are finished, their memory is MPI's for good: to wait could be
/// for ever.
pub(super) struct Messages(ManuallyDrop<UnderWay>);

/// Requests, and the memory that they read and write.
struct UnderWay {
    ranks: Mpi,
    /// With the rank and the length.
    arriving: Vec<(usize, usize, Request<'static, [u8]>)>,
    leaving: Vec<Request<'static, [u8]>>,
    came: Room,
    _sent: Vec<(TensorId, Vec<u8>)>,
    device: Device,
}

// SAFETY: a request is used in `begin` and `finish` alone, which refuse all threads but MPI's.
unsafe impl Send for Messages {}

impl Messages {
    /// As [`Communicator::exchange`](crate::Communicator::exchange).
    pub(super) fn begin(ranks: Mpi, parts: &[Tensor], coming: &[usize]) -> Result<Self> {
        let world = ranks.world()?;
        // The next one's first, so that not all send to one.
        let others = || (1..ranks.size).map(|ahead| (ranks.rank + ahead) % ranks.size);
        let own = &parts[ranks.rank];
        // A part that goes to several ranks is copied once.
        let mut sent: Vec<(TensorId, Vec<u8>)> = Vec::new();
        for part in others().map(|to| &parts[to]) {
            if sent.iter().all(|(id, _)| *id != part.id()) {
                sent.push((part.id(), with_elements(from_ref(part), |bytes| Ok(bytes[0].to_vec()))?));
            }
        }
        let mut came = Room::new(own.dtype(), coming.iter().sum());
        let (mut into, mut rest) = (Vec::new(), came.bytes());
        for count in coming {
            let part;
            (part, rest) = rest.split_at_mut(count * own.dtype().size_in_bytes());
            into.push(part);
        }
        with_elements(from_ref(own), |bytes| {
            expect(ranks.rank, bytes[0].len(), into[ranks.rank].len())?;
            into[ranks.rank].copy_from_slice(bytes[0]);
            Ok(())
        })?;
        // What comes before what goes: then nothing waits in a buffer of the library.
        let (mut arriving, mut leaving) = (Vec::new(), Vec::new());
        for from in others() {
            for piece in into[from].chunks_mut(MOST) {
                // SAFETY: the memory is that of `came`, which stays where it is and is not touched until the request has ended.
                let piece: &'static mut [u8] = unsafe { from_raw_parts_mut(piece.as_mut_ptr(), piece.len()) };
                let len = piece.len();
                arriving.push((
                    from,
                    len,
                    world.process_at_rank(from as i32).immediate_receive_into(StaticScope, piece),
                ));
            }
        }
        for to in others() {
            for (_, bytes) in sent.iter().filter(|(id, _)| *id == parts[to].id()) {
                for piece in bytes.chunks(MOST) {
                    // SAFETY: as above, of `sent`, which nobody writes.
                    let piece: &'static [u8] = unsafe { from_raw_parts(piece.as_ptr(), piece.len()) };
                    leaving.push(world.process_at_rank(to as i32).immediate_send(StaticScope, piece));
                }
            }
        }
        let device = own.device().clone();
        Ok(Messages(ManuallyDrop::new(UnderWay { ranks, arriving, leaving, came, _sent: sent, device })))
    }

    /// Waits for all of them.
    pub(super) fn finish(self) -> Result<Tensor> {
        self.0.ranks.world()?;
        let UnderWay { arriving, leaving, came, device, _sent, .. } = ManuallyDrop::into_inner(self.0);
        let mut lengths = Ok(());
        for (rank, len, request) in arriving {
            let count = request.wait().count(u8::equivalent_datatype()) as usize;
            lengths = lengths.and(expect(rank, count, len));
        }
        leaving.into_iter().for_each(Request::wait_without_status);
        lengths?;
        Ok(came.tensor(&device)?)
    }
}
