//! Ranks that compute on NVIDIA GPUs, through NCCL: tensors go from GPU to GPU, on a stream of their own.
//!
//! NCCL only moves bytes: what is added up is added by [`OrderedSum`](crate::OrderedSum). No call waits inside the library, so a
//! rank that waits for others can look whether they are still there, and end.

#![allow(unsafe_code)] // the libraries' interfaces are C

mod library;

use crate::communicator::Exchange;
use crate::rendezvous::{Id, Peers, Rendezvous};
use crate::{Communicator, Error, Result};
use candle_core::backend::BackendStorage;
use candle_core::cuda::CudaStorageSlice;
use candle_core::cuda::cudarc::driver::{CudaContext, CudaEvent, CudaSlice, CudaStream, DevicePtr, DriverError};
use candle_core::{CudaDevice, Device, Storage, Tensor};
use library::{Comm, Piece};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How the ranks find one another before NCCL connects them.
pub enum Meeting {
    /// Through a library that connects them already, which also ends them.
    Ranks(Arc<dyn Communicator>),
    /// At a place that the launcher names.
    Place(Rendezvous),
    /// There is one rank, for trying the library.
    Alone,
}

/// What is left of the meeting.
enum Link {
    Ranks(Arc<dyn Communicator>),
    Peers(Peers),
    Alone,
}

/// The ranks of a run, each with a GPU of its own.
pub struct Nccl(Arc<Inner>);

struct Inner {
    rank: usize,
    size: usize,
    /// `None` once it has ended or failed.
    comm: Mutex<Option<Comm>>,
    stream: Arc<CudaStream>,
    link: Link,
}

/// How often a rank that waits looks whether the others are there.
const LOOK: Duration = Duration::from_millis(20);

/// How long the library may take to end.
const END: Duration = Duration::from_secs(10);

/// Bytes of a message that are sent along with its length.
const HEAD: usize = 1024;

impl Nccl {
    /// Connects the GPUs of all ranks; `device` is that of this one.
    ///
    /// # Errors
    /// [`Error::Nccl`] if `device` is no GPU or the library fails; as [`Rendezvous::meet`]; [`Error::Gone`] where a rank has ended.
    pub fn start(rank: usize, size: usize, device: &Device, meeting: Meeting) -> Result<Self> {
        let Ok(cuda) = device.as_cuda_device() else {
            return Err(Error::Nccl { reason: "it connects GPUs, and this run computes on the CPU".into() });
        };
        // The same context as the device's, with a stream beside the device's own.
        let context = CudaContext::new(cuda.cuda_stream().context().ordinal()).map_err(cuda_failed)?;
        // SAFETY: what is allocated through this context stays on its one stream; other streams wait by events.
        unsafe { context.disable_event_tracking() };
        let stream = context.new_stream().map_err(cuda_failed)?;
        let (id, link) = match meeting {
            Meeting::Ranks(ranks) => {
                let own = if rank == 0 { library::new_id()?.to_vec() } else { Vec::new() };
                let id = Id::try_from(ranks.broadcast(0, own)?);
                let what = || Error::Unexpected { rank: 0, what: "no identifier of NCCL".into() };
                (id.map_err(|_| what())?, Link::Ranks(ranks))
            }
            Meeting::Place(place) => {
                let (id, peers) = place.meet(rank, size, library::new_id)?;
                (id, Link::Peers(peers))
            }
            Meeting::Alone => (library::new_id()?, Link::Alone),
        };
        context.bind_to_thread().map_err(cuda_failed)?;
        let comm = Mutex::new(Some(Comm::begin(id, rank, size)?));
        let inner = Inner { rank, size, comm, stream, link };
        inner.settle(&mut *inner.open()?)?;
        Ok(Nccl(Arc::new(inner)))
    }
}

impl Inner {
    fn open(&self) -> Result<MutexGuard<'_, Option<Comm>>> {
        let comm = self.comm.lock().unwrap_or_else(PoisonError::into_inner);
        match &*comm {
            Some(_) => Ok(comm),
            None => Err(Error::Nccl { reason: "it has ended".into() }),
        }
    }

    /// Whether the other ranks are there, and the library has not failed. Gives it up otherwise, which ends what waits on the device.
    fn look(&self, comm: &mut Option<Comm>) -> Result<bool> {
        let peers = match &self.link {
            Link::Peers(peers) => peers.check(),
            Link::Ranks(_) | Link::Alone => Ok(()),
        };
        let state = peers.and_then(|()| comm.as_ref().map_or(Ok(true), Comm::is_settled));
        state.inspect_err(|_| *comm = None)
    }

    /// Calls `is_done` until it is, looking at the other ranks meanwhile.
    fn until(&self, comm: &mut Option<Comm>, is_done: impl Fn(bool) -> Result<bool>) -> Result<()> {
        let mut looked = Instant::now();
        for tries in 0u64.. {
            let settled = self.look_after(comm, &mut looked)?;
            match is_done(settled) {
                Ok(true) => break,
                Ok(false) if tries < 1000 => std::thread::yield_now(),
                Ok(false) => std::thread::sleep(Duration::from_micros(50)),
                Err(error) => {
                    *comm = None;
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// The library's state, and from time to time that of the other ranks.
    fn look_after(&self, comm: &mut Option<Comm>, looked: &mut Instant) -> Result<bool> {
        if looked.elapsed() >= LOOK {
            *looked = Instant::now();
            return self.look(comm);
        }
        let settled = comm.as_ref().map_or(Ok(true), Comm::is_settled);
        settled.inspect_err(|_| *comm = None)
    }

    /// Waits until the library has done what it was asked for, on the host.
    fn settle(&self, comm: &mut Option<Comm>) -> Result<()> {
        self.until(comm, Ok)
    }

    /// Waits for an event of the device.
    fn wait(&self, comm: &mut Option<Comm>, event: &CudaEvent) -> Result<()> {
        self.until(comm, |settled| Ok(event.try_is_complete().map_err(cuda_failed)? && settled))
    }

    /// Begins to send and to receive pieces of the device's memory, one for each rank; returns the event that they are there.
    fn transfer(&self, comm: &mut Option<Comm>, out: &[Piece], into: &[Piece]) -> Result<CudaEvent> {
        self.stream.context().bind_to_thread().map_err(cuda_failed)?;
        if let Some(open) = comm.as_ref()
            && let Err(error) = open.group(out, into, &self.stream)
        {
            *comm = None;
            return Err(error);
        }
        self.settle(comm)?;
        self.stream.record_event(None).map_err(cuda_failed)
    }

    /// Sends bytes of the host's to each rank, and waits for so many of each.
    fn bytes(&self, comm: &mut Option<Comm>, out: &[&[u8]], coming: &[usize]) -> Result<Vec<Vec<u8>>> {
        let total: usize = coming.iter().sum();
        let up = self.stream.clone_htod(&[&out.concat()[..], &[0]].concat()).map_err(cuda_failed)?;
        let down: CudaSlice<u8> = self.stream.alloc_zeros(total + 1).map_err(cuda_failed)?;
        let place = |memory: &CudaSlice<u8>| memory.device_ptr(&self.stream).0;
        let lengths: Vec<usize> = out.iter().map(|part| part.len()).collect();
        let here = self.transfer(comm, &pieces(place(&up), &lengths), &pieces(place(&down), coming))?;
        self.wait(comm, &here)?;
        let all = self.stream.clone_dtoh(&down).map_err(cuda_failed)?;
        let mut rest = &all[..];
        let next = |&len: &usize| {
            let (part, after) = rest.split_at(len);
            rest = after;
            part.to_vec()
        };
        Ok(coming.iter().map(next).collect())
    }
}

/// Pieces of these lengths, one after the other.
fn pieces(mut at: u64, lengths: &[usize]) -> Vec<Piece> {
    let piece = |&len: &usize| {
        at += len as u64;
        Piece { at: at - len as u64, len }
    };
    lengths.iter().map(piece).collect()
}

/// Tensors that NCCL reads and writes. They are freed on the stream of the device, which waits for it.
struct UnderWay {
    inner: Arc<Inner>,
    _sent: Vec<Tensor>,
    came: Tensor,
    coming: usize,
    here: CudaEvent,
    device: CudaDevice,
}

impl UnderWay {
    fn finish(self) -> Result<Tensor> {
        self.inner.wait(&mut *self.inner.open()?, &self.here)?;
        Ok(self.came.narrow(0, 0, self.coming)?)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        // If this fails the device is lost, and its memory with it.
        let _ = self.device.cuda_stream().wait(&self.here);
    }
}

impl Communicator for Nccl {
    fn rank(&self) -> usize {
        self.0.rank
    }

    fn size(&self) -> usize {
        self.0.size
    }

    fn is_alone(&self) -> bool {
        false
    }

    /// Through the memory of the device. The length and the first bytes of a message go together, so short ones take one round.
    fn all_to_all(&self, parts: Vec<Vec<u8>>) -> Result<Vec<Vec<u8>>> {
        let comm = &mut *self.0.open()?;
        let first = HEAD - 8;
        let head = |part: &Vec<u8>| {
            let mut head = [&(part.len() as u64).to_le_bytes()[..], &part[..part.len().min(first)]].concat();
            head.resize(HEAD, 0);
            head
        };
        let heads: Vec<Vec<u8>> = parts.iter().map(head).collect();
        let heads: Vec<&[u8]> = heads.iter().map(Vec::as_slice).collect();
        let came = self.0.bytes(comm, &heads, &vec![HEAD; self.0.size])?;
        let length = |head: &Vec<u8>| head.first_chunk().map_or(0, |length| u64::from_le_bytes(*length) as usize);
        let rests: Vec<&[u8]> = parts.iter().map(|part| &part[part.len().min(first)..]).collect();
        let coming: Vec<usize> = came.iter().map(|head| length(head).saturating_sub(first)).collect();
        let more = match rests.iter().any(|rest| !rest.is_empty()) || coming.iter().any(|&len| len > 0) {
            true => self.0.bytes(comm, &rests, &coming)?,
            false => vec![Vec::new(); self.0.size],
        };
        let whole = |(head, rest): (&Vec<u8>, Vec<u8>)| [&head[8..8 + length(head).min(first)], &rest].concat();
        Ok(came.iter().zip(more).map(whole).collect())
    }

    fn exchange(&self, parts: &[Tensor], coming: &[usize]) -> Result<Exchange> {
        let device = parts[0].device().as_cuda_device()?.clone();
        let (dtype, width) = (parts[0].dtype(), parts[0].dtype().size_in_bytes());
        let sent = parts.iter().map(Tensor::contiguous).collect::<candle_core::Result<Vec<_>>>()?;
        let total = coming.iter().sum();
        let came = Tensor::zeros(usize::max(total, 1), dtype, parts[0].device())?;
        let piece = |part: &Tensor| match part.elem_count() {
            0 => Ok(Piece { at: 0, len: 0 }),
            count => Ok(Piece { at: address(part)?, len: count * width }),
        };
        let out = sent.iter().map(piece).collect::<candle_core::Result<Vec<_>>>()?;
        let into = pieces(address(&came)?, &coming.iter().map(|count| count * width).collect::<Vec<_>>());
        let comm = &mut *self.0.open()?;
        // After what makes the tensors, and beside what comes next on the device.
        self.0.stream.join(&device.cuda_stream()).map_err(cuda_failed)?;
        let here = self.0.transfer(comm, &out, &into)?;
        let under_way = UnderWay { inner: self.0.clone(), _sent: sent, came, coming: total, here, device };
        Ok(Exchange::UnderWay(Box::new(|| under_way.finish())))
    }

    fn finalize(&self) {
        // Nobody is to find the connections of another rank closed while it still receives.
        let together = self.barrier().is_ok();
        if let (true, Ok(mut comm)) = (together, self.0.open()) {
            let begun = Instant::now();
            if comm.as_ref().is_some_and(Comm::end) {
                let _ = self.0.until(&mut comm, |settled| Ok(settled || begun.elapsed() > END));
            }
            comm.take().into_iter().for_each(Comm::destroy);
        }
        match &self.0.link {
            Link::Ranks(ranks) => ranks.finalize(),
            Link::Peers(peers) if together => peers.done(),
            Link::Peers(_) | Link::Alone => {}
        }
    }

    /// Through what the ranks met by. Without MPI the others find that this rank has failed, and end with a code of their own.
    fn abort(&self, code: u8) {
        match &self.0.link {
            Link::Ranks(ranks) => ranks.abort(code),
            Link::Peers(peers) => peers.failed(),
            Link::Alone => {}
        }
    }
}

/// The address of a dense tensor's first element.
fn address(tensor: &Tensor) -> candle_core::Result<u64> {
    let (storage, layout) = tensor.storage_and_layout();
    let Storage::Cuda(cuda) = &*storage else { candle_core::bail!("a tensor is on the CPU, and another is on a GPU") };
    let stream = cuda.device.cuda_stream();
    let start = match &cuda.slice {
        CudaStorageSlice::U8(s) => s.device_ptr(&stream).0,
        CudaStorageSlice::U32(s) => s.device_ptr(&stream).0,
        CudaStorageSlice::I64(s) => s.device_ptr(&stream).0,
        CudaStorageSlice::BF16(s) => s.device_ptr(&stream).0,
        CudaStorageSlice::F32(s) => s.device_ptr(&stream).0,
        CudaStorageSlice::F64(s) => s.device_ptr(&stream).0,
        _ => candle_core::bail!("tensors of {:?} are not sent to other ranks", cuda.dtype()),
    };
    Ok(start + (layout.start_offset() * tensor.dtype().size_in_bytes()) as u64)
}

fn cuda_failed(error: DriverError) -> Error {
    Error::Nccl { reason: format!("the GPU fails: {error}") }
}
