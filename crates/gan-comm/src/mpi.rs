//! Ranks that are processes started by an MPI launcher.

mod messages;

use crate::{Communicator, Error, Exchange, Result};
use candle_core::Tensor;
use messages::Messages;
use mpi::Threading;
use mpi::collective::SystemOperation;
use mpi::datatype::{Partition, PartitionMut};
use mpi::environment::Universe;
use mpi::topology::SimpleCommunicator;
use mpi::traits::{Communicator as _, CommunicatorCollectives, Root, Source};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, ThreadId};

/// Bytes that one call moves at most: MPI counts in 32 bits.
const MOST: usize = 1 << 30;

/// MPI, from its start until it is finalised. Dropped, it would wait for the other ranks, also in a panic: so it lies here.
static UNIVERSE: Mutex<Option<Universe>> = Mutex::new(None);

/// All processes that were started together. To be used by the thread that made it.
#[derive(Debug, Clone, Copy)]
pub struct Mpi {
    rank: usize,
    size: usize,
    thread: ThreadId,
}

impl Mpi {
    /// Starts MPI, once in a process, and checks that it has so many ranks.
    ///
    /// # Errors
    /// [`Error::Mpi`] if it was started before, cannot be used beside other threads, or has another number of ranks.
    pub fn start(size: usize) -> Result<Self> {
        let fail = |reason: String| Err(Error::Mpi { reason });
        let Some((universe, threading)) = mpi::initialize_with_threading(Threading::Funneled) else {
            return fail("it was started before".into());
        };
        let world = universe.world();
        let (rank, found) = (world.rank() as usize, world.size() as usize);
        *lock() = Some(universe);
        if threading < Threading::Funneled {
            return fail(
                "this library allows no other threads; use one that was built with MPI_THREAD_FUNNELED".into(),
            );
        }
        if found != size {
            return fail(format!(
                "the launcher started {size} processes, and MPI knows {found}: use the launcher of the MPI that this program was built with, or with Slurm srun --mpi=pmix"
            ));
        }
        Ok(Mpi { rank, size, thread: thread::current().id() })
    }

    fn world(&self) -> Result<SimpleCommunicator> {
        if thread::current().id() != self.thread {
            return Err(Error::Mpi { reason: "it is used by another thread than the one that started it".into() });
        }
        match &*lock() {
            Some(universe) => Ok(universe.world()),
            None => Err(Error::Mpi { reason: "it has ended".into() }),
        }
    }
}

fn lock() -> std::sync::MutexGuard<'static, Option<Universe>> {
    UNIVERSE.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Communicator for Mpi {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.size
    }

    fn all_to_all(&self, parts: Vec<Vec<u8>>) -> Result<Vec<Vec<u8>>> {
        let world = self.world()?;
        let lengths: Vec<u64> = parts.iter().map(|part| part.len() as u64).collect();
        let mut coming = vec![0u64; self.size];
        world.all_to_all_into(&lengths[..], &mut coming[..]);
        let chunk = (MOST / self.size).clamp(1, 1 << 24);
        // All ranks make as many calls as the longest part asks for.
        let longest = lengths.iter().copied().max().unwrap_or(0);
        let mut rounds = 0u64;
        world.all_reduce_into(&longest.div_ceil(chunk as u64), &mut rounds, SystemOperation::max());
        let mut came: Vec<Vec<u8>> = coming.iter().map(|&n| Vec::with_capacity(n as usize)).collect();
        for round in 0..rounds as usize {
            let within = |n: usize| n.saturating_sub(round * chunk).min(chunk);
            let pieces: Vec<&[u8]> =
                parts.iter().map(|part| &part[part.len().min(round * chunk)..][..within(part.len())]).collect();
            // One byte more: the address of an empty vector is what Open MPI takes for MPI_IN_PLACE.
            let out = [&pieces.concat()[..], &[0]].concat();
            let out_counts: Vec<i32> = parts.iter().map(|part| within(part.len()) as i32).collect();
            let in_counts: Vec<i32> = coming.iter().map(|&n| within(n as usize) as i32).collect();
            let (out_places, in_places) = (places(&out_counts), places(&in_counts));
            let mut received = vec![0u8; in_counts.iter().map(|&n| n as usize).sum::<usize>() + 1];
            {
                let out = Partition::new(&out[..], &out_counts[..], &out_places[..]);
                let mut into = PartitionMut::new(&mut received[..], &in_counts[..], &in_places[..]);
                world.all_to_all_varcount_into(&out, &mut into);
            }
            for (came, (&at, &n)) in came.iter_mut().zip(in_places.iter().zip(&in_counts)) {
                came.extend(&received[at as usize..][..n as usize]);
            }
        }
        Ok(came)
    }

    fn exchange(&self, parts: &[Tensor], coming: &[usize]) -> Result<Exchange> {
        let messages = Messages::begin(*self, parts, coming)?;
        Ok(Exchange::UnderWay(Box::new(|| messages.finish())))
    }

    /// MPI works while it is called.
    fn progress(&self) {
        if let Ok(world) = self.world() {
            // Whether anything is there does not matter.
            let _ = world.any_process().immediate_probe();
        }
    }

    fn broadcast(&self, root: usize, mut own: Vec<u8>) -> Result<Vec<u8>> {
        let world = self.world()?;
        let from = world.process_at_rank(root as i32);
        let mut length = own.len() as u64;
        from.broadcast_into(&mut length);
        own.resize(length as usize, 0);
        own.chunks_mut(MOST).for_each(|chunk| from.broadcast_into(chunk));
        Ok(own)
    }

    fn barrier(&self) -> Result<()> {
        self.world()?.barrier();
        Ok(())
    }

    fn finalize(&self) {
        drop(lock().take());
    }

    fn abort(&self, code: u8) {
        if let Ok(world) = self.world() {
            world.abort(code.into());
        }
    }
}

/// Where each part begins.
fn places(counts: &[i32]) -> Vec<i32> {
    let begins = counts.iter().scan(0, |next, &n| {
        *next += n;
        Some(*next - n)
    });
    begins.collect()
}
