//! Memory that reductions use again and again: counters, which every launch leaves at zero, and parts of sums.
//!
//! A launch is done with it when it ends, and a device has one stream, so one workspace a device is enough. It grows, but
//! what it was before stays allocated (together less than what it is), because a captured graph may still use it.

use crate::cuda::operand::Scratch;
use candle_core::cuda::cudarc::driver::sys::CUstreamCaptureStatus;
use candle_core::cuda::{CudaDevice, DeviceId, WrapErr};
use candle_core::{Result, bail};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// Counters and bytes of parts at first.
const COUNTERS: usize = 1 << 14;
const PARTS: usize = 4 << 20;

#[derive(Default)]
struct Kept {
    counters: Vec<(usize, Scratch)>,
    parts: Vec<(usize, Scratch)>,
}

static KEPT: Mutex<Option<HashMap<DeviceId, Kept>>> = Mutex::new(None);

/// Where a launch finds its memory.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Workspace {
    /// Address of the counters.
    pub(crate) counters: u64,
    /// Address of the parts.
    pub(crate) parts: u64,
}

impl Workspace {
    /// Room for so many counters and bytes of parts.
    pub(crate) fn of(device: &CudaDevice, counters: usize, parts: usize) -> Result<Self> {
        let mut all = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = all.get_or_insert_default().entry(device.id()).or_default();
        // What a capture allocates is there only while its graph runs.
        let counters = last(&mut kept.counters, counters, COUNTERS, |n| {
            outside_capture(device, "working memory of a reduction")?;
            Scratch::zeroed(device, n * size_of::<u32>())
        })?;
        let parts = last(&mut kept.parts, parts, PARTS, |n| {
            outside_capture(device, "working memory of a reduction")?;
            Scratch::new(device, n)
        })?;
        Ok(Workspace { counters, parts })
    }
}

/// Refuses to make what is kept while the device's stream is captured: its memory would be the graph's.
pub(crate) fn outside_capture(device: &CudaDevice, what: &str) -> Result<()> {
    match device.cuda_stream().capture_status().w()? {
        CUstreamCaptureStatus::CU_STREAM_CAPTURE_STATUS_NONE => Ok(()),
        _ => bail!("{what} must exist before it is captured in a CUDA graph"),
    }
}

/// The address of the last and largest piece, after adding one if that is too small.
fn last(
    kept: &mut Vec<(usize, Scratch)>,
    wanted: usize,
    least: usize,
    make: impl FnOnce(usize) -> Result<Scratch>,
) -> Result<u64> {
    if let Some((size, piece)) = kept.last()
        && *size >= wanted
    {
        return Ok(piece.address);
    }
    let size = wanted.next_power_of_two().max(least);
    let piece = make(size)?;
    let address = piece.address;
    kept.push((size, piece));
    Ok(address)
}
