//! NCCL's functions as far as they are used here.

use crate::rendezvous::Id;
use crate::{Error, Result};
use candle_core::cuda::cudarc::driver::CudaStream;
use candle_core::cuda::cudarc::nccl::sys::{self, ncclResult_t as Code};
use std::ffi::{CStr, c_int};
use std::ptr::{null, null_mut};

/// A piece of the device's memory.
#[derive(Debug, Clone, Copy)]
pub(super) struct Piece {
    pub(super) at: u64,
    pub(super) len: usize,
}

/// A communicator whose calls do not wait. It is aborted where it is dropped.
pub(super) struct Comm(sys::ncclComm_t);

// SAFETY: NCCL allows calls from any thread, one at a time; the caller holds it in a mutex.
unsafe impl Send for Comm {}

/// NCCL's own words for a number that is not set.
const UNSET: c_int = c_int::MIN;

fn config() -> sys::ncclConfig_t {
    sys::ncclConfig_t {
        size: size_of::<sys::ncclConfig_t>(),
        magic: 0xcafe_beef,
        // 2.30, whose structure this is. An older library reads as much as it knows.
        version: 23000,
        blocking: 0,
        cgaClusterSize: UNSET,
        minCTAs: UNSET,
        maxCTAs: UNSET,
        netName: null(),
        splitShare: UNSET,
        trafficClass: UNSET,
        commName: null(),
        collnetEnable: UNSET,
        CTAPolicy: UNSET,
        shrinkShare: UNSET,
        nvlsCTAs: UNSET,
        nChannelsPerNetPeer: UNSET,
        nvlinkCentricSched: UNSET,
        graphUsageMode: UNSET,
        numRmaCtx: UNSET,
        maxP2pPeers: UNSET,
    }
}

/// An identifier that no other communicator has.
pub(super) fn new_id() -> Result<Id> {
    let mut id = sys::ncclUniqueId { internal: [0; 128] };
    // SAFETY: the library fills the structure.
    check(unsafe { sys::ncclGetUniqueId(&mut id) }, null_mut())?;
    Ok(id.internal.map(|byte| byte as u8))
}

/// Whether the library has done what was asked for; it goes on otherwise.
fn check(code: Code, comm: sys::ncclComm_t) -> Result<bool> {
    match code {
        Code::ncclSuccess => Ok(true),
        Code::ncclInProgress => Ok(false),
        failed => {
            // SAFETY: both give texts that live as long as the library; without a communicator it is the last error of all.
            let texts = unsafe { [sys::ncclGetErrorString(failed), sys::ncclGetLastError(comm)] };
            // SAFETY: as above; such a text ends with a zero.
            let texts = texts.into_iter().filter(|text| !text.is_null()).map(|text| unsafe { CStr::from_ptr(text) });
            let texts: Vec<_> = texts.map(|text| text.to_string_lossy().trim().to_owned()).collect();
            let told = texts.into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join("; ");
            Err(Error::Nccl { reason: format!("{told} (NCCL_DEBUG=WARN lets it say more)") })
        }
    }
}

impl Comm {
    /// Begins to connect; the device is that of the thread's context.
    pub(super) fn begin(id: Id, rank: usize, size: usize) -> Result<Self> {
        let (mut comm, mut config) = (null_mut(), config());
        let id = sys::ncclUniqueId { internal: id.map(|byte| byte as _) };
        // SAFETY: the structures live as long as the call, which copies them.
        let code = unsafe { sys::ncclCommInitRankConfig(&mut comm, size as c_int, id, rank as c_int, &mut config) };
        check(code, null_mut())?;
        match comm.is_null() {
            true => Err(Error::Nccl { reason: "it has made no communicator".into() }),
            false => Ok(Comm(comm)),
        }
    }

    /// Whether nothing is going on inside the library.
    pub(super) fn is_settled(&self) -> Result<bool> {
        let mut state = Code::ncclSuccess;
        // SAFETY: the communicator is there until it is dropped.
        check(unsafe { sys::ncclCommGetAsyncError(self.0, &mut state) }, self.0)?;
        check(state, self.0)
    }

    /// Sends a piece to each rank and receives one of each, all at once; empty ones are left out.
    pub(super) fn group(&self, out: &[Piece], into: &[Piece], stream: &CudaStream) -> Result<()> {
        let (stream, bytes) = (stream.cu_stream().cast(), sys::ncclDataType_t::ncclUint8);
        // SAFETY: a group is ended on the thread that began it, below.
        check(unsafe { sys::ncclGroupStart() }, self.0)?;
        let mut asked = Ok(true);
        for (rank, piece) in out.iter().enumerate().filter(|(_, piece)| piece.len > 0) {
            // SAFETY: the caller keeps the memory until the stream has come here.
            let send =
                || unsafe { sys::ncclSend(piece.at as *const _, piece.len, bytes, rank as c_int, self.0, stream) };
            asked = asked.and_then(|_| check(send(), self.0));
        }
        for (rank, piece) in into.iter().enumerate().filter(|(_, piece)| piece.len > 0) {
            // SAFETY: as above; nobody else reads or writes it meanwhile.
            let receive =
                || unsafe { sys::ncclRecv(piece.at as *mut _, piece.len, bytes, rank as c_int, self.0, stream) };
            asked = asked.and_then(|_| check(receive(), self.0));
        }
        // SAFETY: ends the group from above.
        let ended = check(unsafe { sys::ncclGroupEnd() }, self.0);
        asked.and(ended).map(drop)
    }

    /// Begins to end it, once all ranks do; whether that can be.
    pub(super) fn end(&self) -> bool {
        // SAFETY: the communicator is there until it is dropped.
        check(unsafe { sys::ncclCommFinalize(self.0) }, self.0).is_ok()
    }

    /// Frees what was ended.
    pub(super) fn destroy(self) {
        // SAFETY: it is not used again, and not dropped.
        let _ = unsafe { sys::ncclCommDestroy(self.0) };
        std::mem::forget(self);
    }
}

impl Drop for Comm {
    fn drop(&mut self) {
        // SAFETY: it is not used again. What the device still does for it ends.
        let _ = unsafe { sys::ncclCommAbort(self.0) };
    }
}
