//! cuDNN's calls: one function for the three passes where cuDNN has three of each.
#![allow(unsafe_code)]
use super::descriptors::Descriptors;
use super::plan::{Arithmetic, Candidate, Pass, Problem};
use super::status;
use candle_core::cuda::cudarc::cudnn::sys::{self, cudnnDeterminism_t, cudnnStatus_t};
use candle_core::cuda::cudarc::driver::{CudaStream, sys::CUdeviceptr};
use candle_core::{Result, bail};
use std::ffi::{c_int, c_void};
use std::mem::MaybeUninit;
use std::sync::Arc;

use sys::cudnnConvolutionBwdDataAlgo_t as DataAlgorithm;
use sys::cudnnConvolutionBwdFilterAlgo_t as FilterAlgorithm;
use sys::cudnnConvolutionFwdAlgo_t as ForwardAlgorithm;

/// Algorithms by their numbers.
const FORWARD: [ForwardAlgorithm; 8] = [
    ForwardAlgorithm::CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_GEMM,
    ForwardAlgorithm::CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM,
    ForwardAlgorithm::CUDNN_CONVOLUTION_FWD_ALGO_GEMM,
    ForwardAlgorithm::CUDNN_CONVOLUTION_FWD_ALGO_DIRECT,
    ForwardAlgorithm::CUDNN_CONVOLUTION_FWD_ALGO_FFT,
    ForwardAlgorithm::CUDNN_CONVOLUTION_FWD_ALGO_FFT_TILING,
    ForwardAlgorithm::CUDNN_CONVOLUTION_FWD_ALGO_WINOGRAD,
    ForwardAlgorithm::CUDNN_CONVOLUTION_FWD_ALGO_WINOGRAD_NONFUSED,
];
const DATA: [DataAlgorithm; 6] = [
    DataAlgorithm::CUDNN_CONVOLUTION_BWD_DATA_ALGO_0,
    DataAlgorithm::CUDNN_CONVOLUTION_BWD_DATA_ALGO_1,
    DataAlgorithm::CUDNN_CONVOLUTION_BWD_DATA_ALGO_FFT,
    DataAlgorithm::CUDNN_CONVOLUTION_BWD_DATA_ALGO_FFT_TILING,
    DataAlgorithm::CUDNN_CONVOLUTION_BWD_DATA_ALGO_WINOGRAD,
    DataAlgorithm::CUDNN_CONVOLUTION_BWD_DATA_ALGO_WINOGRAD_NONFUSED,
];
const FILTER: [FilterAlgorithm; 7] = [
    FilterAlgorithm::CUDNN_CONVOLUTION_BWD_FILTER_ALGO_0,
    FilterAlgorithm::CUDNN_CONVOLUTION_BWD_FILTER_ALGO_1,
    FilterAlgorithm::CUDNN_CONVOLUTION_BWD_FILTER_ALGO_FFT,
    FilterAlgorithm::CUDNN_CONVOLUTION_BWD_FILTER_ALGO_3,
    FilterAlgorithm::CUDNN_CONVOLUTION_BWD_FILTER_ALGO_WINOGRAD,
    FilterAlgorithm::CUDNN_CONVOLUTION_BWD_FILTER_ALGO_WINOGRAD_NONFUSED,
    FilterAlgorithm::CUDNN_CONVOLUTION_BWD_FILTER_ALGO_FFT_TILING,
];
/// Room for results: an algorithm may appear once with every math type.
const MOST: usize = 32;

/// The algorithm with this number, which may come from a file.
fn by_number<T: Copy>(algorithms: &[T], number: u32) -> Result<T> {
    match algorithms.get(number as usize) {
        Some(&algorithm) => Ok(algorithm),
        None => bail!("cuDNN has no algorithm {number}"),
    }
}

/// Device addresses of one call: the pass's two inputs (forward: big end and weight, data: small end and weight,
/// filter: big end and small end), its output, and working memory.
#[derive(Debug, Clone, Copy)]
pub(super) struct Addresses {
    pub(super) first: CUdeviceptr,
    pub(super) second: CUdeviceptr,
    pub(super) out: CUdeviceptr,
    pub(super) workspace: CUdeviceptr,
    pub(super) workspace_len: usize,
}

/// A handle that works on one stream.
#[derive(Debug)]
pub(super) struct Library {
    handle: sys::cudnnHandle_t,
    stream: Arc<CudaStream>,
}

// SAFETY: a handle may be used by any thread, one at a time; it is only reached through `&mut` or a lock.
unsafe impl Send for Library {}

impl Library {
    pub(super) fn new(stream: Arc<CudaStream>) -> Result<Self> {
        stream.context().bind_to_thread()?;
        let mut handle = std::ptr::null_mut();
        // SAFETY: `handle` is a place for one; the stream is kept alive beside it.
        unsafe {
            status("cudnnCreate", sys::cudnnCreate(&mut handle).result())?;
            let this = Library { handle, stream };
            let raw = this.stream.cu_stream().cast();
            status("cudnnSetStream", sys::cudnnSetStream(handle, raw).result())?;
            Ok(this)
        }
    }

    pub(super) fn stream(&self) -> &Arc<CudaStream> {
        &self.stream
    }

    /// cuDNN's version as a number, 91900 for 9.19.0.
    pub(super) fn version() -> usize {
        // SAFETY: takes nothing and reads a constant.
        unsafe { sys::cudnnGetVersion() }
    }

    /// Bytes of working memory that an algorithm needs, an error if it cannot do the problem.
    pub(super) fn workspace(&self, pass: Pass, d: &Descriptors, algorithm: u32) -> Result<usize> {
        let mut bytes = 0;
        let (big, small, filter, conv) = (d.big.0, d.small.0, d.filter.0, d.conv.0);
        // SAFETY: handle and descriptors are alive, `bytes` is a place for the answer.
        let answer = unsafe {
            match pass {
                Pass::Forward => {
                    let algorithm = by_number(&FORWARD, algorithm)?;
                    sys::cudnnGetConvolutionForwardWorkspaceSize(
                        self.handle,
                        big,
                        filter,
                        conv,
                        small,
                        algorithm,
                        &mut bytes,
                    )
                }
                Pass::Data => {
                    let algorithm = by_number(&DATA, algorithm)?;
                    sys::cudnnGetConvolutionBackwardDataWorkspaceSize(
                        self.handle,
                        filter,
                        small,
                        conv,
                        big,
                        algorithm,
                        &mut bytes,
                    )
                }
                Pass::Filter => {
                    let algorithm = by_number(&FILTER, algorithm)?;
                    sys::cudnnGetConvolutionBackwardFilterWorkspaceSize(
                        self.handle,
                        big,
                        small,
                        conv,
                        filter,
                        algorithm,
                        &mut bytes,
                    )
                }
            }
        };
        status("cudnnGetConvolution…WorkspaceSize", answer.result())?;
        Ok(bytes)
    }

    /// The most working memory that an algorithm asks for, of those that ask for at most `limit`.
    pub(super) fn largest_workspace(&self, p: &Problem, d: &Descriptors, limit: usize) -> Result<usize> {
        let count = match p.pass {
            Pass::Forward => FORWARD.len(),
            Pass::Data => DATA.len(),
            Pass::Filter => FILTER.len(),
        };
        let mut most = 0;
        // An algorithm may be measured with either.
        for math in [sys::cudnnMathType_t::CUDNN_DEFAULT_MATH, p.arithmetic.math()] {
            d.conv.set_math(math)?;
            let sizes = (0..count as u32).filter_map(|algorithm| self.workspace(p.pass, d, algorithm).ok());
            most = sizes.filter(|&bytes| bytes <= limit).fold(most, usize::max);
        }
        Ok(most)
    }

    /// Queues one pass; `add` adds to what the output holds.
    ///
    /// # Safety
    /// The addresses must be those of tensors as `d` describes them, alive until the stream has done the work, and of a
    /// workspace of the size that [`Library::workspace`] asks for.
    pub(super) unsafe fn run(
        &self,
        p: &Problem,
        d: &Descriptors,
        algorithm: u32,
        at: Addresses,
        add: bool,
    ) -> Result<()> {
        let (zero, one) = (Factor::new(p.arithmetic, 0.0), Factor::new(p.arithmetic, 1.0));
        let (alpha, beta) = (one.pointer(), if add { one.pointer() } else { zero.pointer() });
        let (first, second, out) = (at.first as *const c_void, at.second as *const c_void, at.out as *mut c_void);
        let (space, len) = (at.workspace as *mut c_void, at.workspace_len);
        let (big, small, filter, conv) = (d.big.0, d.small.0, d.filter.0, d.conv.0);
        // SAFETY: handle, descriptors and factors are alive; the rest is the caller's promise.
        let answer = unsafe {
            match p.pass {
                Pass::Forward => {
                    let algorithm = by_number(&FORWARD, algorithm)?;
                    sys::cudnnConvolutionForward(
                        self.handle,
                        alpha,
                        big,
                        first,
                        filter,
                        second,
                        conv,
                        algorithm,
                        space,
                        len,
                        beta,
                        small,
                        out,
                    )
                }
                Pass::Data => {
                    let algorithm = by_number(&DATA, algorithm)?;
                    sys::cudnnConvolutionBackwardData(
                        self.handle,
                        alpha,
                        filter,
                        second,
                        small,
                        first,
                        conv,
                        algorithm,
                        space,
                        len,
                        beta,
                        big,
                        out,
                    )
                }
                Pass::Filter => {
                    let algorithm = by_number(&FILTER, algorithm)?;
                    sys::cudnnConvolutionBackwardFilter(
                        self.handle,
                        alpha,
                        big,
                        first,
                        small,
                        second,
                        conv,
                        algorithm,
                        space,
                        len,
                        beta,
                        filter,
                        out,
                    )
                }
            }
        };
        match answer.result() {
            Ok(()) => Ok(()),
            Err(e) => bail!("cuDNN: algorithm {algorithm} failed on {p}: {e}"),
        }
    }

    /// Runs every algorithm and measures it; the output and the workspace are overwritten.
    ///
    /// # Safety
    /// As [`Library::run`], with a workspace of `at.workspace_len` bytes.
    pub(super) unsafe fn measure(&self, pass: Pass, d: &Descriptors, at: Addresses) -> Result<Vec<Candidate>> {
        let (first, second, out) = (at.first as *const c_void, at.second as *const c_void, at.out as *mut c_void);
        let (space, len) = (at.workspace as *mut c_void, at.workspace_len);
        let (handle, big, small, filter, conv) = (self.handle, d.big.0, d.small.0, d.filter.0, d.conv.0);
        // SAFETY: handle and descriptors are alive, the lists have the room that is told; the rest is the caller's.
        unsafe {
            match pass {
                Pass::Forward => listed("cudnnFindConvolutionForwardAlgorithmEx", |room, count, list| {
                    sys::cudnnFindConvolutionForwardAlgorithmEx(
                        handle, big, first, filter, second, conv, small, out, room, count, list, space, len,
                    )
                }),
                Pass::Data => listed("cudnnFindConvolutionBackwardDataAlgorithmEx", |room, count, list| {
                    sys::cudnnFindConvolutionBackwardDataAlgorithmEx(
                        handle, filter, second, small, first, conv, big, out, room, count, list, space, len,
                    )
                }),
                Pass::Filter => listed("cudnnFindConvolutionBackwardFilterAlgorithmEx", |room, count, list| {
                    sys::cudnnFindConvolutionBackwardFilterAlgorithmEx(
                        handle, big, first, small, second, conv, filter, out, room, count, list, space, len,
                    )
                }),
            }
        }
    }

    /// Algorithms as cuDNN's rules rank them, without running any.
    pub(super) fn advice(&self, pass: Pass, d: &Descriptors) -> Result<Vec<Candidate>> {
        let (handle, big, small, filter, conv) = (self.handle, d.big.0, d.small.0, d.filter.0, d.conv.0);
        // SAFETY: handle and descriptors are alive, the lists have the room that is told.
        let candidates = unsafe {
            match pass {
                Pass::Forward => listed("cudnnGetConvolutionForwardAlgorithm_v7", |room, count, list| {
                    sys::cudnnGetConvolutionForwardAlgorithm_v7(handle, big, filter, conv, small, room, count, list)
                }),
                Pass::Data => listed("cudnnGetConvolutionBackwardDataAlgorithm_v7", |room, count, list| {
                    sys::cudnnGetConvolutionBackwardDataAlgorithm_v7(
                        handle, filter, small, conv, big, room, count, list,
                    )
                }),
                Pass::Filter => listed("cudnnGetConvolutionBackwardFilterAlgorithm_v7", |room, count, list| {
                    sys::cudnnGetConvolutionBackwardFilterAlgorithm_v7(
                        handle, big, small, conv, filter, room, count, list,
                    )
                }),
            }
        }?;
        // These times are no measurements.
        Ok(candidates.into_iter().map(|c| Candidate { time: -1.0, ..c }).collect())
    }
}

impl Drop for Library {
    fn drop(&mut self) {
        // SAFETY: made by `new`, destroyed only here. A failure leaves nothing to be done.
        let _ = unsafe { sys::cudnnDestroy(self.handle) };
    }
}

/// Calls one of cuDNN's functions that write a list of results. `call` takes the list's room, a place for the number of
/// results, and the list, and must write that many.
fn listed<P: Into<Candidate>>(
    name: &str,
    call: impl FnOnce(c_int, *mut c_int, *mut P) -> cudnnStatus_t,
) -> Result<Vec<Candidate>> {
    let mut list: [MaybeUninit<P>; MOST] = [const { MaybeUninit::uninit() }; MOST];
    let mut count = 0;
    let answer = call(MOST as c_int, &mut count, list.as_mut_ptr().cast());
    status(name, answer.result())?;
    let written = list.into_iter().take(usize::try_from(count).unwrap_or(0));
    // SAFETY: `count` results were written.
    Ok(written.map(|result| unsafe { result.assume_init() }.into()).collect())
}

macro_rules! candidate_from {
    ($($t:ty),+) => {
        $(
            impl From<$t> for Candidate {
                fn from(p: $t) -> Self {
                    Candidate {
                        algorithm: p.algo as u32,
                        math: p.mathType as u32,
                        works: p.status == cudnnStatus_t::CUDNN_STATUS_SUCCESS,
                        time: p.time,
                        memory: p.memory,
                        deterministic: p.determinism == cudnnDeterminism_t::CUDNN_DETERMINISTIC,
                    }
                }
            }
        )+
    };
}
candidate_from!(
    sys::cudnnConvolutionFwdAlgoPerf_t,
    sys::cudnnConvolutionBwdDataAlgoPerf_t,
    sys::cudnnConvolutionBwdFilterAlgoPerf_t
);

/// A factor in the type that cuDNN reads it in.
enum Factor {
    Single(f32),
    Double(f64),
}

impl Factor {
    fn new(arithmetic: Arithmetic, value: f64) -> Self {
        match arithmetic {
            Arithmetic::F64 => Factor::Double(value),
            Arithmetic::F32 | Arithmetic::Tf32 | Arithmetic::Bf16 => Factor::Single(value as f32),
        }
    }

    fn pointer(&self) -> *const c_void {
        match self {
            Factor::Single(value) => std::ptr::from_ref(value).cast(),
            Factor::Double(value) => std::ptr::from_ref(value).cast(),
        }
    }
}
