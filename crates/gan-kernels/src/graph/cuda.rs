//! Stream capture.
#![allow(unsafe_code)] // a graph changes threads

use crate::cuda::dropout_key;
use candle_core::cuda::WrapErr;
use candle_core::cuda::cudarc::driver::sys::{CUgraphInstantiate_flags, CUstreamCaptureMode};
use candle_core::cuda::cudarc::driver::{CudaGraph, CudaStream};
use candle_core::{Device, Error, Result, Tensor};
use gan_rng::Key;
use std::sync::Arc;

/// A graph that is ready to be launched. The first field is dropped first.
pub(super) struct Graph {
    graph: CudaGraph,
    _memory: Memory,
}

/// What a graph took for its work, which CUDA would keep for others to come.
struct Memory(Arc<CudaStream>);

impl Drop for Memory {
    fn drop(&mut self) {
        // What fails here fails again where somebody listens.
        let _ = crate::device::give_back_graph_memory(&self.0);
    }
}

// SAFETY: CUDA wants calls on one graph to come one after the other, from whichever thread. `Graph` is not `Sync`.
unsafe impl Send for Graph {}

impl Graph {
    pub(super) fn launch(&self) -> Result<()> {
        self.graph.launch().w()
    }
}

pub(super) fn capture<T, E: From<Error>>(
    device: &Device,
    work: impl FnOnce() -> std::result::Result<T, E>,
) -> std::result::Result<(Graph, T), E> {
    let stream = begin(device)?;
    let done = warm_up(device, work);
    // Errors of freeing are noted, and reported by the next call, which must not be the one that ends the capture.
    let noted = stream.context().check_err().w();
    // Nothing outlives the work; if something did, its memory would be taken anew by each launch.
    let flags = CUgraphInstantiate_flags::CUDA_GRAPH_INSTANTIATE_FLAG_AUTO_FREE_ON_LAUNCH;
    let graph = stream.end_capture(flags).w();
    let made = done?;
    noted?;
    let Some(graph) = graph? else { return Err(Error::Msg("CUDA captured nothing".to_owned()).into()) };
    graph.upload().w()?;
    Ok((Graph { graph, _memory: Memory(stream) }, made))
}

fn begin(device: &Device) -> Result<Arc<CudaStream>> {
    let stream = device.as_cuda_device()?.cuda_stream();
    // A graph does not take its memory from the device's pool, where the warm-up has left as much as it needs.
    crate::device::give_back_memory(device)?;
    // Other threads may do what a capture forbids, as long as it is no business of this stream.
    stream.begin_capture(CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL).w()?;
    Ok(stream)
}

pub(super) fn warm_up<T>(device: &Device, work: impl FnOnce() -> T) -> T {
    let _kept = device.as_cuda_device().ok().map(|cuda| cuda.enable_cuda_graph_htod_cache());
    work()
}

pub(super) fn with_dropout_key<T, E: From<Error>>(
    key: Key,
    word: &Tensor,
    work: impl FnOnce() -> std::result::Result<T, E>,
) -> std::result::Result<T, E> {
    dropout_key::with(key, word, work)
}
