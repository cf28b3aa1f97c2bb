//! CUDA devices: one stream for all threads, memory kept by the driver's pool.
#![allow(unsafe_code)] // the driver's interface is C

use super::DeviceError;
use candle_core::cuda::WrapErr;
use candle_core::cuda::cudarc::driver::{CudaContext, CudaStream, result, sys};
use candle_core::{CudaDevice, Device, Result};
use std::ffi::c_void;
use std::sync::{Mutex, PoisonError};

/// The devices that were opened, by number.
static OPENED: Mutex<Vec<(usize, Device)>> = Mutex::new(Vec::new());

pub(super) fn open(name: &str, number: usize) -> std::result::Result<Device, DeviceError> {
    let mut opened = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, device)) = opened.iter().find(|(n, _)| *n == number) {
        return Ok(device.clone());
    }
    let device = make(number)
        .map_err(|e| DeviceError::Unavailable { device: name.to_owned(), reason: first_line(&e.to_string()) })?;
    opened.push((number, device.clone()));
    Ok(device)
}

/// Backtraces are no part of the reason.
fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().trim().to_owned()
}

/// A stream of its own, shared by all threads of the program: work is done in the order in which it is
/// submitted, by any thread.
fn make(number: usize) -> Result<Device> {
    let device = Device::new_cuda_with_stream(number)?;
    let cuda = device.as_cuda_device()?;
    // SAFETY: all tensors are made, used and freed on this one stream; a second stream (uploads) writes buffers of its
    // own and is ordered against this one by events.
    unsafe { cuda.disable_event_tracking() };
    keep_memory(cuda)?;
    Ok(device)
}

/// Freed memory stays with the program: by default every synchronization gives it back to the system, and getting it
/// again takes longer than a kernel.
fn keep_memory(cuda: &CudaDevice) -> Result<()> {
    if let Some(pool) = pool(cuda.cuda_stream().context())? {
        set(pool, sys::CUmemPool_attribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, u64::MAX)?;
    }
    Ok(())
}

pub(super) fn name(device: &Device) -> Option<String> {
    let cuda = device.as_cuda_device().ok()?;
    let context = cuda.cuda_stream().context().clone();
    Some(format!("cuda:{} {}", context.ordinal(), context.name().ok()?))
}

pub(super) fn give_back_memory(device: &Device) -> Result<()> {
    let stream = device.as_cuda_device()?.cuda_stream();
    match pool(stream.context())? {
        Some(pool) => {
            stream.synchronize().w()?;
            // SAFETY: the pool is the device's own.
            unsafe { result::mem_pool::trim_to(pool, 0) }.w()
        }
        None => Ok(()),
    }
}

/// Gives memory that graphs do not use now back to the system. Waits for the device.
pub(crate) fn give_back_graph_memory(stream: &CudaStream) -> Result<()> {
    stream.synchronize().w()?;
    // SAFETY: the device is that of a living context.
    unsafe { sys::cuDeviceGraphMemTrim(stream.context().cu_device()) }.result().w()
}

pub(super) fn graphs_leave_room(device: &Device) -> Result<bool> {
    let Ok(cuda) = device.as_cuda_device() else { return Ok(true) };
    let context = cuda.cuda_stream().context().clone();
    let Some(free) = free_in(&context)? else { return Ok(true) };
    let of_graphs = get_of_graphs(&context, sys::CUgraphMem_attribute::CU_GRAPH_MEM_ATTR_RESERVED_MEM_CURRENT)?;
    Ok(free >= of_graphs)
}

pub(super) fn free_memory(device: &Device) -> Result<Option<u64>> {
    match device.as_cuda_device() {
        Ok(cuda) => free_in(cuda.cuda_stream().context()),
        Err(_) => Ok(None),
    }
}

/// Memory that is free, or held in reserve by the pool; `None` where the driver has no pools.
fn free_in(context: &CudaContext) -> Result<Option<u64>> {
    let Some(pool) = pool(context)? else { return Ok(None) };
    let reserved = get(pool, sys::CUmemPool_attribute::CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT)?;
    let used = get(pool, sys::CUmemPool_attribute::CU_MEMPOOL_ATTR_USED_MEM_CURRENT)?;
    let (free, _) = context.mem_get_info().w()?;
    Ok(Some(free as u64 + reserved.saturating_sub(used)))
}

/// What graphs took is beside what the pool gave: the sum is the most there was, unless the two were at different times.
pub(super) fn peak_memory(device: &Device) -> Result<Option<u64>> {
    let Ok(cuda) = device.as_cuda_device() else { return Ok(None) };
    let context = cuda.cuda_stream().context().clone();
    let Some(pool) = pool(&context)? else { return Ok(None) };
    let of_graphs = get_of_graphs(&context, GRAPHS_HIGH)?;
    Ok(Some(get(pool, sys::CUmemPool_attribute::CU_MEMPOOL_ATTR_USED_MEM_HIGH)? + of_graphs))
}

const GRAPHS_HIGH: sys::CUgraphMem_attribute = sys::CUgraphMem_attribute::CU_GRAPH_MEM_ATTR_USED_MEM_HIGH;

pub(super) fn reset_peak_memory(device: &Device) -> Result<()> {
    let Ok(cuda) = device.as_cuda_device() else { return Ok(()) };
    let context = cuda.cuda_stream().context().clone();
    let Some(pool) = pool(&context)? else { return Ok(()) };
    set(pool, sys::CUmemPool_attribute::CU_MEMPOOL_ATTR_USED_MEM_HIGH, 0)?;
    let mut zero = 0u64;
    // SAFETY: as for asking.
    unsafe { sys::cuDeviceSetGraphMemAttribute(context.cu_device(), GRAPHS_HIGH, (&raw mut zero).cast::<c_void>()) }
        .result()
        .w()
}

/// The pool that the device's memory comes from, where the driver has pools.
fn pool(context: &CudaContext) -> Result<Option<sys::CUmemoryPool>> {
    if !context.has_async_alloc() {
        return Ok(None);
    }
    // SAFETY: the device is that of a living context.
    unsafe { result::device::get_default_mem_pool(context.cu_device()) }.w().map(Some)
}

fn get(pool: sys::CUmemoryPool, attribute: sys::CUmemPool_attribute) -> Result<u64> {
    let mut value = 0u64;
    // SAFETY: the pool is the device's own, and all attributes that are asked for here are 64-bit numbers.
    unsafe { result::mem_pool::get_attribute(pool, attribute, (&raw mut value).cast::<c_void>()) }.w()?;
    Ok(value)
}

fn get_of_graphs(context: &CudaContext, attribute: sys::CUgraphMem_attribute) -> Result<u64> {
    let mut value = 0u64;
    // SAFETY: the device is that of a living context, and all these attributes are 64-bit numbers.
    unsafe { sys::cuDeviceGetGraphMemAttribute(context.cu_device(), attribute, (&raw mut value).cast::<c_void>()) }
        .result()
        .w()?;
    Ok(value)
}

fn set(pool: sys::CUmemoryPool, attribute: sys::CUmemPool_attribute, mut value: u64) -> Result<()> {
    // SAFETY: the pool is the device's own, and both attributes that are set here are 64-bit numbers.
    unsafe { result::mem_pool::set_attribute(pool, attribute, (&raw mut value).cast::<c_void>()) }.w()
}
